// What needle tests and sweeps share on the command line: lists of lengths, and result files that grow.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/cli/common.h"

namespace dhsa::cli {

// Ascending token counts, each once; "4096,8192" or "4K,8K". Throws Error that names the option.
[[nodiscard]] std::vector<std::int64_t> token_counts(const std::string& text, const char* option);

// The JSON and CSV files of a long piece of work, written whole after each part of it, so that what is there is valid
// whenever it stops.
class ResultsFiles {
 public:
  void add_to(CLI::App& app);  // --csv, --resume; --json belongs to OutputOptions
  // Refuses what cannot be written, and a file in the way that is not to be continued. Call before the work.
  void check(const std::string& json) const;
  // The text of the file to go on from; empty where there is none or nothing is to be continued.
  [[nodiscard]] std::string earlier(const std::string& json) const;
  void write(const std::string& json, nlohmann::json results, const std::string& csv) const;

 private:
  std::string csv_;
  bool resume_ = false;
};

}  // namespace dhsa::cli
