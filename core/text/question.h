// The question at the end of a text. Its rows attend densely (the method's instruction tokens); the window, the command
// and every report take them from here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"

namespace dhsa {

// Line beginnings that announce a question, an instruction or the place of the answer.
[[nodiscard]] const std::vector<std::string>& usual_question_marks();
inline constexpr std::int64_t kMostQuestionTokens = 256;  // a line further from the end is part of the text

// Marks as they are written in a list at commas; "none": no marks, empty: the usual ones. Throws Error where a part is
// no beginning of a line, or all are blank.
[[nodiscard]] std::vector<std::string> question_marks_from(const std::string& list);
// Where the last line of `text` that begins with one of `marks` begins; npos if there is none. It is the question
// if other text stands before it and at most kMostQuestionTokens follow: Document::question_tokens, else in its notes.
[[nodiscard]] std::size_t question_start(std::string_view text, const std::vector<std::string>& marks);
// m for "the question": tokens from that byte to the end, 0 for npos. May exceed kMostQuestionTokens.
[[nodiscard]] std::int64_t tokens_from(std::size_t byte, const Encoding& encoding);

}  // namespace dhsa
