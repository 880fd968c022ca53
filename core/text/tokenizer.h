// SentencePiece tokenizer of a Gemma 2 model, behind a plain interface (libsentencepiece cannot share a process image
// with libtorch: it lives in a module of its own, or in a child process under AddressSanitizer).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace dhsa {

struct TokenSpan {
  std::int64_t begin = 0;  // byte offsets into the text that was encoded; begin == end for BOS
  std::int64_t end = 0;
  bool operator==(const TokenSpan&) const = default;
};

struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<TokenSpan> spans;  // one per id; ascending, together they cover the text that was read without gaps
};

struct EncodeOptions {
  bool bos = true;        // BOS first
  std::int64_t most = 0;  // reading stops soon behind so many tokens, and the encoding covers less; 0: the whole text
  std::function<void(double)> progress;  // share of the reading that is done; called by the thread that encodes
  const CancelToken* cancel = nullptr;
};

// The tokenizer.model of a model's folder, else its tokenizer.json. Throws Error if there is neither.
[[nodiscard]] std::filesystem::path tokenizer_file(const std::filesystem::path& folder);

class Tokenizer {
 public:
  // tokenizer.model (SentencePiece) or tokenizer.json (Hugging Face, of Gemma 2). Throws Error if the file is missing,
  // is neither, or lacks <bos>.
  [[nodiscard]] static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& file);
  // The tokenizer of a model's folder, with the tokens that other files there add to a vocabulary of `vocabulary`
  // tokens in all.
  [[nodiscard]] static std::shared_ptr<const Tokenizer> of_model(const std::filesystem::path& folder,
                                                                 std::int64_t vocabulary);
  virtual ~Tokenizer() = default;

  // The text as it is: control pieces ("<start_of_turn>", "<bos>") written in it are ordinary text. Invalid UTF-8 bytes
  // become U+FFFD; the spans still refer to the bytes of `text`. A character that falls apart into byte pieces gives
  // its whole span to the first piece and empty spans to the others. Throws Cancelled.
  [[nodiscard]] virtual Encoding encode(std::string_view text, const EncodeOptions& options) const = 0;
  [[nodiscard]] Encoding encode(std::string_view text, bool bos = true) const {
    return encode(text, EncodeOptions{bos, 0, {}, nullptr});
  }
  // Text of ids; control pieces vanish, incomplete byte pieces become U+FFFD, ids beyond the pieces are "<8192>".
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  // How one token is shown to a person: "▁the", "<0xE2>", "<bos>"; "<8192>" for an id beyond the pieces.
  [[nodiscard]] virtual std::string piece(std::int32_t id) const = 0;
  // The id of a piece by its name; none if there is no such piece.
  [[nodiscard]] virtual std::optional<std::int32_t> find(std::string_view piece) const = 0;
  [[nodiscard]] virtual std::int32_t size() const = 0;  // pieces; a model's vocabulary may be larger (padding)
  [[nodiscard]] virtual std::int32_t bos() const = 0;
};

// piece() of each id, but byte pieces that form a character in a row: the first shows it and the others are empty.
[[nodiscard]] std::vector<std::string> shown_pieces(const Tokenizer& tokenizer, std::span<const std::int32_t> ids);

// Token indices after which a sentence or a line ends ('.', '!', '?', also before closing quotes, or a line break).
[[nodiscard]] std::vector<std::int32_t> sentence_ends(std::string_view text, const Encoding& encoding);

}  // namespace dhsa
