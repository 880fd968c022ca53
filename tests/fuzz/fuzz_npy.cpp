#include "core/files/npy.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::NpyArray array = dhsa::parse_npy(dhsa::fuzz::bytes_of(data, size), "file");
    const dhsa::NpyArray again = dhsa::parse_npy(dhsa::npy_bytes(array), "written");
    dhsa::fuzz::require(again.descr == array.descr && again.shape == array.shape && again.bytes == array.bytes,
                        "what is written reads back equal");
  });
  return 0;
}
