// SentencePiece tokenizer of a Gemma 2 model, behind a plain interface (libsentencepiece cannot share a process image
// with libtorch: it lives in a module of its own, or in a child process under AddressSanitizer).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dhsa {

struct TokenSpan {
  std::int64_t begin = 0;  // byte offsets into the text that was encoded; begin == end for BOS
  std::int64_t end = 0;
  bool operator==(const TokenSpan&) const = default;
};

struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<TokenSpan> spans;  // one per id; ascending, together they cover the text without gaps
};

class Tokenizer {
 public:
  // Throws Error if the file is missing, not a SentencePiece model, or lacks <bos>.
  [[nodiscard]] static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& tokenizer_model);
  virtual ~Tokenizer() = default;

  // BOS first (once), then the text. Control pieces ("<start_of_turn>", "<bos>") written in the text are ordinary text.
  // Invalid UTF-8 bytes become U+FFFD; the spans still refer to the bytes of `text`. A character that falls apart into
  // byte pieces gives its whole span to the first piece and empty spans to the others.
  [[nodiscard]] virtual Encoding encode(std::string_view text, bool add_bos = true) const = 0;
  // Text of ids; control pieces vanish, incomplete byte pieces become U+FFFD.
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  // How one token is shown to a person: "▁the", "<0xE2>", "<bos>".
  [[nodiscard]] virtual std::string piece(std::int32_t id) const = 0;
  [[nodiscard]] virtual std::int32_t size() const = 0;
  [[nodiscard]] virtual std::int32_t bos() const = 0;
};

// Token indices after which a sentence or a line ends ('.', '!', '?', also before closing quotes, or a line break).
[[nodiscard]] std::vector<std::int32_t> sentence_ends(std::string_view text, const Encoding& encoding);
// m for "the question": tokens from the start of the last line that begins with "Question:" to the end; 0 if none.
[[nodiscard]] std::int64_t question_tokens(std::string_view text, const Encoding& encoding);

}  // namespace dhsa
