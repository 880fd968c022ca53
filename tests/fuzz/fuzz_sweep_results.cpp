#include "core/evaluate/sweep.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::SweepResults results = dhsa::parse_sweep_results(dhsa::fuzz::text_of(data, size), "file");
    for (const dhsa::SweepPoint& point : results.points) {
      dhsa::fuzz::require(point.method < results.methods.size(), "every point has a method");
    }
    const nlohmann::json written = results;
    try {
      const dhsa::SweepResults again = dhsa::parse_sweep_results(written.dump(), "written");
      dhsa::fuzz::require(nlohmann::json(again) == written, "what is written reads back equal");
      dhsa::fuzz::require(dhsa::difference(again, results).empty(), "it can be gone on from");
    } catch (const dhsa::Error& error) {
      dhsa::fuzz::require(false, std::string("what is written reads back: ") + error.what());
    }
    (void)dhsa::to_csv(results);
  });
  return 0;
}
