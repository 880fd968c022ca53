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

std::string whole_tokens_text(const Document& document) {
  return fmt::format("{}{}", document.whole_tokens_estimated ? "about " : "", document.whole_tokens);
}

// `closing`: tokens at the end that stay whatever is cut.
void cut_to_context(Document& document, std::int64_t context, std::int64_t closing) {
  const std::int64_t question = document.question_tokens;
  const bool keep_question = question > 0 && question <= context / 2;
  const std::int64_t tail = keep_question ? question : closing;
  if (context <= tail) throw Error(fmt::format("The model's context of {} has no room for a text.", context));
  const std::string has =
      fmt::format("The text has {} tokens, more than the model's context of {}", whole_tokens_text(document), context);
  keep_ends(document, context - tail, tail);
  if (keep_question) {
    document.notes.push_back(
        fmt::format("{}: its first {} tokens and the question at its end ({} tokens) are used, the rest in between is "
                    "left out.",
                    has, context - question, question));
  } else {
    const std::string too =
        question > 0
            ? fmt::format(", as is the question at its end: its {} tokens are more than half the context", question)
            : "";
    document.question_tokens = 0;
    document.notes.push_back(
        fmt::format("{}: only its first {} tokens are used, the rest is left out{}.", has, context - tail, too));
  }
}

// How a text is read: plain, as a turn of the user, or as a conversation that is written out.
enum class Reading : std::uint8_t { kPlain, kTurn, kWritten };

Reading reading_of(const Document& document, const std::optional<TurnMarkers>& markers,
                   const DocumentOptions& options) {
  const bool asked = options.chat == ChatMode::kOn;
  if (asked && !markers) {
    throw Error(
        "The model's vocabulary has no <start_of_turn> and <end_of_turn>, so no chat can be read: chat off gives the "
        "text as it is.");
  }
  if (!asked && (options.chat == ChatMode::kOff || !options.instruction_tuned || !markers)) return Reading::kPlain;
  return is_written_chat(document.text) ? Reading::kWritten : Reading::kTurn;
}

void say_reading(Document& document, Reading reading, bool has_markers, const DocumentOptions& options) {
  const char* model = options.instruction_tuned ? "an instruction-tuned model" : "asked for";
  if (reading == Reading::kTurn) {
    document.notes.push_back(
        fmt::format("The text is given to the model as one turn of the user ({}); chat off gives it as it is.", model));
  }
  if (reading == Reading::kWritten) {
    document.notes.push_back(fmt::format(
        "The text is a chat written out with its markers and is read as one ({}); chat off reads them as plain text.",
        model));
    return;
  }
  if (!holds_markers(document.text)) return;
  document.notes.push_back(
      fmt::format("Chat markers in the text ({} and {}) are read as plain text{}.", kTurnStart, kTurnEnd,
                  has_markers && is_written_chat(document.text) ? "; chat on reads it as the chat that it is" : ""));
}

void trim(std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  text.erase(text.find_last_not_of(kBlanks) + 1);
  text.erase(0, text.find_first_not_of(kBlanks));
}

// Tokens of the beginning of `text`, as many as `encode` needs; and the closing ones.
ChatEncoding encode_as(Reading reading, const Tokenizer& tokenizer, const std::optional<TurnMarkers>& markers,
                       std::string_view text, const EncodeOptions& encode) {
  if (reading == Reading::kTurn) return encode_user_turn(tokenizer, *markers, text, encode);
  if (reading == Reading::kWritten) return encode_written_chat(tokenizer, *markers, text, encode);
  return {tokenizer.encode(text, encode), 0};
}

// Text other than blanks and, in a written chat, the begin of its first turn.
bool is_behind_text(std::string_view before, Reading reading) {
  if (reading == Reading::kWritten) {
    before.remove_prefix(std::min(before.find(kTurnStart), before.size()));
    before.remove_prefix(std::min(before.find('\n'), before.size()));
  }
  return before.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

// A line that begins like a question and is none.
void say_no_question(Document& document, std::size_t start, const std::string& why) {
  const std::string_view rest = std::string_view(document.text).substr(start);
  const std::string_view line = rest.substr(0, rest.find_first_of("\r\n"));
  document.notes.push_back(
      fmt::format("The line \"{}{}\" {}: it is part of the text (instruction tokens can say otherwise).",
                  first_characters(line, 30), characters(line) > 30 ? "..." : "", why));
}

// Where the question begins, if one can stand at the end by what is in front of it.
std::size_t possible_question(Document& document, Reading reading, const std::vector<std::string>& marks) {
  const std::size_t start = question_start(document.text, marks);
  if (start == std::string::npos || is_behind_text(std::string_view(document.text).substr(0, start), reading)) {
    return start;
  }
  say_no_question(document, start, "begins the text, and a question at the end asks about a text before it");
  return std::string::npos;
}

void find_question(Document& document, std::size_t start) {
  const std::int64_t tokens = tokens_from(start, document.encoding);
  if (tokens <= kMostQuestionTokens) {
    document.question_tokens = tokens;
  } else {
    say_no_question(document, start,
                    fmt::format("stands {} tokens before the end, more than the {} of a question at the end", tokens,
                                kMostQuestionTokens));
  }
}

// A text of which only the beginning was read: the question at its end follows what was read.
void add_question_from_afar(Document& document, std::size_t start, std::int64_t context, std::int64_t closing,
                            const Tokenizer& tokenizer) {
  constexpr std::size_t kMostBytes = 64 * kMostQuestionTokens;
  std::string& text = document.text;
  auto& [ids, spans] = document.encoding;
  auto read = static_cast<std::size_t>(spans.back().end);
  document.whole_tokens_estimated = true;
  document.whole_tokens = static_cast<std::int64_t>(static_cast<double>(ids.size()) * static_cast<double>(text.size()) /
                                                    static_cast<double>(read));
  const std::vector<std::int32_t> last(ids.end() - closing, ids.end());
  ids.resize(ids.size() - last.size());
  spans.resize(ids.size());
  Encoding question;
  if (start != std::string::npos) {
    if (text.size() - start <= kMostBytes) question = tokenizer.encode(std::string_view(text).substr(start), false);
    const auto tokens = static_cast<std::int64_t>(question.ids.size()) + closing;
    if (question.ids.empty() || tokens > kMostQuestionTokens) {
      say_no_question(document, start,
                      fmt::format("stands more than the {} tokens of a question before the end", kMostQuestionTokens));
      question = {};
    } else {
      document.question_tokens = tokens;
    }
  }
  if (!question.ids.empty() && start < read) {  // it begins in what was read
    while (spans.back().end > static_cast<std::int64_t>(start)) {
      ids.pop_back();
      spans.pop_back();
    }
    read = static_cast<std::size_t>(spans.back().end);
  }
  text.erase(read, (question.ids.empty() ? text.size() : start) - read);
  ids.insert(ids.end(), question.ids.begin(), question.ids.end());
  const auto shift = static_cast<std::int64_t>(read);
  for (const TokenSpan& span : question.spans) spans.push_back({span.begin + shift, span.end + shift});
  ids.insert(ids.end(), last.begin(), last.end());
  const auto size = static_cast<std::int64_t>(text.size());
  spans.resize(ids.size(), {size, size});
  if (document.tokens() > context) cut_to_context(document, context, closing);
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

void check_reading(const TextReading& reading) {
  static_cast<void>(chat_mode(reading.chat));
  static_cast<void>(question_marks_from(reading.question_marks));
}

DocumentOptions document_options(const TextReading& reading, const std::filesystem::path& model_folder,
                                 std::int64_t context) {
  DocumentOptions options;
  options.context = context;
  options.allow_long = reading.allow_long;
  options.chat = chat_mode(reading.chat);
  options.instruction_tuned = options.chat == ChatMode::kAuto && is_instruction_tuned(model_folder);
  options.question_marks = question_marks_from(reading.question_marks);
  return options;
}

Document make_document(std::string name, std::string text, const Tokenizer& tokenizer, const DocumentOptions& options) {
  Document document;
  document.name = std::move(name);
  document.text = decode_text(document.name, std::move(text), document.notes);
  const std::optional<TurnMarkers> markers = turn_markers(tokenizer);
  const Reading reading = reading_of(document, markers, options);
  if (reading == Reading::kTurn) trim(document.text);
  if (document.text.empty()) throw Error(fmt::format("The text {} is empty; there is nothing to run.", document.name));
  say_reading(document, reading, markers.has_value(), options);
  document.chat = reading != Reading::kPlain;

  EncodeOptions encode;
  encode.most = options.allow_long ? 0 : options.context;
  encode.progress = options.progress;
  encode.cancel = options.cancel;
  ChatEncoding encoded = encode_as(reading, tokenizer, markers, document.text, encode);
  document.encoding = std::move(encoded.encoding);
  document.whole_tokens = document.tokens();
  const std::size_t question = possible_question(document, reading, options.question_marks);
  if (document.encoding.spans.back().end < static_cast<std::int64_t>(document.text.size())) {
    add_question_from_afar(document, question, options.context, encoded.closing, tokenizer);
  } else {
    find_question(document, question);
    if (options.context > 0 && document.whole_tokens > options.context && !options.allow_long) {
      cut_to_context(document, options.context, encoded.closing);
    }
  }
  if (options.context > 0 && document.tokens() > options.context) {
    document.notes.push_back(
        fmt::format("The text has {} tokens, more than the model's context of {}: it is run whole "
                    "as asked, and answers may suffer.",
                    document.whole_tokens, options.context));
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
