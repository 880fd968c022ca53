// Access to libsentencepiece from the core, and what the core reads in a tokenizer.model itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dhsa {

// libsentencepiece, in its module (or process). One model; may be called by several threads at once.
class SentencePiece {
 public:
  // Throws Error if the module is not found, std::invalid_argument with the library's reason if it refuses the model.
  static std::unique_ptr<SentencePiece> load(std::string_view serialized_model);
  virtual ~SentencePiece() = default;
  // Operations of interface.h. Throws Error if the library refuses.
  [[nodiscard]] virtual std::string request(char operation, std::string_view in) const = 0;
};

enum class PieceType : std::uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// The parts of a ModelProto that are needed here.
struct SentencePieceFile {
  struct Piece {
    std::string text;
    PieceType type = PieceType::kNormal;
    std::size_t type_offset = 0;  // where the type is written in the file, 0 if left out
  };
  std::vector<Piece> pieces;
  // The normalizer neither looks at neighbouring characters nor touches the ends of a text.
  bool plain_normalizer = false;
};

// Throws std::invalid_argument if `bytes` is no ModelProto.
SentencePieceFile parse_sentencepiece_file(std::string_view bytes);

}  // namespace dhsa
