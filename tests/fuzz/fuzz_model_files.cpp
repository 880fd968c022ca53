// The files beside a model's configuration and tokenizer: generation_config.json, tokenizer_config.json,
// added_tokens.json, chat templates. The same bytes are taken for each of them.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/model/config.h"
#include "core/text/chat.h"
#include "core/text/sentencepiece_internal.h"
#include "core/text/tokenizer_config.h"
#include "tests/fuzz/target.h"

namespace {

constexpr std::int64_t kVocabulary = 300;

void read_as(const std::filesystem::path& folder, const char* name, const std::string& text) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary) << text;
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::TokenizerConfig config = dhsa::read_tokenizer_config(folder);
    (void)dhsa::speaks_in_turns(config);
    const std::vector<dhsa::SentencePieceFile::Piece> own(256);
    const auto added = dhsa::added_pieces(config, own, kVocabulary);
    dhsa::fuzz::require(static_cast<std::int64_t>(own.size() + added.size()) <= kVocabulary,
                        "no token is added beyond the vocabulary");
    for (const auto& piece : added) dhsa::fuzz::require(!piece.text.empty(), "every added token has a name");
  });
  std::filesystem::remove(folder / name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = dhsa::fuzz::text_of(data, size);
  dhsa::fuzz::parses_or_refuses([&] {
    dhsa::Gemma2Config config;
    config.vocab_size = kVocabulary;
    dhsa::add_generation_config(text, "file", config);
    dhsa::fuzz::require(std::all_of(config.stop_tokens.begin(), config.stop_tokens.end(),
                                    [](std::int32_t token) { return token >= 0 && token < kVocabulary; }),
                        "stop tokens are in the vocabulary");
  });
  (void)dhsa::is_written_chat(text);
  const auto folder = std::filesystem::temp_directory_path() / ("fuzz-model-files-" + std::to_string(getpid()));
  for (const char* name : {"tokenizer_config.json", "added_tokens.json", "chat_template.json", "chat_template.jinja"}) {
    read_as(folder, name, text);
  }
  std::filesystem::remove_all(folder);
  return 0;
}
