// What LongBench reads: rows of a task, dataset2prompt.json, predictions and results.json. The same bytes are taken for
// each of them.
#include "core/experiments/longbench.h"
#include "tests/fuzz/results_target.h"

namespace {

using dhsa::fuzz::parses_or_refuses;
using dhsa::fuzz::require;

// Of each way of scoring but those that need the Chinese dictionary.
constexpr const char* kTasks[] = {"trec", "qasper", "gov_report", "passage_count", "passage_retrieval_en", "lcc"};

void read_predictions(const std::string& text, const dhsa::LongBenchTask& task) {
  const auto read = dhsa::parse_longbench_predictions(text, "file", task, {"City", "Other location"});
  require(read.samples.size() == read.answers.size() && read.samples.size() == read.lengths.size(),
          "answers and a length for each prediction");
  for (const dhsa::LongBenchSample& sample : read.samples) {
    require(sample.score >= 0 && sample.score <= 1, "a score is a share");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = dhsa::fuzz::text_of(data, size);
  const dhsa::LongBenchTask& trec = dhsa::longbench_task("trec");
  dhsa::LongBenchRow row;
  parses_or_refuses([&] {
    const auto rows = dhsa::parse_longbench_rows(text, "file", trec);
    require(!rows.empty(), "there is a row");
    row = rows.back();
  });
  parses_or_refuses([&] {
    for (const auto& [task, prompt] : dhsa::parse_longbench_prompts(text, "file", {"trec"})) {
      const auto filled = prompt.fill(row);
      require(filled.question <= filled.text.size(), "the question stands in the prompt");
    }
  });
  for (const char* task : kTasks) parses_or_refuses([&] { read_predictions(text, dhsa::longbench_task(task)); });
  dhsa::fuzz::results_read_back(data, size, dhsa::parse_longbench_results, [](const dhsa::LongBenchResults& results) {
    for (const auto& task : results.tasks) {
      require(task.samples.size() == results.methods.size(), "samples of each method");
    }
    (void)to_markdown(results);
  });
  return 0;
}
