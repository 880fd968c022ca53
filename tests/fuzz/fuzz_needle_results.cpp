#include "core/evaluate/needle.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::NeedleResults results = dhsa::parse_needle_results(dhsa::fuzz::text_of(data, size), "file");
    for (const dhsa::NeedleCell& cell : results.cells) {
      dhsa::fuzz::require(cell.scores.size() == results.methods.size(), "a score for each method");
      dhsa::fuzz::require(results.cell(cell.length, cell.depth) == &cell, "every cell is there once");
    }
    const nlohmann::json written = results;
    try {
      const dhsa::NeedleResults again = dhsa::parse_needle_results(written.dump(), "written");
      dhsa::fuzz::require(nlohmann::json(again) == written, "what is written reads back equal");
      dhsa::fuzz::require(dhsa::difference(again, results).empty(), "it can be gone on from");
    } catch (const dhsa::Error& error) {
      dhsa::fuzz::require(false, std::string("what is written reads back: ") + error.what());
    }
    (void)dhsa::to_csv(results);
  });
  return 0;
}
