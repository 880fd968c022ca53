#include "core/experiments/longbench_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/experiments/results_file_internal.h"
#include "core/files/atomic_write.h"
#include "core/files/sha256.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using results_file::Reader;

constexpr std::size_t kLargestFile = std::size_t{1} << 31U;
constexpr std::size_t kLongestText = std::size_t{64} << 20U;
constexpr std::size_t kMostTexts = 100000;  // answers or classes of a row
constexpr std::array kFields = {"context", "input", "dataset", "language", "_id", "length"};

std::vector<std::string> texts(const Reader& list) {
  std::vector<std::string> read;
  for (const Reader& item : list.list(kMostTexts)) read.push_back(item.text(kLongestText));
  return read;
}

LongBenchRow read_row(const Reader& from, const LongBenchTask& task) {
  LongBenchRow row;
  row.input = from["input"].text(kLongestText);
  row.context = from["context"].text(kLongestText);
  row.answers = texts(from["answers"]);
  if (const Reader classes = from["all_classes"]; !classes.value().is_null()) row.classes = texts(classes);
  row.length = from["length"].whole(0, 1 << 30);
  row.dataset = from["dataset"].text(256);
  row.language = from["language"].text(256);
  row.id = from["_id"].text(4096);
  if (row.dataset != task.name && row.dataset != fmt::format("{}_e", task.name)) {
    from["dataset"].refuse(fmt::format("\"{}\" in a file of that task", task.name));
  }
  if (task.metric == ScoreMetric::kRetrieval || task.metric == ScoreMetric::kRetrievalZh) {
    try {  // an answer that can be scored
      static_cast<void>(longbench_score(task, {}, row.answers, {}));
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", from.where(), error.what()));
    }
  }
  return row;
}

std::string file_of(const LongBenchTask& task, bool e) { return fmt::format("{}{}.jsonl", task.name, e ? "_e" : ""); }

std::vector<std::string> tasks_in(const fs::path& folder, bool e) {
  std::vector<std::string> tasks;
  for (const LongBenchTask& task : longbench_tasks()) {
    if ((task.in_e || !e) && fs::exists(folder / file_of(task, e))) tasks.emplace_back(task.name);
  }
  if (tasks.empty()) {
    throw Error(fmt::format("{} holds no file of a LongBench task; \"{}\" would be one.", folder.string(),
                            file_of(longbench_task("qasper"), e)));
  }
  return tasks;
}

}  // namespace

std::vector<LongBenchRow> parse_longbench_rows(std::string_view text, const std::string& where,
                                               const LongBenchTask& task) {
  std::vector<LongBenchRow> rows;
  std::int64_t number = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string here = fmt::format("{}, row {}", where, ++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const nlohmann::json parsed = parse_strict_json(line, here);
    rows.push_back(read_row(Reader(parsed, here), task));
  }
  if (rows.empty()) throw Error(fmt::format("{} holds no row.", where));
  return rows;
}

PromptTemplate::PromptTemplate(const std::string& text, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(fmt::format("{}: {}; the template is one of Python's str.format().", where, what));
  };
  std::string plain;
  bool context = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      plain += c;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      plain += c;
      ++at;
    } else if (c == '}') {
      refuse("a \"}\" stands alone");
    } else {
      const std::size_t end = text.find('}', at);
      if (end == std::string::npos) refuse("a \"{\" is not closed");
      const std::string name = text.substr(at + 1, end - at - 1);
      const auto field = std::find(kFields.begin(), kFields.end(), name);
      if (field == kFields.end()) refuse(fmt::format("rows have no field {} to fill in", brief_name(name)));
      parts_.push_back({std::exchange(plain, {}), static_cast<Field>(field - kFields.begin())});
      context = context || parts_.back().field == Field::kContext;
      at = end;
    }
  }
  end_ = std::move(plain);
  if (!context) refuse("it has no {context}");
}

PromptTemplate::Filled PromptTemplate::fill(const LongBenchRow& row) const {
  Filled filled;
  for (const Part& part : parts_) {
    filled.text += part.text;
    switch (part.field) {
      case Field::kContext:
        filled.text += row.context;
        filled.question = filled.text.size();
        break;
      case Field::kInput:
        filled.text += row.input;
        break;
      case Field::kDataset:
        filled.text += row.dataset;
        break;
      case Field::kLanguage:
        filled.text += row.language;
        break;
      case Field::kId:
        filled.text += row.id;
        break;
      case Field::kLength:
        filled.text += std::to_string(row.length);
        break;
    }
  }
  filled.text += end_;
  return filled;
}

std::map<std::string, PromptTemplate> parse_longbench_prompts(std::string_view text, const std::string& where,
                                                              const std::vector<std::string>& tasks) {
  const nlohmann::json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  std::map<std::string, PromptTemplate> prompts;
  for (const std::string& task : tasks) {
    const Reader prompt = file[task.c_str()];
    prompts.try_emplace(task, prompt.text(kLongestText), prompt.where());
  }
  return prompts;
}

LongBenchData read_longbench(const fs::path& folder, fs::path prompts, std::vector<std::string> tasks, bool e,
                             std::int64_t limit) {
  if (!fs::is_directory(folder)) throw Error(fmt::format("{} is no folder with LongBench's files.", folder.string()));
  for (const std::string& task : tasks) {
    if (std::count(tasks.begin(), tasks.end(), task) > 1) {
      throw Error(fmt::format("The task {} is named twice; name it once.", brief_name(task)));
    }
    if (!longbench_task(task).in_e && e) throw Error(fmt::format("LongBench-E has no task {}.", task));
  }
  if (tasks.empty()) tasks = tasks_in(folder, e);
  if (prompts.empty()) prompts = folder / "dataset2prompt.json";
  if (!fs::exists(prompts)) {
    throw Error(fmt::format("{} is not there; name LongBench's dataset2prompt.json with --prompts.", prompts.string()));
  }
  const std::string prompts_text = read_file(prompts, kLargestFile);
  std::map<std::string, PromptTemplate> templates = parse_longbench_prompts(prompts_text, prompts.string(), tasks);

  LongBenchData data;
  data.name = fs::weakly_canonical(folder).filename().string();
  std::string digests = sha256(prompts_text);
  for (const std::string& name : tasks) {
    const LongBenchTask& task = longbench_task(name);
    const fs::path path = folder / file_of(task, e);
    if (!fs::exists(path)) {
      throw Error(
          fmt::format("{} is not there; that folder holds {}.", path.string(), fmt::join(tasks_in(folder, e), ", ")));
    }
    const std::string text = read_file(path, kLargestFile);
    std::vector<LongBenchRow> rows = parse_longbench_rows(text, path.string(), task);
    if (limit > 0 && static_cast<std::size_t>(limit) < rows.size()) rows.resize(static_cast<std::size_t>(limit));
    digests += sha256(text);
    data.sets.push_back({&task, std::move(rows), std::move(templates.at(name))});
  }
  data.digest = sha256(digests);
  return data;
}

}  // namespace dhsa
