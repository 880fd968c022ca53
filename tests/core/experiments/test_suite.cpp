// Running, scoring, resuming and the results file of suites.
#include "core/experiments/suite.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/model/decode.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

MethodChoice choice(const std::string& name, std::int64_t budget) {
  return {name,
          named_parameters(name, {},
                           {{"budget", budget}, {"sink-tokens", std::int64_t{4}}, {"local-tokens", std::int64_t{16}}})};
}

SuiteResults small(Suite suite, const std::string& tasks) {
  SuiteResults results;
  results.settings.suite = suite;
  results.settings.tasks = tasks;
  results.settings.wording = Wording::kOwn;
  results.settings.lengths = {512, 640};
  results.settings.prompts = 2;
  results.settings.questions = 2;
  results.methods = {choice("dense", 64), choice("window-sinks", 64)};
  return results;
}

SuiteResults run(SuiteResults results, const SuiteOptions& options = {}) {
  run_suite(*demo().model, *demo().tokenizer, results, options);
  return results;
}

SuiteAnswer said(const std::string& text, double score, double log_probability) {
  SuiteAnswer answer{text, score, {}};
  answer.values.set("log_probability", log_probability);
  return answer;
}

// All but the times, which differ from run to run.
nlohmann::json without_times(const SuiteResults& results) {
  nlohmann::json json = results;
  for (nlohmann::json& cell : json["cells"]) {
    for (nlohmann::json& score : cell["scores"]) score.erase("prefill_seconds");
  }
  return json;
}

TEST(Suite, TheDemoModelFindsWhatAWindowMisses) {
  for (const NeedleMode mode : {NeedleMode::kReference, NeedleMode::kStrict}) {
    SuiteResults results = small(Suite::kRuler, "niah_single_1,niah_single_2");
    results.settings.mode = mode;
    results.settings.lengths = {1024};
    results = run(std::move(results));
    EXPECT_TRUE(results.finished());
    ASSERT_EQ(results.cells.size(), 2U);
    EXPECT_GE(results.average(0, 1024).value(), 75);
    EXPECT_EQ(results.summary(0, 1024).value("density"), 1);
    for (const SuiteCell& cell : results.cells) {
      for (std::size_t i = 0; i < cell.questions.size(); ++i) {
        const SuiteAnswer& answer = cell.scores[0].answers[i];
        const bool holds = answer.text.find(cell.questions[i].references.at(0)) != std::string::npos;
        EXPECT_EQ(answer.score, holds ? 1 : 0) << answer.text;
      }
      if (mode == NeedleMode::kStrict) {
        EXPECT_LT(cell.scores[1].summary().value("log_probability"),
                  cell.scores[0].summary().value("log_probability") - 0.5);
      }
    }
  }
}

// What dense attention says within the document is what it says where the text ends there: nothing behind counts.
TEST(Suite, AnAnswerWithinTheDocumentIsScoredAsIfTheTextEndedThere) {
  SuiteResults results = small(Suite::kQuestions, "throughout");
  results.settings.prompts = 1;
  results.methods.pop_back();
  results = run(std::move(results));
  const SuiteTask& task = *results.cells.at(0).task;
  const SuitePrompt prompt = make_suite_prompt(results.settings, task, 512, 0, *demo().tokenizer);
  const auto planner = make_planner(results.methods[0].parameters, {512, {}});
  PrefillOptions options;
  options.keep_cache = true;
  for (std::size_t i = 0; i < prompt.places.size(); ++i) {
    const SuitePrompt::Place& place = prompt.places[i];
    const auto before = std::span(prompt.encoding.ids).first(static_cast<std::size_t>(place.answer_at));
    const PrefillResult read = demo().model->prefill(before, *planner, options);
    const SuiteAnswer& answer = results.cells[0].scores[0].answers.at(i);
    EXPECT_NEAR(answer.values.value("log_probability"), log_probability(*demo().model, read, place.answer_ids), 1e-3);
    const auto greedy = generate_greedy(*demo().model, read, static_cast<std::int64_t>(place.answer_ids.size()));
    EXPECT_EQ(answer.score == 1, greedy == place.answer_ids) << answer.text;
  }
}

TEST(Suite, EveryQuestionFollowsFromTheSameCache) {
  SuiteResults results = small(Suite::kQuestions, "from_the_cache");
  results.settings.prompts = 1;
  results.settings.lengths = {512};
  results = run(std::move(results));
  const SuitePrompt prompt = make_suite_prompt(results.settings, *results.cells.at(0).task, 512, 0, *demo().tokenizer);
  ASSERT_EQ(prompt.places.size(), 2U);
  for (std::size_t m = 0; m < 2; ++m) {
    const SparsityParameters& parameters = results.methods[m].parameters;
    for (std::size_t i = 0; i < 2; ++i) {
      // The same one question alone: the other one leaves nothing behind.
      const auto planner =
          make_planner(parameters, {static_cast<std::int64_t>(prompt.encoding.ids.size()), prompt.sentence_ends});
      PrefillOptions options;
      options.keep_cache = true;
      const PrefillResult read = demo().model->prefill(prompt.encoding.ids, *planner, options);
      std::vector<std::int32_t> ids = prompt.places[i].question_ids;
      double sum = 0;
      Decoder decoder(*demo().model, read);
      for (const std::int32_t id : ids) decoder.read(id);
      for (const std::int32_t id : prompt.places[i].answer_ids) {
        sum += log_probability(decoder.logits(), id);
        decoder.read(id);
      }
      EXPECT_NEAR(results.cells[0].scores[m].answers.at(i).values.value("log_probability"),
                  sum / static_cast<double>(prompt.places[i].answer_ids.size()), 1e-5);
    }
  }
  EXPECT_LT(results.cells[0].scores[1].values.value("density"), 0.7);
}

TEST(Suite, TheDecoderLeavesThePrefillAsItWas) {
  const std::vector<std::int32_t> ids = demo().tokenizer->encode("The sky over the harbour was").ids;
  const auto planner = make_planner(named_parameters("dense"), {static_cast<std::int64_t>(ids.size()), {}});
  PrefillOptions options;
  options.keep_cache = true;
  const PrefillResult read = demo().model->prefill(ids, *planner, options);
  const std::vector<std::int32_t> before = generate_greedy(*demo().model, read, 8);
  {
    Decoder decoder(*demo().model, read);
    for (const std::int32_t id : {5, 6, 7}) decoder.read(id);
  }
  EXPECT_EQ(generate_greedy(*demo().model, read, 8), before);
  EXPECT_THROW(Decoder(*demo().model, PrefillResult{}), Error);
}

TEST(Suite, GoesOnWhereItWasInterrupted) {
  const auto asked = [] {
    SuiteResults results = small(Suite::kQuestions, "");
    results.settings.lengths = {300};
    return results;
  };
  const SuiteResults whole = run(asked());
  ASSERT_TRUE(whole.finished());
  for (const int stop_after : {0, 3}) {
    CancelToken cancel;
    SuiteResults results = asked();
    std::string file;
    int updates = 0;
    double furthest = 0;
    SuiteOptions options;
    options.cancel = &cancel;
    options.updated = [&](const SuiteResults& so_far, std::size_t) {
      file = nlohmann::json(so_far).dump();
      ++updates;
    };
    options.progress = [&](const ExperimentProgress& at) {
      EXPECT_GE(at.fraction, furthest);
      furthest = at.fraction;
      if (updates == stop_after && at.method == "window-sinks") cancel.cancel();
    };
    EXPECT_THROW(run_suite(*demo().model, *demo().tokenizer, results, options), Cancelled);
    EXPECT_EQ(updates, stop_after);
    EXPECT_EQ(results.count().done, stop_after);
    SuiteResults read = stop_after > 0 ? parse_suite_results(file, "file") : asked();
    if (stop_after > 0) {
      EXPECT_EQ(difference(read, results), "");
    }
    EXPECT_EQ(without_times(run(std::move(read))), without_times(whole)) << "stopped after " << stop_after;
  }
}

TEST(Suite, RefusesBeforeAnythingHasRun) {
  const auto refused = [](auto change) {
    SuiteResults results = small(Suite::kRuler, "");
    change(results);
    SuiteOptions options;
    options.updated = [](const SuiteResults&, std::size_t) { ADD_FAILURE() << "a prompt was run"; };
    return error_of([&] { run(results, options); });
  };
  expect_mentions(refused([](SuiteResults& r) { r.methods.clear(); }), "method");
  expect_mentions(refused([](SuiteResults& r) { r.methods[1].parameters.budget = 2; }), "window-sinks at 512");
  expect_mentions(refused([](SuiteResults& r) { r.settings.lengths = {512, std::int64_t{1} << 24}; }), "memory");
  expect_mentions(refused([](SuiteResults& r) { r.settings.lengths = {256}; }), "256 tokens are too few for niah");
}

TEST(SuiteResultsFile, ReadsBackWhatItWroteAndNothingElse) {
  SuiteResults results = small(Suite::kQuestions, "throughout");
  results.settings.lengths = {300};
  results = run(std::move(results));
  const nlohmann::json written = results;
  EXPECT_EQ(nlohmann::json(parse_suite_results(written.dump(), "file")), written);
  const auto refused = [&](const std::string& pointer, const nlohmann::json& value) {
    expect_refused_change(written, pointer, value, parse_suite_results);
  };
  refused("/kind", "dhsa-needle");
  refused("/finished", false);
  refused("/surplus", 1);
  refused("/settings/suite", "longbench");
  refused("/settings/tasks", "niah_single_1");
  refused("/settings/questions", 3);
  refused("/methods/1/name", "dense");
  refused("/cells/0/task", "from_the_cache");
  refused("/cells/0/length", 301);
  refused("/cells/0/prompts", 3);
  refused("/cells/0/questions", nlohmann::json::array());
  refused("/cells/0/questions/0/references", "x");
  refused("/cells/0/scores", nlohmann::json::array());
  refused("/cells/0/scores/0/answers/0/score", 2);
  refused("/cells/0/scores/0/answers/0/text", nullptr);
  refused("/cells/0/scores/1/answers/1/log_probability", 1);
  refused("/cells/0/scores/1/density", 2);
  refused("/cells/0/scores/1/prefill_seconds", -1);
  refused("/cells/0/scores/1/colour", 1);
  // Files of before the table of measures.
  nlohmann::json earlier = written;
  for (nlohmann::json& score : earlier["cells"][0]["scores"]) {
    score["seconds"] = score["prefill_seconds"];
    score.erase("prefill_seconds");
  }
  EXPECT_EQ(nlohmann::json(parse_suite_results(earlier.dump(), "file")), written);
}

TEST(SuiteResultsFile, TablesSayScoresAsRulerRoundsThem) {
  SuiteResults results = small(Suite::kRuler, "niah_single_1,niah_multivalue");
  results.settings.lengths = {4096};
  const std::vector<const SuiteTask*> tasks = tasks_of(results.settings);
  SuiteCell cell{tasks[0], 4096, 3, 3960, {{"a", {"1"}}, {"b", {"2"}}, {"c", {"3"}}}, std::vector<SuiteScore>(2)};
  cell.scores[0].answers = {said(" 1", 1, -0.5), said(" 2", 1, -0.5), said("", 0, -2)};
  cell.scores[1].answers = {said("", 0, -4), said("", 0, -4), said(" 3", 1, -1)};
  for (const std::size_t m : {0U, 1U}) cell.scores[m].values.set("density", m == 0 ? 1.0 : 0.25);
  results.cells = {cell, cell};
  results.cells[1].task = tasks[1];
  results.cells[1].scores[0].answers = {said("", 0.25, -1), said("", 0.25, -1), said("", 1, -1)};
  EXPECT_EQ(results.average(0, 4096), (66.67 + 50) / 2);
  EXPECT_EQ(to_markdown(results),
            "\n| 4096 tokens | dense | window-sinks |\n|---|---:|---:|\n"
            "| niah_single_1 | 66.67 (-1.000) | 33.33 (-3.000) |\n"
            "| niah_multivalue | 50.00 (-1.000) | 33.33 (-3.000) |\n"
            "| **Average** | **58.34** | **33.33** |\n");
  EXPECT_EQ(to_csv(results),
            "suite,task,length,method,budget,prompts,questions,tokens,score,density,log_probability\n"
            "ruler,niah_single_1,4096,dense,,3,3,3960.0,66.67,1,-1\n"
            "ruler,niah_single_1,4096,window-sinks,64,3,3,3960.0,33.33,0.25,-3\n"
            "ruler,niah_multivalue,4096,dense,,3,3,3960.0,50.00,1,-1\n"
            "ruler,niah_multivalue,4096,window-sinks,64,3,3,3960.0,33.33,0.25,-3\n");
}

// 100 times the mean, not the mean of 100 times: the two lie on either side of 14.375.
TEST(SuiteResultsFile, AScoreIsRoundedAfterTheMean) {
  SuiteScore score;
  for (int i = 0; i < 40; ++i) score.answers.push_back(said("", i < 5 ? 1.0 : i == 5 ? 0.75 : 0.0, -1));
  EXPECT_EQ(score.percent(), 14.37);
}

}  // namespace
}  // namespace dhsa
