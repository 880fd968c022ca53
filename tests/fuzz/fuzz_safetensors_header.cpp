#include <cstring>
#include <vector>

#include "core/files/safetensors.h"
#include "tests/fuzz/target.h"

namespace {

void drive(std::span<const std::byte> head, std::uint64_t file_size) {
  dhsa::fuzz::parses_or_refuses([&] {
    std::map<std::string, dhsa::TensorInfo> tensors;
    std::map<std::string, std::string> metadata;
    std::uint64_t data_at = 0;
    dhsa::parse_safetensors_header(head, file_size, "file", tensors, metadata, data_at);
    std::uint64_t data = 0;
    for (const auto& [name, info] : tensors) {
      dhsa::fuzz::require(info.begin <= info.end && info.end <= file_size - data_at, "tensors lie in the file");
      dhsa::fuzz::require(info.elements() >= 0, "no count overflows");
      data += info.end - info.begin;
    }
    dhsa::fuzz::require(data_at + data == file_size, "tensors are all of the file");
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  drive(dhsa::fuzz::bytes_of(data, size), size);
  if (size < 8) return 0;
  // Again with the length put right, which a mutated header almost never has.
  std::vector<std::byte> corrected(size);
  const std::uint64_t length = size - 8;
  std::memcpy(corrected.data(), &length, sizeof(length));
  if (length > 0) std::memcpy(corrected.data() + 8, data + 8, length);
  for (const std::uint64_t tail : {0U, 24U}) drive(corrected, size + tail);
  return 0;
}
