#include "core/experiments/needle.h"
#include "tests/fuzz/results_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::results_read_back(data, size, dhsa::parse_needle_results, [](const dhsa::NeedleResults& results) {
    for (const dhsa::NeedleCell& cell : results.cells) {
      dhsa::fuzz::require(cell.scores.size() == results.methods.size(), "a score for each method");
      dhsa::fuzz::require(results.cell(cell.length, cell.depth) == &cell, "every cell is there once");
    }
  });
  return 0;
}
