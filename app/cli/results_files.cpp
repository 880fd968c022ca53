#include "app/cli/results_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/table.h"
#include "core/files/atomic_write.h"
#include "core/files/leftovers.h"
#include "core/files/strict_json.h"

namespace dhsa::cli {
namespace {

constexpr std::size_t kLargestResults = std::size_t{256} << 20U;

// A file of ours that says of itself that there is more to come.
bool unfinished(const std::string& path) {
  try {
    const nlohmann::json results = parse_strict_json(read_file(path, kLargestResults), path);
    return results.is_object() && results.contains("finished") && results["finished"] == false;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::vector<std::int64_t> token_counts(const std::string& text, const char* option) {
  std::vector<std::int64_t> counts;
  for (const std::string& part : split_list(text)) {
    const bool thousands = part.back() == 'K' || part.back() == 'k';
    const std::string digits = thousands ? part.substr(0, part.size() - 1) : part;
    const bool number = !digits.empty() && digits.size() <= 8 &&
                        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::int64_t tokens = number ? std::stoll(digits) * (thousands ? 1024 : 1) : 0;
    if (tokens < 1) {
      throw Error(
          fmt::format("{}: {} is not a number of tokens; give for example 4096 or 4K.", option, in_quotes(part)));
    }
    counts.push_back(tokens);
  }
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts.empty()) throw Error(fmt::format("{} names no length.", option));
  return counts;
}

void LengthsChoice::add_own(CLI::App& app, const std::string& group, const char* methods_for,
                            const char* lengths_help) {
  app.add_option("--methods", methods, method_names_help(methods_for, methods))->type_name("NAMES")->group(group);
  app.add_option("--lengths", lengths, fmt::format("{} [default {}]", lengths_help, lengths))
      ->type_name("LIST")
      ->group(group);
  app.add_option("--haystack", haystack, "Text file to take the texts from [default: prose from a generator]")
      ->type_name("FILE")
      ->group(group);
}

Haystack LengthsChoice::read_haystack() const {
  if (haystack.empty()) return {};
  return {std::filesystem::path(haystack).filename().string(), read_text(haystack)};
}

void check_context(std::int64_t longest, const OpenModel& loaded, bool allow_long) {
  const std::int64_t context = loaded.model->config().context;
  if (longest <= context || allow_long) return;
  throw Error(fmt::format(
      "{} tokens are more than the model's context of {}; ask for shorter texts or run them with --allow-long.",
      count(longest), count(context)));
}

bool run_or_stop(const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const Cancelled&) {
    return false;
  }
}

void ResultsFiles::add_to(CLI::App& app) {
  add_output(app, "--csv", csv_, "Also write the results to this file as CSV");
  app.add_flag("--resume", resume_,
               "Go on from the results in the file that --json names; refused where it was made with other settings")
      ->group("Output");
}

std::vector<FileLock> ResultsFiles::hold(const std::string& json) const {
  if (resume_ && json.empty()) throw Error("--resume goes on from the file that --json names; name one.");
  if (!json.empty() && !csv_.empty() &&
      std::filesystem::weakly_canonical(json) == std::filesystem::weakly_canonical(csv_)) {
    throw Error(fmt::format("--json and --csv both name {}; name two files.", json));
  }
  std::vector<FileLock> held;
  for (const std::string& path : {json, csv_}) {
    if (path.empty()) continue;
    if (resume_) remove_leftovers(std::filesystem::absolute(path).parent_path());
    if (std::filesystem::is_directory(path)) throw Error(fmt::format("{} is a folder; name a file.", path));
    const AtomicFile probe(path);  // leaves nothing
    held.emplace_back(path);
  }
  if (!resume_ && !json.empty() && std::filesystem::exists(json) && unfinished(json)) {
    throw Error(
        fmt::format("{} holds unfinished results; add --resume to go on with them, or name another file.", json));
  }
  return held;
}

std::optional<std::string> ResultsFiles::earlier(const std::string& json) const {
  if (!resume_ || !std::filesystem::exists(json)) return std::nullopt;
  return read_file(json, kLargestResults);
}

void ResultsFiles::write(const std::string& json, nlohmann::json results, const std::string& csv) const {
  if (!json.empty()) {
    results["machine"] = machine_json();
    // Answers may hold any bytes the model makes up.
    write_file(json, results.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  if (!csv_.empty()) write_file(csv_, csv);
}

int ResultsFiles::stopped(const std::string& json, const ExperimentCount& count, const char* what) const {
  std::string kept = "nothing was written";
  if (count.done > 0 && !json.empty()) kept = fmt::format("{} has them, and --resume goes on", json);
  if (count.done > 0 && json.empty()) kept = csv_.empty() ? "they are shown above" : fmt::format("{} has them", csv_);
  say(fmt::format("dhsa: Cancelled after {} of {} {}; {}.\n", count.done, count.all, what, kept));
  return 1;
}

}  // namespace dhsa::cli
