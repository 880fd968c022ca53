// LongBench's and RULER's metrics against the scores that the official scripts give, and their corners.
#include <gtest/gtest.h>

#include "core/experiments/longbench_tasks.h"
#include "core/experiments/scores_cases.h"
#include "core/files/atomic_write.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

using Texts = std::vector<std::string>;

double one(const char* task, const std::string& prediction, const std::string& answer, const Texts& classes = {}) {
  return longbench_score(longbench_task(task), prediction, Texts{answer}, classes);
}

void expect_all_agree(const std::string& name, std::size_t cases) {
  const std::string path = std::string(DHSA_FIXTURES "/scores/") + name;
  const std::vector<ScoreCheck> checks = check_scores(read_file(path), path);
  EXPECT_EQ(checks.size(), cases);
  for (const ScoreCheck& check : checks) {
    EXPECT_FALSE(check.differs(1e-6)) << name << ", " << check.name << ": " << check.computed << ", expected "
                                      << check.expected;
  }
}

TEST(Scores, EqualTheOfficialScripts) {
  expect_all_agree("longbench_metric_cases.json", 147);
  expect_all_agree("ruler_metric_cases.json", 26);
  expect_all_agree("longbench_aggregate_cases.json", 60);
  expect_all_agree("jieba_cases.json", 29);
}

TEST(Scores, RougeGivesUpWhereTheScriptDoes) {
  // Python's recursion ends at a thousand calls: two long sentences without a full stop count 0.
  std::string words;
  for (int i = 0; i < 980; ++i) words += std::to_string(i) + ' ';
  EXPECT_NEAR(one("gov_report", words, words), 1, 1e-6);
  for (int i = 980; i < 1100; ++i) words += std::to_string(i) + ' ';
  EXPECT_EQ(one("gov_report", words, words), 0);
  EXPECT_NEAR(one("gov_report", words.insert(words.find(" 500 "), "."), words), 1, 1e-6);
}

TEST(Scores, FewShotAnswersEndWithTheirFirstLine) {
  EXPECT_EQ(one("triviaqa", "\n\nLund\nQuestion: next", "Lund"), 1);
  EXPECT_LT(one("hotpotqa", "\n\nLund\nQuestion: next", "Lund"), 1);
  EXPECT_EQ(one("triviaqa", " \nLund", "Lund"), 0);  // only line breaks are stripped
}

TEST(Scores, BestOfAllAnswersAndNoneIsZero) {
  EXPECT_EQ(longbench_score(longbench_task("qasper"), "yes", Texts{"no", "yes"}, {}), 1);
  EXPECT_EQ(longbench_score(longbench_task("qasper"), "yes", {}, {}), 0);
}

TEST(Scores, AnAnswerWithoutParagraphIsRefused) {
  expect_mentions(error_of([] { (void)one("passage_retrieval_en", "Paragraph 3", "three"); }), "names no paragraph");
}

TEST(Scores, MeansRoundAsPython) {
  EXPECT_EQ(mean_percent(std::vector<double>{}), 0);
  EXPECT_EQ(mean_percent(std::vector<double>{1, 0, 0}), 33.33);
  EXPECT_EQ(mean_percent(std::vector<double>{0.00125}), 0.12);  // 0.125 exactly: halves go to the even digit
}

TEST(Scores, GroupsAndAveragePerLanguage) {
  std::vector<std::optional<double>> percents(longbench_tasks().size());
  const auto set = [&](const char* name, double value) {
    percents[static_cast<std::size_t>(&longbench_task(name) - longbench_tasks().data())] = value;
  };
  set("qasper", 30);
  set("narrativeqa", 20);
  set("multifieldqa_zh", 90);
  set("lcc", 60);
  const LongBenchMeans english = longbench_means(percents, false);
  EXPECT_EQ(english.groups[0], 25);
  EXPECT_FALSE(english.groups[1]);
  EXPECT_EQ(english.groups[5], 60);
  EXPECT_EQ(english.average, 42.5);
  const LongBenchMeans chinese = longbench_means(percents, true);
  EXPECT_EQ(chinese.groups[0], 90);
  EXPECT_EQ(chinese.average, 75);  // code counts in both
  EXPECT_FALSE(longbench_means(std::vector<std::optional<double>>(longbench_tasks().size()), false).average);
}

TEST(Scores, CasesOfAnotherFormAreRefused) {
  const auto sentence = [](const std::string& text) { return error_of([&] { (void)check_scores(text, "file"); }); };
  expect_mentions(sentence("{}"), "file");
  expect_mentions(sentence("[]"), "file holds no case");
  expect_mentions(sentence(R"([{"dataset":"x","prediction":"","answers":[],"score":0}])"),
                  "file[0]: There is no LongBench task");
  expect_mentions(sentence(R"([{"dataset":"qasper","answers":[],"score":0}])"), "has no prediction");
  expect_mentions(sentence(R"([{"dataset":"qasper","prediction":3,"answers":[],"score":0}])"), "prediction");
  expect_mentions(sentence(R"([{"dataset":"qasper","predictions":["a"],"answers":[],"score":0}])"),
                  "one list for each");
}

}  // namespace
}  // namespace dhsa
