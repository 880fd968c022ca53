#include "core/experiments/scores_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/experiments/longbench_tasks.h"
#include "core/experiments/results_file_internal.h"
#include "core/experiments/scores.h"
#include "core/files/strict_json.h"
#include "core/text/jieba.h"
#include "core/text/unicode.h"

namespace dhsa {
namespace {

using results_file::Reader;

constexpr std::size_t kMostCases = 1000000;
constexpr std::size_t kLongestText = std::size_t{16} << 20U;
constexpr const char* kRulerTasks[] = {"niah_single_1",
                                       "niah_single_2",
                                       "niah_single_3",
                                       "niah_multikey_1",
                                       "niah_multikey_2",
                                       "niah_multikey_3",
                                       "niah_multivalue",
                                       "niah_multiquery",
                                       "vt",
                                       "cwe",
                                       "fwe",
                                       "qa_1",
                                       "qa_2"};

std::vector<std::string> texts(const Reader& list) {
  std::vector<std::string> read;
  for (const Reader& item : list.list(kMostCases)) read.push_back(item.text(kLongestText));
  return read;
}

std::vector<std::string> classes_of(const Reader& item) {
  if (!item.has("all_classes") || item["all_classes"].value().is_null()) return {};
  return texts(item["all_classes"]);
}

void check_sample(const Reader& item, const std::string& name, std::vector<ScoreCheck>& checks) {
  const LongBenchTask& task = longbench_task(item["dataset"].text(256));
  const double computed =
      longbench_score(task, item["prediction"].text(kLongestText), texts(item["answers"]), classes_of(item));
  checks.push_back({fmt::format("{}, {}", task.name, name), item["score"].number(0, 1), computed});
}

void check_task(const Reader& item, const std::string& name, std::vector<ScoreCheck>& checks) {
  const LongBenchTask& task = longbench_task(item["dataset"].text(256));
  const std::vector<std::string> predictions = texts(item["predictions"]);
  const std::vector<Reader> answers = item["answers"].list(kMostCases);
  const std::vector<std::string> classes = classes_of(item);
  if (answers.size() != predictions.size()) item["answers"].refuse("one list for each prediction");
  std::vector<double> scores;
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    scores.push_back(longbench_score(task, predictions[i], texts(answers[i]), classes));
  }
  const std::string called = fmt::format("{}, {}", task.name, name);
  checks.push_back({called, item["score"].number(0, 100), mean_percent(scores)});
  if (!item.has("score_e") || item["score_e"].value().is_null()) return;
  std::vector<std::int64_t> lengths;
  for (const Reader& length : item["lengths"].list(kMostCases)) lengths.push_back(length.whole(0, 1 << 30));
  if (lengths.size() != predictions.size()) item["lengths"].refuse("one for each prediction");
  const BucketScores buckets = bucket_percents(scores, lengths);
  const Reader expected = item["score_e"];
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const char* bucket = kLengthBuckets[i];
    // A bucket without samples has no mean.
    if (!expected.has(bucket) || expected[bucket].value().is_null()) {
      if (buckets[i]) throw Error(fmt::format("{} has no {}.", expected.where(), bucket));
      continue;
    }
    if (!buckets[i]) expected[bucket].refuse("null where no sample is that long");
    checks.push_back({fmt::format("{}, {}", called, bucket), expected[bucket].number(0, 100), *buckets[i]});
  }
}

void check_ruler(const Reader& item, const std::string& name, std::vector<ScoreCheck>& checks) {
  const std::string task = item["task"].text(256);
  if (std::find(std::begin(kRulerTasks), std::end(kRulerTasks), task) == std::end(kRulerTasks)) {
    item["task"].refuse(fmt::format("one of {}", fmt::join(kRulerTasks, ", ")));
  }
  const double computed =
      string_match(item["prediction"].text(kLongestText), texts(item["references"]), task.starts_with("qa_"));
  checks.push_back({fmt::format("{}, {}", excerpt(task), name), item["score"].number(0, 1), computed});
}

void check_words(const Reader& item, const std::string& name, std::vector<ScoreCheck>& checks) {
  std::vector<std::string> words;
  for (const std::u32string& word : jieba().cut(code_points(item["text"].text(kLongestText)))) {
    words.push_back(to_utf8(word));
  }
  checks.push_back({fmt::format("{}{}", kSegmentation, name), 1, words == texts(item["tokens"]) ? 1.0 : 0.0});
}

}  // namespace

std::vector<ScoreCheck> check_scores(const std::string& text, const std::string& where) {
  const nlohmann::json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  std::vector<ScoreCheck> checks;
  std::size_t number = 0;
  for (const Reader& item : file.list(kMostCases)) {
    const std::string name = fmt::format("case {}", ++number);
    try {
      if (item.has("predictions")) {
        check_task(item, name, checks);
      } else if (item.has("references")) {
        check_ruler(item, name, checks);
      } else if (item.has("tokens")) {
        check_words(item, name, checks);
      } else {
        check_sample(item, name, checks);
      }
    } catch (const Error& error) {
      const std::string sentence = error.what();
      throw Error(sentence.starts_with(where) ? sentence : fmt::format("{}: {}", item.where(), sentence));
    }
  }
  if (checks.empty()) throw Error(fmt::format("{} holds no case.", where));
  return checks;
}

}  // namespace dhsa
