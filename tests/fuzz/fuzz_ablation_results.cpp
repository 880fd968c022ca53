#include "core/experiments/ablation.h"
#include "tests/fuzz/results_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::results_read_back(data, size, dhsa::parse_ablation_results, [](const dhsa::AblationResults& results) {
    for (const dhsa::AblationSample& sample : results.samples) {
      dhsa::fuzz::require(results.sample(sample.variant, sample.text) == &sample, "every sample is there once");
    }
    (void)dhsa::summarise(results);
  });
  return 0;
}
