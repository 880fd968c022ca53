#include "core/files/safetensors.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    for (const auto& [tensor, shard] : dhsa::parse_safetensors_index(dhsa::fuzz::text_of(data, size), "file")) {
      dhsa::fuzz::require(std::filesystem::path(shard).filename() == shard && shard != "." && shard != ".." &&
                              shard.find('\0') == std::string::npos,
                          "shards lie in the folder");
    }
  });
  return 0;
}
