#include "core/model/config.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::Gemma2Config config = dhsa::parse_config(dhsa::fuzz::text_of(data, size), "file");
    dhsa::fuzz::require(config.heads % config.kv_heads == 0 && config.head_dim % 8 == 0, "heads divide");
    dhsa::fuzz::require(config.local_layer.size() == static_cast<std::size_t>(config.layers), "every layer has a kind");
    dhsa::fuzz::require(config.parameters() > 0, "the number of weights does not overflow");
    const nlohmann::json written = dhsa::to_hugging_face(config, "float32");
    try {
      const dhsa::Gemma2Config again = dhsa::parse_config(written.dump(), "written");
      dhsa::fuzz::require(dhsa::to_hugging_face(again, "float32") == written, "what is written reads back equal");
    } catch (const dhsa::Error& error) {
      dhsa::fuzz::require(false, std::string("what is written reads back: ") + error.what());
    }
  });
  return 0;
}
