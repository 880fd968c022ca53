#include "core/experiments/suite.h"
#include "tests/fuzz/results_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::results_read_back(data, size, dhsa::parse_suite_results, [](const dhsa::SuiteResults& results) {
    for (const dhsa::SuiteCell& cell : results.cells) {
      dhsa::fuzz::require(cell.scores.size() == results.methods.size(), "a score for each method");
      dhsa::fuzz::require(results.cell(*cell.task, cell.length) == &cell, "every cell is there once");
      for (const dhsa::SuiteScore& score : cell.scores) {
        dhsa::fuzz::require(score.answers.size() == cell.questions.size(), "an answer to each question");
      }
    }
    (void)to_markdown(results);
  });
  return 0;
}
