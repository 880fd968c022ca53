// A text made ready for a model: checked, tokenised and, unless asked otherwise, cut to the model's context.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/chat.h"
#include "core/text/document_info.h"
#include "core/text/question.h"
#include "core/text/text_reading.h"
#include "core/text/tokenizer.h"

namespace dhsa {

inline constexpr std::size_t kLargestText = std::size_t{64} << 20U;  // bytes of a text file that is still read

struct Document {
  std::string name;  // what to call it: the file's name, "standard input", ...
  std::string text;  // valid UTF-8; what the tokens stand for (after a cut: the parts that were kept, joined)
  Encoding encoding;
  std::vector<std::int32_t> sentence_ends;
  std::int64_t question_tokens = 0;     // tokens of the question at the end, 0 if there is none
  std::int64_t whole_tokens = 0;        // before the cut
  bool whole_tokens_estimated = false;  // a text far longer than the context is not read to its end
  bool chat = false;                    // read as turns of a conversation, see chat.h
  std::vector<std::string> notes;       // one sentence on each thing a person should know: replaced bytes, the cut

  [[nodiscard]] std::int64_t tokens() const noexcept { return static_cast<std::int64_t>(encoding.ids.size()); }
  [[nodiscard]] DocumentInfo info() const { return {tokens(), sentence_ends}; }
};

struct DocumentOptions {
  std::int64_t context = 0;  // most tokens, 0: no limit
  bool allow_long = false;   // leave a longer text whole
  ChatMode chat = ChatMode::kOff;
  bool instruction_tuned = false;  // the model; what ChatMode::kAuto goes by
  std::vector<std::string> question_marks = usual_question_marks();
  std::function<void(double)> progress = {};  // share of the text that is read
  const CancelToken* cancel = nullptr;
};

// What `reading` asks of make_document for a model and its context. Throws Error.
[[nodiscard]] DocumentOptions document_options(const TextReading& reading, const std::filesystem::path& model_folder,
                                               std::int64_t context);

// `text` is the content of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark. One longer than the context
// keeps its beginning and the question at its end; what is left out lies in between. Without a question (or one that
// takes more than half the context) the end is cut. Throws Error on an empty text and on what is no text; Cancelled.
[[nodiscard]] Document make_document(std::string name, std::string text, const Tokenizer& tokenizer,
                                     const DocumentOptions& options);
// Content of a text file. Throws Error if it is absent, a folder or larger than kLargestText.
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

// UTF-8 of a file's content, whatever its byte order mark says, without the mark; a note on what was changed. Throws
// Error on what is no text: other kinds of files, mostly not UTF-8.
[[nodiscard]] std::string decode_text(const std::string& name, std::string bytes, std::vector<std::string>& notes);
// Bytes that are not UTF-8 become U+FFFD, one each; their number is returned.
std::int64_t replace_invalid_utf8(std::string& text);

// Text of tokens [begin, end) on one line, runs of white space shown as one space; if longer than `most` characters,
// cut in the middle with " ... ".
[[nodiscard]] std::string excerpt(const Document& document, std::int64_t begin, std::int64_t end, std::size_t most);
// Characters (code points) of valid UTF-8, and the first or last of them.
[[nodiscard]] std::size_t characters(std::string_view text);
[[nodiscard]] std::string_view first_characters(std::string_view text, std::size_t most);
[[nodiscard]] std::string_view last_characters(std::string_view text, std::size_t most);

}  // namespace dhsa
