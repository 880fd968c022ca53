#include "core/text/question.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/base/lists.h"

namespace dhsa {

const std::vector<std::string>& usual_question_marks() {
  static const std::vector<std::string> marks = {"Question:",
                                                 "Question :",
                                                 "Query:",
                                                 "Instruction:",
                                                 "Summary:",
                                                 "Frage:",
                                                 "Pregunta:",
                                                 "Pergunta:",
                                                 "Domanda:",
                                                 "\u0412\u043e\u043f\u0440\u043e\u0441:",  // Russian
                                                 "\u95ee\u9898\uff1a",
                                                 "\u95ee\u9898:",
                                                 "\u95ee\uff1a",  // Chinese
                                                 "\u554f\u984c\uff1a",
                                                 "\u8cea\u554f\uff1a",
                                                 "\uc9c8\ubb38:",                           // Chinese, Japanese, Korean
                                                 "\u0627\u0644\u0633\u0624\u0627\u0644:"};  // Arabic
  return marks;
}

std::vector<std::string> question_marks_from(const std::string& list) {
  if (list.empty()) return usual_question_marks();
  if (list == "none") return {};
  std::vector<std::string> marks = split_list(list);
  for (const std::string& part : marks) {
    if (part.find_first_of("\r\n") != std::string::npos) {
      throw Error(fmt::format("question-marks: \"{}\" is no beginning of a line.", excerpt(part)));
    }
  }
  if (marks.empty()) throw Error("question-marks names none; give for example Question:,Query: or none.");
  return marks;
}

std::size_t question_start(std::string_view text, const std::vector<std::string>& marks) {
  std::size_t last = std::string_view::npos;
  for (const std::string& mark : marks) {
    if (mark.empty()) continue;
    std::size_t line = text.rfind(mark);
    while (line != std::string_view::npos && line != 0 && text[line - 1] != '\n' && text[line - 1] != '\r') {
      line = text.rfind(mark, line - 1);
    }
    if (line != std::string_view::npos && (last == std::string_view::npos || line > last)) last = line;
  }
  return last;
}

std::int64_t tokens_from(std::size_t byte, const Encoding& encoding) {
  if (byte == std::string_view::npos) return 0;
  const auto at = static_cast<std::int64_t>(byte);
  const auto first =
      std::find_if(encoding.spans.begin(), encoding.spans.end(), [&](const TokenSpan& span) { return span.end > at; });
  return encoding.spans.end() - first;
}

}  // namespace dhsa
