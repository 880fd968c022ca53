#include "core/text/tokenizer.h"

namespace dhsa {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Length of a closing quote or bracket at `position`, 0 if there is none.
std::size_t closing_mark(std::string_view text, std::size_t position) {
  for (const std::string_view mark : {"\"", "'", ")", "]", "\u201d", "\u2019", "\u00bb"}) {
    if (text.substr(position).starts_with(mark)) return mark.size();
  }
  return 0;
}

}  // namespace

std::vector<std::int32_t> sentence_ends(std::string_view text, const Encoding& encoding) {
  std::vector<std::int64_t> ends;  // byte offsets behind sentences and lines
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::size_t behind = i + 1;
    if (c == '.' || c == '!' || c == '?') {
      while (behind < text.size() && (text[behind] == '.' || text[behind] == '!' || text[behind] == '?')) ++behind;
      while (const std::size_t mark = closing_mark(text, behind)) behind += mark;
      if (behind < text.size() && !is_space(text[behind])) continue;  // 3.14, a file name
    } else if (c != '\n' && c != '\r') {
      continue;
    }
    // Line breaks that follow, with the blanks between them, end with this sentence and not one by one.
    for (std::size_t at = behind; at < text.size() && is_space(text[at]); ++at) {
      if (text[at] == '\n' || text[at] == '\r') behind = at + 1;
    }
    ends.push_back(static_cast<std::int64_t>(behind));
    i = behind - 1;
  }

  std::vector<std::int32_t> result;
  std::size_t token = 0;
  const auto count = encoding.spans.size();
  for (const std::int64_t end : ends) {
    while (token < count && encoding.spans[token].end < end) ++token;
    // Byte pieces without bytes of their own still belong to the character before them.
    while (token + 1 < count && encoding.spans[token + 1].end == encoding.spans[token].end) ++token;
    if (token == count) break;
    const auto index = static_cast<std::int32_t>(token);
    if (result.empty() || result.back() != index) result.push_back(index);
  }
  return result;
}

}  // namespace dhsa
