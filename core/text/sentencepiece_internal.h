// Access to libsentencepiece from the core, and what the core reads in a tokenizer.model itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer_config.h"

namespace dhsa {

class GgufFile;

// libsentencepiece, in its module (or process). One model; may be called by several threads at once.
class SentencePiece {
 public:
  // Throws Error if the module is not found, std::invalid_argument with the library's reason if it refuses the model.
  static std::unique_ptr<SentencePiece> load(std::string_view serialized_model);
  virtual ~SentencePiece() = default;
  // Operations of interface.h. Throws Error if the library refuses.
  [[nodiscard]] virtual std::string request(char operation, std::string_view in) const = 0;
};

// The most that is read of a tokenizer. Gemma 2's has 256,000 pieces, in 4 to 34 MB.
inline constexpr std::size_t kMostTokenizerBytes = std::size_t{64} << 20U;
inline constexpr std::size_t kMostPieces = std::size_t{1} << 20U;
inline constexpr std::size_t kLongestPiece = 512;  // bytes
// Throws std::invalid_argument where `text` is too long for a piece, or one too many behind `before` others.
void check_piece(std::size_t before, std::string_view text);

enum class PieceType : std::uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// The parts of a ModelProto that are needed here.
struct SentencePieceFile {
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
    std::size_t type_offset = 0;  // where the type is written in the file, 0 if left out
  };
  std::vector<Piece> pieces;
  // The normalizer neither looks at neighbouring characters nor touches the ends of a text.
  bool plain_normalizer = false;
};

// Throws std::invalid_argument if `bytes` is no ModelProto.
SentencePieceFile parse_sentencepiece_file(std::string_view bytes);

// A ModelProto of these pieces in the order of their ids: byte-pair encoding with byte fallback and Gemma's normalizer.
std::string write_sentencepiece_file(const std::vector<SentencePieceFile::Piece>& pieces);
// The same for one piece more at the end of a ModelProto (messages of repeated fields may stand anywhere in it).
void append_piece(std::string& model, const SentencePieceFile::Piece& piece);

// The pieces of a Hugging Face tokenizer.json of Gemma 2, such that SentencePiece makes the same ids of every text.
// Throws std::invalid_argument with the reason where it would not.
std::vector<SentencePieceFile::Piece> parse_tokenizer_json(std::string_view text);
// The pieces alone, without their scores, whatever kind of tokenizer it is.
std::vector<SentencePieceFile::Piece> tokenizer_json_pieces(std::string_view text);

// The pieces of the tokenizer in a GGUF file, likewise; without the padding at the end. Throws std::invalid_argument.
std::vector<SentencePieceFile::Piece> gguf_pieces(const GgufFile& file);

// What makes the tokenizer of a model: the bytes of its file, or for a GGUF file those of its pieces in a
// SentencePiece model. Throws as tokenizer_file() does.
std::string tokenizer_bytes(const std::filesystem::path& folder);

// The pieces that the files beside a tokenizer put behind its own, up to a vocabulary of `vocabulary` tokens. Ids in
// between that nobody names are pieces called "<8192>".
std::vector<SentencePieceFile::Piece> added_pieces(const TokenizerConfig& config,
                                                   const std::vector<SentencePieceFile::Piece>& pieces,
                                                   std::int64_t vocabulary);

}  // namespace dhsa
