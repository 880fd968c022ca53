// Tables and curves of scores from files of suites and of LongBench.
#include <gtest/gtest.h>

#include <cmath>

#include "core/experiments/longbench.h"
#include "core/experiments/suite.h"
#include "core/figures/figure_data.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

MethodChoice choice(const std::string& name, Method method, std::int64_t budget) {
  SparsityParameters parameters;
  parameters.method = method;
  parameters.budget = budget;
  return {name, parameters};
}

const std::vector<MethodChoice> kMethods = {choice("dense", Method::kDense, 2048),
                                            choice("best+budget=64", Method::kDhsa, 64),
                                            choice("best+budget=256", Method::kDhsa, 256)};

FigureData figure(FigureKind kind, const nlohmann::json& results, const std::string& path) {
  FigureSpec spec;
  spec.panels.push_back({kind});
  FigureMaterial material;
  material.files.push_back(parse_figure_file(results.dump(), path));
  return make_figure_data(spec, material, false, {}, nullptr);
}

SuiteAnswer said(const std::string& text, double score) {
  SuiteAnswer answer{text, score, {}};
  answer.values.set("log_probability", -1.0);
  return answer;
}

Values cost() {
  Values values;
  values.set("density", 1.0);
  values.set("prefill_seconds", 0.0);
  return values;
}

// Two of RULER's tasks at two lengths. Each score is a share of two answers.
SuiteResults ruler() {
  SuiteResults results;
  results.settings.tasks = "niah_single_1,niah_single_2";
  results.settings.lengths = {512, 1024};
  results.settings.prompts = 2;
  results.model = "demo";
  results.methods = kMethods;
  const auto add = [&](const SuiteTask* task, std::int64_t length, const std::vector<double>& shares) {
    SuiteCell cell{task, length, 2, 500, {{"a", {"1"}}, {"b", {"2"}}}, {}};
    for (const double share : shares) {
      SuiteScore score;
      score.answers = {said("1", share > 0 ? 1 : 0), said("2", share > 0.5 ? 1 : 0)};
      score.values = cost();
      cell.scores.push_back(std::move(score));
    }
    results.cells.push_back(std::move(cell));
  };
  const auto tasks = tasks_of(results.settings);
  add(tasks[0], 512, {1, 0.5, 1});
  add(tasks[0], 1024, {1, 0, 0.5});
  add(tasks[1], 512, {0.5, 0.5, 1});
  return results;
}

TEST(ScoreFigures, ASuitesTableHasItsTasksAndTheirAverageForEachLength) {
  const FigureData data = figure(FigureKind::kScores, ruler(), "ruler.json");
  ASSERT_EQ(data.panels.size(), 2U);
  const FigureCells& cells = data.panels[0].cells;
  EXPECT_EQ(data.panels[0].name, "512 tokens");
  EXPECT_EQ(cells.row_names, (std::vector<std::string>{"niah_single_1", "niah_single_2", "Average"}));
  EXPECT_EQ(cells.column_names, (std::vector<std::string>{"dense", "best+budget=64", "best+budget=256"}));
  EXPECT_EQ(cells.values, (std::vector<double>{1, 0.5, 1, 0.5, 0.5, 1, 0.75, 0.5, 1}));
  EXPECT_EQ(data.panels[1].cells.row_names, (std::vector<std::string>{"niah_single_1", "Average"}));
  EXPECT_NE(csv_of(data).find("512 tokens,niah_single_2,dense,50.00"), std::string::npos) << csv_of(data);
}

TEST(ScoreFigures, OneMethodUnderSeveralBudgetsIsOneCurve) {
  const FigureData data = figure(FigureKind::kScoreBudget, ruler(), "ruler.json");
  ASSERT_EQ(data.panels.size(), 1U);
  const auto& series = data.panels[0].series;
  ASSERT_EQ(series.size(), 4U);  // two methods at two lengths
  EXPECT_EQ(series[0].name, "dense, 512 tokens");
  EXPECT_EQ(series[0].x, (std::vector<double>{64, 256}));  // a level line
  EXPECT_EQ(series[0].y, (std::vector<double>{75, 75}));
  EXPECT_EQ(series[1].name, "best, 512 tokens");
  EXPECT_EQ(series[1].x, (std::vector<double>{64, 256}));
  EXPECT_EQ(series[1].y, (std::vector<double>{50, 100}));
  EXPECT_EQ(series[3].y, (std::vector<double>{0, 50}));
}

TEST(ScoreFigures, BudgetsThatAreSharesOfTheLengthStandWhereTheyWere) {
  SuiteResults results = ruler();
  results.settings.budget_share = 0.125;
  const FigureData data = figure(FigureKind::kScoreBudget, results, "ruler.json");
  const auto& series = data.panels[0].series;
  EXPECT_EQ(series.at(1).name, "best, 512 tokens");
  EXPECT_EQ(series.at(1).x.front(), 64);
  EXPECT_EQ(series.at(3).name, "best, 1024 tokens");
  EXPECT_EQ(series.at(3).x.front(), 128);
}

TEST(ScoreFigures, EachMethodIsACurveOverTheLength) {
  const FigureData data = figure(FigureKind::kScoreLength, ruler(), "ruler.json");
  ASSERT_EQ(data.panels.size(), 1U);
  const auto& series = data.panels[0].series;
  ASSERT_EQ(series.size(), 3U);
  EXPECT_EQ(series[1].name, "best+budget=64");
  EXPECT_EQ(series[1].x, (std::vector<double>{512, 1024}));
  EXPECT_EQ(series[1].y, (std::vector<double>{50, 0}));
}

TEST(ScoreFigures, QuestionsAwayFromTheEndAreTwoTestsAndHaveNoAverage) {
  SuiteResults results;
  results.settings.suite = Suite::kQuestions;
  results.settings.questions = 1;
  results.settings.lengths = {512};
  results.methods = kMethods;
  for (const SuiteTask* task : tasks_of(results.settings)) {
    SuiteCell cell{task, 512, 1, 500, {{"a", {"1"}}}, {}};
    cell.scores.assign(3, SuiteScore{{said("1", 1)}, cost()});
    results.cells.push_back(std::move(cell));
  }
  const FigureData curves = figure(FigureKind::kScoreLength, results, "questions.json");
  ASSERT_EQ(curves.panels.size(), 2U);
  EXPECT_EQ(curves.panels[0].name, "throughout");
  EXPECT_EQ(curves.panels[1].name, "from_the_cache");
  EXPECT_EQ(figure(FigureKind::kScores, results, "questions.json").panels[0].cells.row_names.size(), 2U);
}

TEST(ScoreFigures, LongBenchIsDrawnFromItsFolder) {
  const ScratchFolder folder;
  LongBenchRow row;
  row.answers = {"City"};
  row.classes = {"City", "Date"};
  LongBenchData data;
  data.sets.push_back({&longbench_task("trec"), {row, row}, PromptTemplate("{context}", "file")});
  LongBenchResults results = begin_longbench({}, data, kMethods);
  begin_longbench_folder(folder.path(), results);
  const std::string file = (folder.path() / "results.json").string();
  expect_mentions(error_of([&] { (void)figure(FigureKind::kScores, results, file); }), "no answers beside it");

  for (std::size_t method = 0; method < kMethods.size(); ++method) {
    for (const std::size_t number : {0U, 1U}) {
      const bool right = method != 1 || number == 0;
      row.length = number == 0 ? 1000 : 6000;
      results.tasks[0].samples[method].push_back({right ? "City" : "none", right ? 1.0 : 0.0, 10, 10, cost()});
      append_longbench_answer(folder.path(), results, {0, number, method}, row);
    }
  }
  const FigureData table = figure(FigureKind::kScores, results, file);
  ASSERT_EQ(table.panels.size(), 1U);
  EXPECT_EQ(table.panels[0].name, "English");
  EXPECT_EQ(table.panels[0].cells.row_names, (std::vector<std::string>{"trec", "Few-shot learning", "Average"}));
  EXPECT_EQ(table.panels[0].cells.values, (std::vector<double>{1, 0.5, 1, 1, 0.5, 1, 1, 0.5, 1}));
  const FigureData budget = figure(FigureKind::kScoreBudget, results, file);
  EXPECT_EQ(budget.panels[0].series.at(1).name, "best");
  EXPECT_EQ(budget.panels[0].series.at(1).y, (std::vector<double>{50, 100}));
  const FigureData length = figure(FigureKind::kScoreLength, results, file);
  EXPECT_EQ(length.panels[0].series.at(1).x, (std::vector<double>{1000, 6000}));
  EXPECT_EQ(length.panels[0].series.at(1).y, (std::vector<double>{100, 0}));
  EXPECT_EQ(length.panels[0].x_title, "length (words)");
}

TEST(ScoreFigures, SayWhatTheyNeed) {
  expect_mentions(error_of([] {
                    (void)figure(FigureKind::kScores, {{"kind", "dhsa-sweep"}}, "sweep.json");
                  }),
                  "needle --suite");
  SuiteResults results = ruler();
  results.methods = {kMethods[0]};
  for (SuiteCell& cell : results.cells) cell.scores.resize(1);
  expect_mentions(error_of([&] { (void)figure(FigureKind::kScoreBudget, results, "ruler.json"); }), "budget");
  results.cells.clear();
  expect_mentions(error_of([&] { (void)figure(FigureKind::kScores, results, "ruler.json"); }), "no results");
}

}  // namespace
}  // namespace dhsa
