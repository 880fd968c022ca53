#include "core/files/npy.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    std::size_t total = 0;
    for (const auto& [name, array] : dhsa::parse_npz(dhsa::fuzz::bytes_of(data, size), "file")) {
      total += array.bytes.size();
    }
    dhsa::fuzz::require(total <= size, "arrays are no larger than their file");
  });
  return 0;
}
