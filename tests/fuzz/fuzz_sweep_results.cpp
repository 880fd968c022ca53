#include "core/experiments/sweep.h"
#include "tests/fuzz/results_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::results_read_back(data, size, dhsa::parse_sweep_results, [](const dhsa::SweepResults& results) {
    for (const dhsa::SweepPoint& point : results.points) {
      dhsa::fuzz::require(point.method < results.methods.size(), "every point has a method");
    }
  });
  return 0;
}
