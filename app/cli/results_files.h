// What needle tests, sweeps and ablations share on the command line: lists of lengths, and result files that grow.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/common.h"
#include "core/text/haystack.h"

namespace dhsa::cli {

// Ascending token counts, each once: "4096,8192" or "4K,8K". Throws Error that names the option.
[[nodiscard]] std::vector<std::int64_t> token_counts(const std::string& text, const char* option);
[[nodiscard]] Haystack file_haystack(const std::string& path);
// Throws Error where `longest` tokens are more than the model's context and not allowed.
void check_context(std::int64_t longest, const LoadedModel& loaded, bool allow_long);
// False where the work was cancelled.
[[nodiscard]] bool run_or_stop(const std::function<void()>& work);

// The JSON and CSV files of a long piece of work, written whole after each part of it, so that what is there is valid
// whenever it stops.
class ResultsFiles {
 public:
  void add_to(CLI::App& app);  // --csv, --resume; --json belongs to OutputOptions
  // Refuses, before the work, what could not be written after it, and to write over unfinished results.
  void check(const std::string& json) const;
  // Takes `part` of the results that earlier() holds over into those asked for. Throws Error where they differ.
  template <class Results, class Part>
  void go_on(const std::string& json, Results& results, Results (*parse)(const std::string&, const std::string&),
             Part Results::*part) const {
    const std::optional<std::string> text = earlier(json);
    if (!text) return;
    Results file = parse(*text, json);
    refuse_other(json, difference(file, results));
    results.*part = std::move(file.*part);
  }
  template <class Results>
  void write(const std::string& json, const Results& results) const {
    write_both(json, results, to_csv(results));
  }
  // Says what became of the work that was cancelled; returns the exit code.
  [[nodiscard]] int stopped(const std::string& json, std::int64_t done, std::int64_t all, const char* what) const;

 private:
  // Text of the file to go on from; none without --resume, or where there is no such file yet.
  [[nodiscard]] std::optional<std::string> earlier(const std::string& json) const;
  static void refuse_other(const std::string& json, const std::string& difference);
  void write_both(const std::string& json, nlohmann::json results, const std::string& csv) const;

  std::string csv_;
  bool resume_ = false;
};

}  // namespace dhsa::cli
