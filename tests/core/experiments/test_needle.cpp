// Scoring, running, resuming and the results file of needle tests.
#include "core/experiments/needle.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/parallel.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

MethodChoice choice(const std::string& name, std::int64_t budget) {
  MethodChoice made{name, {}};
  apply_preset(made.parameters, name);
  made.parameters.budget = budget;
  made.parameters.sink_tokens = 4;
  made.parameters.local_tokens = 16;
  return made;
}

NeedleResults small_test() {
  NeedleResults results;
  results.settings.lengths = {192, 320};
  results.settings.depths = 2;
  results.settings.prompts = 2;
  results.methods = {choice("dense", 64), choice("window-sinks", 64)};
  return results;
}

// All but the times, which differ from run to run.
nlohmann::json without_times(const NeedleResults& results) {
  nlohmann::json json = results;
  for (nlohmann::json& cell : json["cells"]) {
    for (nlohmann::json& score : cell["scores"]) {
      for (nlohmann::json& answer : score["answers"]) answer.erase("prefill_seconds");
    }
  }
  return json;
}

TEST(NeedleScoring, ComparesNumbersAndNothingElse) {
  const auto one = [](const std::string& text) { return score_answer(text, {"48213"}); };
  const auto exact = [](const NeedleAnswer& answer) { return answer.values.value("exact") == 1; };
  const auto found = [](const NeedleAnswer& answer) { return answer.values.value("found"); };
  EXPECT_TRUE(exact(one(" 48213")));
  EXPECT_TRUE(exact(one(" 48213. The harbour 99")));
  EXPECT_TRUE(exact(one(" It is 48213!")));
  EXPECT_EQ(one(" 48213. The harbour 99").text, " 48213");
  for (const char* wrong : {" 482139", " 148213", " 4821", " 48 213", " 11111 48213", "", " none"}) {
    EXPECT_FALSE(exact(one(wrong))) << wrong;
    EXPECT_EQ(found(one(wrong)), 0) << wrong;
  }

  const std::vector<std::string> three = {"111", "222", "333"};
  EXPECT_TRUE(exact(score_answer(" 333, 111 and 222.", three)));
  const NeedleAnswer partly = score_answer(" 111, 111, 333, 222", three);
  EXPECT_FALSE(exact(partly));
  EXPECT_NEAR(found(partly), 2.0 / 3, 1e-12);
  EXPECT_NEAR(found(score_answer(" 222", three)), 1.0 / 3, 1e-12);
}

TEST(NeedleParameters, FollowModeAndShare) {
  NeedleSettings settings;
  SparsityParameters method;
  method.budget = 700;
  method.instruction_tokens = 5;
  EXPECT_EQ(needle_parameters(settings, method, 4096, 21).instruction_tokens, 21);
  EXPECT_EQ(needle_parameters(settings, method, 4096, 21).budget, 700);
  settings.mode = NeedleMode::kStrict;
  settings.budget_share = 0.125;
  EXPECT_EQ(needle_parameters(settings, method, 4096, 21).instruction_tokens, 0);
  EXPECT_EQ(needle_parameters(settings, method, 4096, 21).budget, 512);
  method.selection = Selection::kThreshold;
  EXPECT_EQ(needle_parameters(settings, method, 1024, 21).max_budget, 128);
  EXPECT_NO_THROW(check_parameters([&] {
    SparsityParameters p = needle_parameters(settings, method, 8192, 21);
    return p;
  }()));
}

TEST(Needle, TheDemoModelFindsTheNumberAndAWindowThatMissesItDoesNot) {
  NeedleResults results;
  results.settings.lengths = {768};
  results.settings.depths = 3;
  results.settings.mode = NeedleMode::kStrict;
  results.methods = {choice("dense", 1024), choice("window-sinks", 64)};
  std::vector<double> fractions;
  std::vector<std::size_t> cells;
  NeedleOptions options;
  options.progress = [&](const ExperimentProgress& at) { fractions.push_back(at.fraction); };
  options.updated = [&](const NeedleResults& so_far, std::size_t cell) {
    EXPECT_TRUE(so_far.finished(so_far.cells[cell]));
    cells.push_back(cell);
  };
  run_needle(*demo().model, *demo().tokenizer, results, options);

  EXPECT_TRUE(results.finished());
  EXPECT_EQ(cells, (std::vector<std::size_t>{0, 1, 2}));
  ASSERT_FALSE(fractions.empty());
  for (std::size_t i = 1; i < fractions.size(); ++i) EXPECT_GE(fractions[i], fractions[i - 1]);
  EXPECT_EQ(fractions.front(), 0);
  EXPECT_GT(fractions.back(), 0.9);
  EXPECT_LE(fractions.back(), 1);

  EXPECT_EQ(results.score(0, 768).value("exact"), 1);
  EXPECT_EQ(results.score(0, 768).value("density"), 1);
  EXPECT_GT(results.score(0, 768).value("log_probability"), -0.3);
  EXPECT_LT(results.score(1, 768).value("density"), 0.5);
  // In the middle of the text, out of the window's reach at every layer's reach together.
  const NeedleCell* first = results.cell(768, 0);
  ASSERT_NE(first, nullptr);
  EXPECT_LT(first->scores[1].value("log_probability"), first->scores[0].value("log_probability"));
  EXPECT_EQ(first->scores[0].answers[0].text.substr(1),
            make_needle_prompt(results.settings, 768, 0, 0, *demo().tokenizer).values[0]);
}

TEST(Needle, BothModesAgreeWhereNothingIsSparse) {
  NeedleResults reference = small_test();
  reference.methods = {choice("dense", 64), choice("window-sinks", 4096)};
  NeedleResults strict = reference;
  strict.settings.mode = NeedleMode::kStrict;
  run_needle(*demo().model, *demo().tokenizer, reference);
  run_needle(*demo().model, *demo().tokenizer, strict);
  for (std::size_t c = 0; c < reference.cells.size(); ++c) {
    for (std::size_t m = 0; m < 2; ++m) {
      for (std::size_t p = 0; p < 2; ++p) {
        const NeedleAnswer& decoded = reference.cells[c].scores[m].answers[p];
        const NeedleAnswer& forced = strict.cells[c].scores[m].answers[p];
        EXPECT_EQ(decoded.values.value("exact"), forced.values.value("exact"));
        EXPECT_NEAR(decoded.values.value("log_probability"), forced.values.value("log_probability"), 1e-3);
        EXPECT_EQ(reference.cells[c].scores[0].answers[p].values.value("exact"), decoded.values.value("exact"));
      }
    }
  }
}

TEST(Needle, GoesOnWhereItWasInterrupted) {
  NeedleResults whole = small_test();
  run_needle(*quick().model, *quick().tokenizer, whole);
  ASSERT_TRUE(whole.finished());

  // Stopped in the middle of a prompt, after each number of whole ones.
  for (const int stop_after : {0, 1, 3, 5}) {
    CancelToken cancel;
    NeedleResults results = small_test();
    std::string file;
    int updates = 0;
    NeedleOptions options;
    options.cancel = &cancel;
    options.updated = [&](const NeedleResults& so_far, std::size_t) {
      file = nlohmann::json(so_far).dump();
      ++updates;
    };
    options.progress = [&](const ExperimentProgress& at) {
      if (updates == stop_after && at.method == "window-sinks") cancel.cancel();
    };
    EXPECT_THROW(run_needle(*quick().model, *quick().tokenizer, results, options), Cancelled);
    EXPECT_EQ(updates, stop_after);
    EXPECT_FALSE(results.finished());
    NeedleResults read = stop_after > 0 ? parse_needle_results(file, "file") : small_test();
    if (stop_after > 0) {
      EXPECT_EQ(nlohmann::json(read), nlohmann::json::parse(file));
      EXPECT_EQ(difference(read, results), "");
    }
    run_needle(*quick().model, *quick().tokenizer, read);
    EXPECT_EQ(without_times(read), without_times(whole)) << "stopped after " << stop_after;
  }
}

TEST(Needle, RefusesBeforeAnythingHasRun) {
  const auto refused = [](auto change) {
    NeedleResults results = small_test();
    change(results);
    NeedleOptions options;
    options.updated = [](const NeedleResults&, std::size_t) { ADD_FAILURE() << "a prompt was run"; };
    return error_of([&] { run_needle(*quick().model, *quick().tokenizer, results, options); });
  };
  expect_mentions(refused([](NeedleResults& r) { r.methods.clear(); }), "method");
  expect_mentions(refused([](NeedleResults& r) { r.methods[1].parameters.budget = 2; }), "window-sinks at 192");
  expect_mentions(refused([](NeedleResults& r) { r.settings.budget_share = 0.01; }), "window-sinks at 192");
  expect_mentions(refused([](NeedleResults& r) { r.settings.lengths = {192, std::int64_t{1} << 24}; }), "memory");
  expect_mentions(refused([](NeedleResults& r) {
                    r.settings.haystack = nlohmann::json(Haystack("gone.txt", "Some text.")).get<Haystack>();
                  }),
                  "gone.txt");
}

TEST(NeedleResultsFile, ReadsBackWhatItWroteAndNothingElse) {
  NeedleResults results = small_test();
  results.settings.prompts = 1;
  run_needle(*quick().model, *quick().tokenizer, results);
  const nlohmann::json written = results;
  EXPECT_EQ(nlohmann::json(parse_needle_results(written.dump(), "file")), written);

  const auto refused = [&](const std::string& pointer, const nlohmann::json& value) {
    expect_refused_change(written, pointer, value, parse_needle_results);
  };
  refused("/kind", "dhsa-run");
  refused("/finished", false);
  refused("/surplus", 1);
  refused("/settings/depths", 0);
  refused("/settings/task", "triple");
  refused("/settings/lengths", nlohmann::json::array({320, 192}));
  refused("/settings/seed", -1);
  refused("/settings/haystack", 3);
  refused("/methods", nlohmann::json::array());
  refused("/methods/1/name", "dense");
  refused("/methods/1/parameters/budget", -5);
  refused("/methods/1/parameters/colour", "red");
  refused("/cells/1/length", 193);
  refused("/cells/1/depth_index", 0);
  refused("/cells/1/prompts", 2);
  refused("/cells/1/scores", nlohmann::json::array());
  refused("/cells/1/scores/0/answers/0/density", 2);
  refused("/cells/1/scores/0/answers/0/iou", "x");
  refused("/cells/1/scores/0/answers/0/found", nullptr);
  refused("/cells/1/scores/0/answers/0/log_probability", 1);
  for (const char* text : {"", "{", "[]", "null", "3", "{\"kind\":\"dhsa-needle\"}"}) {
    error_of([&] { static_cast<void>(parse_needle_results(text, "file")); });
  }
}

TEST(NeedleResultsFile, SaysWhatDiffers) {
  const NeedleResults asked = small_test();
  const auto differs = [&](auto change) {
    NeedleResults file = small_test();
    change(file);
    return difference(file, asked);
  };
  EXPECT_EQ(difference(small_test(), asked), "");
  expect_mentions(differs([](NeedleResults& r) { r.settings.seed = 2; }), "seed is 2, not 1");
  expect_mentions(differs([](NeedleResults& r) { r.settings.mode = NeedleMode::kStrict; }), "mode");
  expect_mentions(differs([](NeedleResults& r) { r.settings.haystack = Haystack("a", "b"); }), "haystack");
  expect_mentions(differs([](NeedleResults& r) { r.methods[1].parameters.budget = 65; }), "window-sinks has another");
  expect_mentions(differs([](NeedleResults& r) { r.methods.pop_back(); }), "methods are dense, not");
  expect_mentions(differs([](NeedleResults& r) { r.fingerprint = "x"; }), "model");
  expect_mentions(differs([](NeedleResults& r) { r.fingerprint += " bfloat16"; }), "in \"bfloat16\", not \"float32\"");
  expect_mentions(differs([](NeedleResults& r) { r.fingerprint += " predictor:0123"; }),
                  "learned by another predictor");
  expect_mentions(differs([](NeedleResults& r) { r.fingerprint += " bfloat16 predictor:0123"; }), "in \"bfloat16\"");
}

TEST(NeedleResultsFile, CsvHasARowForEachCellAndMethod) {
  NeedleResults results = small_test();
  results.methods[1].name = "window, \"sinks\"";
  results.cells.push_back({192, 1, 1, 190, std::vector<NeedleScore>(2)});
  const auto answer = [](const char* text, double found, double log_probability) {
    NeedleAnswer made{text, {}};
    made.values.set("found", found);
    made.values.set("log_probability", log_probability);
    return made;
  };
  results.cells[0].scores[0].answers = {answer(" 12", 0.5, -1.25)};
  results.cells[0].scores[1].answers = {answer(" 13", 1, -0.5)};
  const std::string csv = to_csv(results);
  EXPECT_EQ(csv,
            "task,mode,length,depth,method,budget,prompts,tokens,found,log_probability\n"
            "single,reference,192,1,dense,,1,190.0,0.5,-1.25\n"
            "single,reference,192,1,\"window, \"\"sinks\"\"\",64,1,190.0,1,-0.5\n");
}

}  // namespace
}  // namespace dhsa
