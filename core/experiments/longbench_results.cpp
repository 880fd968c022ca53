// The folder that a LongBench run leaves.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/experiments/longbench.h"
#include "core/experiments/results_file_internal.h"
#include "core/files/atomic_write.h"
#include "core/files/leftovers.h"
#include "core/files/sha256.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using results_file::Reader;

constexpr const char* kKind = "dhsa-longbench";
constexpr std::size_t kLargestFile = std::size_t{1} << 31U;
constexpr std::size_t kLongestText = std::size_t{64} << 20U;
constexpr std::size_t kMostTexts = 100000;
constexpr std::int64_t kMostRows = std::int64_t{1} << 40U;
constexpr std::size_t kLongestName = 200;  // of a folder: file systems allow 255 bytes

std::vector<std::string> texts(const Reader& list) {
  std::vector<std::string> found;
  for (const Reader& item : list.list(kMostTexts)) found.push_back(item.text(kLongestText));
  return found;
}

json settings_json(const LongBenchResults& results) {
  const LongBenchSettings& settings = results.settings;
  json tasks = json::array();
  for (const LongBenchTaskResults& task : results.tasks) {
    tasks.push_back({{"task", task.task->name}, {"rows", task.rows}});
    if (!task.classes.empty()) tasks.back()["classes"] = task.classes;
  }
  return {{"preset", settings.preset},
          {"max_length", settings.max_length},
          {"truncate", name_of(settings.truncate)},
          {"chat", settings.chat},
          {"mode", name_of(settings.mode)},
          {"longbench_e", settings.e},
          {"limit", settings.limit},
          {"data", results.data},
          {"digest", results.digest},
          {"tasks", std::move(tasks)}};
}

void read_settings(const Reader& from, LongBenchResults& results) {
  from.only({"preset", "max_length", "truncate", "chat", "mode", "longbench_e", "limit", "data", "digest", "tasks"});
  LongBenchSettings& settings = results.settings;
  settings = longbench_preset(from["preset"].text(256));
  settings.max_length = from["max_length"].whole(1, std::int64_t{1} << 40U);
  settings.truncate = truncation(from["truncate"].text(256));
  settings.chat = from["chat"].flag();
  settings.mode = longbench_mode(from["mode"].text(256));
  settings.e = from["longbench_e"].flag();
  settings.limit = from["limit"].whole(0, std::numeric_limits<std::int64_t>::max());
  check_settings(settings);
  results.data = from["data"].text(4096);
  results.digest = from["digest"].text(256);
  for (const Reader& item : from["tasks"].list(longbench_tasks().size())) {
    item.only({"task", "rows", "classes"});
    LongBenchTaskResults task;
    task.task = &longbench_task(item["task"].text(256));
    task.rows = item["rows"].whole(1, kMostRows);
    if (item.has("classes")) task.classes = texts(item["classes"]);
    for (const LongBenchTaskResults& other : results.tasks) {
      if (other.task == task.task) item["task"].refuse("there once only");
    }
    results.tasks.push_back(std::move(task));
  }
}

results_file::Head head_of(const LongBenchResults& results) {
  return results_file::head_of(results, settings_json(results));
}

json percent_json(std::optional<double> percent) { return percent ? json(*percent) : json(); }

json lines_json(const LongBenchResults& results, const std::vector<LongBenchLine>& lines) {
  json list = json::array();
  for (const LongBenchLine& line : lines) {
    if (line.kind == LongBenchLine::Kind::kTask) continue;
    json scores = json::object();
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      scores[results.methods[m].name] = percent_json(line.percents[m]);
    }
    list.push_back({{"label", line.label}, {"scores", std::move(scores)}});
  }
  return list;
}

json scores_json(const LongBenchResults& results) {
  json list = json::array();
  for (const LongBenchTaskResults& task : results.tasks) {
    json methods = json::array();
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      json entry = task.summary(m);
      entry.update({{"method", results.methods[m].name},
                    {"rows", task.samples[m].size()},
                    {"score", percent_json(task.percent(m))}});
      if (results.settings.e) {
        const BucketScores buckets = task.buckets(m);
        for (std::size_t b = 0; b < buckets.size(); ++b)
          entry["by_length"][kLengthBuckets[b]] = percent_json(buckets[b]);
      }
      methods.push_back(std::move(entry));
    }
    list.push_back({{"task", task.task->name},
                    {"group", label_of(task.task->group)},
                    {"metric", name_of(task.task->metric)},
                    {"methods", std::move(methods)}});
  }
  return list;
}

std::string folder_name(const std::string& method) {
  std::string name = method;
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.starts_with('.')) name[0] = '_';
  if (name.size() > kLongestName) {
    const std::string digest = "-" + sha256(method).substr(0, 16);
    name.resize(kLongestName - digest.size());
    name += digest;
  }
  return name;
}

fs::path predictions_path(const fs::path& folder, const LongBenchResults& results, std::size_t task,
                          std::size_t method) {
  return folder / (results.settings.e ? "pred_e" : "pred") / folder_name(results.methods[method].name) /
         fmt::format("{}.jsonl", results.tasks[task].task->name);
}

[[noreturn]] void refuse_to_write(const fs::path& path) {
  throw Error(fmt::format("{} cannot be written: {}.", path.string(), std::strerror(errno)));
}

// In one piece and on disk before it returns.
void append(const fs::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) refuse_to_write(path);
  const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  const int fault = errno;
  ::close(file);
  errno = fault;
  if (!whole) refuse_to_write(path);
}

std::string whole_lines(std::string text) {
  text.resize(text.rfind('\n') + 1);  // npos + 1 is 0
  return text;
}

// Ends every file of predictions with its last whole line, and removes what a run that was killed left half written.
void drop_half_written(const fs::path& folder, const LongBenchResults& results) {
  remove_leftovers(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) remove_leftovers(entry.path());
  }
  for (std::size_t t = 0; t < results.tasks.size(); ++t) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const fs::path path = predictions_path(folder, results, t, m);
      if (!fs::exists(path)) continue;
      const std::string text = read_file(path, kLargestFile);
      if (const std::string whole = whole_lines(text); whole != text) write_file(path, whole);
    }
  }
}

}  // namespace

void to_json(json& out, const LongBenchResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  out["mode_says"] = longbench_mode_text(results.settings.mode);
  out["scores"] = scores_json(results);
  out["english"] = lines_json(results, longbench_table(results, false));
  out["chinese"] = lines_json(results, longbench_table(results, true));
}

void write_longbench_tables(const fs::path& folder, const LongBenchResults& results) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(fmt::format("The folder {} cannot be made: {}.", folder.string(), failed.message()));
  const json out = results;
  write_file(folder / "results.json", out.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  write_file(folder / "results.csv", to_csv(results));
  write_file(folder / "results.md", to_markdown(results));
}

void append_longbench_answer(const fs::path& folder, const LongBenchResults& results, const LongBenchPlace& place,
                             const LongBenchRow& row) {
  const LongBenchSample& sample = results.tasks[place.task].samples[place.method].at(place.row);
  nlohmann::ordered_json line;
  line["pred"] = sample.prediction;
  line["answers"] = row.answers;
  line["all_classes"] = row.classes.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(row.classes);
  line["length"] = row.length;
  line["_id"] = row.id;
  line["tokens"] = sample.tokens;
  line["whole_tokens"] = sample.whole_tokens;
  const json measured = sample.values;
  for (const auto& [key, value] : measured.items()) line[key] = value;
  const fs::path path = predictions_path(folder, results, place.task, place.method);
  std::error_code ignored;  // open() says what is wrong
  fs::create_directories(path.parent_path(), ignored);
  append(path, line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  write_longbench_tables(folder, results);
}

LongBenchPredictions parse_longbench_predictions(std::string_view text, const std::string& where,
                                                 const LongBenchTask& task, const std::vector<std::string>& classes) {
  LongBenchPredictions read;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string here = fmt::format("{}, line {}", where, read.samples.size() + 1);
    const json parsed = parse_strict_json(line, here);
    const Reader from(parsed, here);
    read.answers.push_back(texts(from["answers"]));
    if (const Reader all = from["all_classes"]; !all.value().is_null()) (void)texts(all);
    read.lengths.push_back(from["length"].whole(0, 1 << 30));
    read.ids.push_back(from["_id"].text(4096));
    LongBenchSample sample;
    sample.prediction = from["pred"].text(kLongestText);
    sample.tokens = from["tokens"].whole(1, std::int64_t{1} << 40U);
    sample.whole_tokens = from["whole_tokens"].whole(1, std::int64_t{1} << 40U);
    sample.values =
        results_file::read_values(from, {"pred", "answers", "all_classes", "length", "_id", "tokens", "whole_tokens"});
    results_file::check_values(from, sample.values, {"density"});
    read.samples.push_back(std::move(sample));
  }
  for (std::size_t i = 0; i < read.samples.size(); ++i) {
    read.samples[i].score = longbench_score(task, read.samples[i].prediction, read.answers[i], classes);
  }
  return read;
}

LongBenchResults parse_longbench_results(const std::string& text, const std::string& where) {
  const json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  LongBenchResults results;
  results_file::Head head =
      results_file::read_head(file, kKind, "LongBench run", {"mode_says", "scores", "english", "chinese"},
                              [&](const Reader& from) { read_settings(from, results); });
  results_file::take_head(results, head);
  for (LongBenchTaskResults& task : results.tasks) task.samples.resize(results.methods.size());
  return results;
}

void read_longbench_predictions(const fs::path& folder, LongBenchResults& results) {
  for (std::size_t t = 0; t < results.tasks.size(); ++t) {
    LongBenchTaskResults& task = results.tasks[t];
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const fs::path path = predictions_path(folder, results, t, m);
      if (!fs::exists(path)) continue;
      LongBenchPredictions read = parse_longbench_predictions(whole_lines(read_file(path, kLargestFile)), path.string(),
                                                              *task.task, task.classes);
      if (static_cast<std::int64_t>(read.samples.size()) > task.rows) {
        throw Error(
            fmt::format("{} holds more predictions than the {} rows that were asked.", path.string(), task.rows));
      }
      if (read.lengths.size() > task.lengths.size()) {
        task.lengths = std::move(read.lengths);
        task.answers = std::move(read.answers);
      }
      task.samples[m] = std::move(read.samples);
    }
  }
}

LongBenchResults read_longbench_results(const fs::path& folder) {
  const std::string where = (folder / "results.json").string();
  LongBenchResults results = parse_longbench_results(read_file(where, kLargestFile), where);
  read_longbench_predictions(folder, results);
  return results;
}

void begin_longbench_folder(const fs::path& folder, LongBenchResults& results) {
  const bool there = fs::exists(folder / "results.json");
  if (!there && fs::exists(folder)) {
    const bool is_new = fs::is_directory(folder) &&
                        std::all_of(fs::directory_iterator(folder), fs::directory_iterator(),
                                    [](const fs::directory_entry& entry) { return is_leftover(entry.path()); });
    if (!is_new) {
      throw Error(fmt::format("{} is no empty folder and holds no results; name another folder.", folder.string()));
    }
    drop_half_written(folder, results);
  }
  if (there) {
    LongBenchResults file = read_longbench_results(folder);
    if (const std::string other = difference(file, results); !other.empty()) {
      throw Error(fmt::format("{} cannot be continued: {}.", folder.string(), other));
    }
    drop_half_written(folder, file);
    results.tasks = std::move(file.tasks);
  }
  write_longbench_tables(folder, results);
}

std::string difference(const LongBenchResults& file, const LongBenchResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
