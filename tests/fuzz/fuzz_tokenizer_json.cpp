// tokenizer.json: pieces that SentencePiece's format holds, or a reason why not.
#include "core/text/sentencepiece_internal.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    try {
      const auto pieces = dhsa::parse_tokenizer_json(dhsa::fuzz::text_of(data, size));
      const auto written = dhsa::parse_sentencepiece_file(dhsa::write_sentencepiece_file(pieces));
      dhsa::fuzz::require(written.pieces.size() == pieces.size(), "every piece is written");
      for (std::size_t id = 0; id < pieces.size(); ++id) {
        dhsa::fuzz::require(!pieces[id].text.empty(), "no piece is empty");
        dhsa::fuzz::require(written.pieces[id].text == pieces[id].text && written.pieces[id].type == pieces[id].type,
                            "pieces are written as they are");
      }
    } catch (const std::invalid_argument& refused) {
      throw dhsa::Error(std::string(refused.what()) + ".");  // the tokenizer makes a sentence of it
    }
  });
  return 0;
}
