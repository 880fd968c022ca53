#include "app/cli/results_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/table.h"
#include "core/files/atomic_write.h"

namespace dhsa::cli {

std::vector<std::int64_t> token_counts(const std::string& text, const char* option) {
  std::vector<std::int64_t> counts;
  for (const std::string& part : split_list(text)) {
    const bool thousands = part.back() == 'K' || part.back() == 'k';
    const std::string digits = thousands ? part.substr(0, part.size() - 1) : part;
    const bool number = !digits.empty() && digits.size() <= 8 &&
                        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::int64_t tokens = number ? std::stoll(digits) * (thousands ? 1024 : 1) : 0;
    if (tokens < 1) throw Error(fmt::format("{}: {} is not a number of tokens.", option, in_quotes(part)));
    counts.push_back(tokens);
  }
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts.empty()) throw Error(fmt::format("{} names no length.", option));
  return counts;
}

void ResultsFiles::add_to(CLI::App& app) {
  app.add_option("--csv", csv_, "Also write the results to this file as CSV")->type_name("FILE")->group("Output");
  app.add_flag("--resume", resume_,
               "Go on from the results in the file that --json names; refused where it was made with other settings")
      ->group("Output");
}

void ResultsFiles::check(const std::string& json) const {
  if (resume_ && json.empty()) throw Error("--resume goes on from the file that --json names; name one.");
  for (const std::string& path : {json, csv_}) {
    if (path.empty()) continue;
    if (std::filesystem::is_directory(path)) throw Error(fmt::format("{} is a folder; name a file.", path));
    const AtomicFile probe(path);  // leaves nothing
  }
}

std::string ResultsFiles::earlier(const std::string& json) const {
  return resume_ && std::filesystem::exists(json) ? read_file(json, std::size_t{256} << 20U) : std::string();
}

void ResultsFiles::write(const std::string& json, nlohmann::json results, const std::string& csv) const {
  if (!json.empty()) {
    results["machine"] = machine_json();
    write_file(json, results.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  if (!csv_.empty()) write_file(csv_, csv);
}

}  // namespace dhsa::cli
