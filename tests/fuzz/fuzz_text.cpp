// Texts and prompts that people open: files of any encoding, and where their question is. The bytes are also taken for
// a list of question marks.
#include "core/text/chat.h"
#include "core/text/document.h"
#include "core/text/unicode.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dhsa::fuzz::require;
  const std::string raw = dhsa::fuzz::text_of(data, size);
  std::vector<std::string> marks = dhsa::usual_question_marks();
  dhsa::fuzz::parses_or_refuses([&] {
    std::string list = raw;
    dhsa::replace_invalid_utf8(list);  // as files and windows give it
    const auto given = dhsa::question_marks_from(list);
    for (const std::string& mark : given) require(!mark.empty(), "no mark is empty");
    marks.insert(marks.end(), given.begin(), given.end());
  });
  dhsa::fuzz::parses_or_refuses([&] {
    std::vector<std::string> notes;
    const std::string text = dhsa::decode_text("file", raw, notes);
    std::string copy = text;
    require(dhsa::replace_invalid_utf8(copy) == 0 && copy == text, "what is decoded is UTF-8");
    require(dhsa::to_utf8(dhsa::code_points(text)) == text, "its characters make the same text");
    require(dhsa::characters(text) == dhsa::code_points(text).size(), "characters are counted once");
    const std::size_t some = dhsa::characters(text) / 3;
    require(std::string(dhsa::first_characters(text, some)) +
                    std::string(dhsa::last_characters(text, dhsa::characters(text) - some)) ==
                text,
            "beginning and end are the whole");
    const std::size_t question = dhsa::question_start(text, marks);
    require(question == std::string::npos || (question < text.size() && (question == 0 || text[question - 1] == '\n')),
            "a question begins a line");
    (void)dhsa::is_written_chat(text);
    (void)dhsa::split_at_white_space(dhsa::lower(dhsa::code_points(text)));
  });
  return 0;
}
