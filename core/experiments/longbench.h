// LongBench: every method reads the prompts of every task, answers greedily, and is scored as the official script does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/experiments/longbench_data.h"
#include "core/experiments/longbench_prompt.h"
#include "core/experiments/longbench_tasks.h"

namespace dhsa {

struct LongBenchSample {
  std::string prediction;
  double score = 0;               // 0 to 1
  std::int64_t tokens = 0;        // of the prompt as it was read
  std::int64_t whole_tokens = 0;  // before it was cut
  Values values;                  // of the measure density, over all layers
};

// One task: what its rows are scored against, and the samples of every method so far.
struct LongBenchTaskResults {
  const LongBenchTask* task = nullptr;
  std::int64_t rows = 0;                              // asked for
  std::vector<std::string> classes;                   // of the data's last row: the script scores every row with these
  std::vector<std::vector<LongBenchSample>> samples;  // [methods][rows so far]
  // Of the rows of the method that is furthest:
  std::vector<std::int64_t> lengths;
  std::vector<std::vector<std::string>> answers;

  [[nodiscard]] bool finished() const;
  [[nodiscard]] std::optional<double> percent(std::size_t method) const;  // none before its first sample
  [[nodiscard]] BucketScores buckets(std::size_t method) const;
  [[nodiscard]] Values summary(std::size_t method) const;  // means over samples
};

// Where an answer belongs.
struct LongBenchPlace {
  std::size_t task = 0;
  std::size_t row = 0;
  std::size_t method = 0;
};

struct LongBenchResults : ExperimentResults<LongBenchSettings> {
  std::string data;    // name of the data's folder
  std::string digest;  // of the data
  std::vector<LongBenchTaskResults> tasks;

  [[nodiscard]] bool finished() const;
  [[nodiscard]] ExperimentCount count() const;             // of answers
  [[nodiscard]] Values summary(std::size_t method) const;  // means over all samples
  // Answers are numbered in the order of the work: every method answers a row before the next one.
  [[nodiscard]] LongBenchPlace place(std::size_t answer) const;
};
// Nothing answered yet; model and fingerprint empty.
[[nodiscard]] LongBenchResults begin_longbench(const LongBenchSettings& settings, const LongBenchData& data,
                                               std::vector<MethodChoice> methods);

// A line of the tables: a task, the mean of a group, or the mean of the groups.
struct LongBenchLine {
  enum class Kind : std::uint8_t { kTask, kGroup, kAverage };
  Kind kind = Kind::kTask;
  std::string label;
  std::vector<std::optional<double>> percents;  // [methods]
};
// Tasks by group as in the paper, English or Chinese (code is in both). Empty where no task of the language was asked.
[[nodiscard]] std::vector<LongBenchLine> longbench_table(const LongBenchResults& results, bool chinese);
// LongBench-E: each task by the length of its rows.
[[nodiscard]] std::vector<LongBenchLine> longbench_e_table(const LongBenchResults& results);

// Its cells are answers; updated() comes once there is one more, with its number.
using LongBenchOptions = ExperimentOptions<LongBenchResults>;
// Goes on from what `results` holds to the end. Throws Error on what cannot be, before anything has run; Cancelled.
void run_longbench(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchData& data,
                   LongBenchResults& results, const LongBenchOptions& options = {},
                   const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr);

// ---- the folder that a run leaves: results.json, .csv and .md, and pred/METHOD/TASK.jsonl (pred_e/ of LongBench-E) in
// the official form, one line for each answer, added whole. Whenever a run ends, even by force, it can go on from there
// and leaves the same files as one that was not interrupted.

void to_json(nlohmann::json& json, const LongBenchResults& results);  // settings, methods, tables
[[nodiscard]] std::string to_csv(const LongBenchResults& results);
[[nodiscard]] std::string to_markdown(const LongBenchResults& results);
// results.json, .csv and .md.
void write_longbench_tables(const std::filesystem::path& folder, const LongBenchResults& results);
// Adds an answer to the end of its file, and writes the tables with it.
void append_longbench_answer(const std::filesystem::path& folder, const LongBenchResults& results,
                             const LongBenchPlace& place, const LongBenchRow& row);
// results.json alone: what was asked, no answers yet. Throws Error that begins with `where`.
[[nodiscard]] LongBenchResults parse_longbench_results(const std::string& text, const std::string& where);
// The answers beside it, a line that was left half written aside. Throws Error on anything a run could not have left.
void read_longbench_predictions(const std::filesystem::path& folder, LongBenchResults& results);
[[nodiscard]] LongBenchResults read_longbench_results(const std::filesystem::path& folder);  // both
// The predictions of one task and method, as a file of them holds them.
struct LongBenchPredictions {
  std::vector<LongBenchSample> samples;
  std::vector<std::int64_t> lengths;
  std::vector<std::vector<std::string>> answers;
  std::vector<std::string> ids;
};
[[nodiscard]] LongBenchPredictions parse_longbench_predictions(std::string_view text, const std::string& where,
                                                               const LongBenchTask& task,
                                                               const std::vector<std::string>& classes);
// Takes over what an earlier run left in the folder, whatever way it ended, or begins the folder with empty tables.
// Throws Error where it holds results of other settings, or something else.
void begin_longbench_folder(const std::filesystem::path& folder, LongBenchResults& results);
// Empty where `file` can be continued as `asked`, else a sentence's part.
[[nodiscard]] std::string difference(const LongBenchResults& file, const LongBenchResults& asked);

}  // namespace dhsa
