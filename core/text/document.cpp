#include "core/text/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/files/atomic_write.h"

namespace dhsa {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

// Keeps tokens [0, head) and the last `tail`; the text follows.
void keep_ends(Document& document, std::int64_t head, std::int64_t tail) {
  Encoding& encoding = document.encoding;
  const auto first = static_cast<std::size_t>(head);
  const std::size_t second = encoding.ids.size() - static_cast<std::size_t>(tail);
  const std::int64_t text_first = encoding.spans[first].begin;
  const std::int64_t text_second =
      tail > 0 ? encoding.spans[second].begin : static_cast<std::int64_t>(document.text.size());
  document.text.erase(static_cast<std::size_t>(text_first), static_cast<std::size_t>(text_second - text_first));
  encoding.ids.erase(encoding.ids.begin() + head, encoding.ids.end() - tail);
  encoding.spans.erase(encoding.spans.begin() + head, encoding.spans.end() - tail);
  for (std::size_t i = first; i < encoding.spans.size(); ++i) {
    encoding.spans[i].begin -= text_second - text_first;
    encoding.spans[i].end -= text_second - text_first;
  }
}

void cut_to_context(Document& document, std::int64_t context) {
  const std::int64_t question = document.question_tokens;
  const bool keep_question = question > 0 && question <= context / 2;
  keep_ends(document, context - (keep_question ? question : 0), keep_question ? question : 0);
  if (keep_question) {
    document.notes.push_back(
        fmt::format("The text has {} tokens, more than the model's context of {}: its first {} tokens and the question "
                    "at its end ({} tokens) are used, the {} in between are left out.",
                    document.whole_tokens, context, context - question, question, document.whole_tokens - context));
  } else {
    document.question_tokens = 0;
    document.notes.push_back(
        fmt::format("The text has {} tokens, more than the model's context of {}: only its first {} tokens are used, "
                    "the last {} are left out.",
                    document.whole_tokens, context, context, document.whole_tokens - context));
  }
}

}  // namespace

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

std::string_view first_characters(std::string_view text, std::size_t most) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!continues(text[at]) && most-- == 0) break;
  }
  return text.substr(0, at);
}

std::string_view last_characters(std::string_view text, std::size_t most) {
  std::size_t at = text.size();
  while (at > 0 && most > 0) {
    --at;
    if (!continues(text[at])) --most;
  }
  return text.substr(at);
}

Document make_document(std::string name, std::string text, const Tokenizer& tokenizer, const DocumentOptions& options) {
  Document document;
  document.name = std::move(name);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);  // a byte order mark is not part of the text
  if (text.empty()) throw Error(fmt::format("The text {} is empty; there is nothing to run.", document.name));
  const std::int64_t replaced = replace_invalid_utf8(text);
  if (replaced > 0) {
    document.notes.push_back(fmt::format("{} {} of {} not valid UTF-8 and shown as U+FFFD.", replaced,
                                         replaced == 1 ? "byte" : "bytes",
                                         document.name + (replaced == 1 ? " is" : " are")));
  }
  document.text = std::move(text);
  document.encoding = tokenizer.encode(document.text);
  document.whole_tokens = document.tokens();
  document.question_tokens = question_tokens(document.text, document.encoding);
  if (options.context > 0 && document.whole_tokens > options.context) {
    if (options.allow_long) {
      document.notes.push_back(
          fmt::format("The text has {} tokens, more than the model's context of {}: it is run whole "
                      "as asked, and answers may suffer.",
                      document.whole_tokens, options.context));
    } else {
      cut_to_context(document, options.context);
    }
  }
  document.sentence_ends = sentence_ends(document.text, document.encoding);
  return document;
}

std::string read_text(const std::filesystem::path& path) { return read_file(path, kLargestText); }

std::string excerpt(const Document& document, std::int64_t begin, std::int64_t end, std::size_t most) {
  if (begin >= end) return {};
  const std::int64_t from = document.encoding.spans[static_cast<std::size_t>(begin)].begin;
  const std::int64_t to = document.encoding.spans[static_cast<std::size_t>(end - 1)].end;
  const auto length = static_cast<std::size_t>(std::max<std::int64_t>(0, to - from));
  std::string line;
  for (const char c : std::string_view(document.text).substr(static_cast<std::size_t>(from), length)) {
    // Line breaks and control characters would upset a terminal and a table; runs of blanks waste its width.
    const bool blank = static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    if (!blank) {
      line += c;
    } else if (line.empty() || line.back() != ' ') {
      line += ' ';
    }
  }
  static constexpr std::string_view kGap = " ... ";
  if (characters(line) <= most) return line;
  if (most <= kGap.size()) return std::string(first_characters(line, most));
  const std::size_t kept = most - kGap.size();
  return fmt::format("{}{}{}", first_characters(line, kept - kept / 2), kGap, last_characters(line, kept / 2));
}

}  // namespace dhsa
