// tokenizer.model: SentencePiece's own file, read as far as the core reads it.
#include "core/text/sentencepiece_internal.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    try {
      std::string bytes = dhsa::fuzz::text_of(data, size);
      const auto file = dhsa::parse_sentencepiece_file(bytes);
      for (const auto& piece : file.pieces) {
        dhsa::fuzz::require(piece.text.size() <= dhsa::kLongestPiece, "no piece is longer than the longest");
        dhsa::fuzz::require(piece.type_offset < size, "types are written in the file");
      }
      dhsa::append_piece(bytes, {"one more", 0, dhsa::PieceType::kControl, 0});
      const auto more = dhsa::parse_sentencepiece_file(bytes);
      dhsa::fuzz::require(more.pieces.size() == file.pieces.size() + 1 && more.pieces.back().text == "one more",
                          "a piece that is added stands last");
      const auto written = dhsa::parse_sentencepiece_file(dhsa::write_sentencepiece_file(file.pieces));
      dhsa::fuzz::require(written.pieces.size() == file.pieces.size(), "every piece is written");
    } catch (const std::invalid_argument& refused) {
      throw dhsa::Error(std::string(refused.what()) + ".");  // the tokenizer makes a sentence of it
    }
  });
  return 0;
}
