#include "core/experiments/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/text/document.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

MethodChoice choice(const std::string& name) {
  MethodChoice made{name, {}};
  apply_preset(made.parameters, name);
  made.parameters.sink_tokens = 4;
  made.parameters.local_tokens = 16;
  made.parameters.query_block = 32;
  return made;
}

SweepResults small_sweep() {
  SweepResults results;
  results.settings.lengths = {96, 160};
  results.settings.axes = {{"budget", {std::int64_t{32}, std::int64_t{64}}},
                           {"chunk-length", {std::int64_t{8}, std::int64_t{16}}}};
  results.settings.samples = 2;
  results.settings.repeats = 1;
  results.settings.metrics_rows = 4;
  results.settings.logit_positions = 32;
  results.methods = {choice("window-sinks"), choice("best")};
  return results;
}

// All but times and memory, which differ from run to run.
nlohmann::json without_costs(const SweepResults& results) {
  nlohmann::json json = results;
  for (nlohmann::json& point : json["points"]) {
    for (nlohmann::json& sample : point["samples"]) {
      for (const char* key : {"prefill_seconds", "tokens_per_second", "planning_share", "peak_bytes", "extra_bytes"}) {
        sample.erase(key);
      }
    }
  }
  return json;
}

TEST(Sweep, HasOnePointForEachValueThatAMethodReads) {
  SweepResults results = small_sweep();
  results.settings.samples = 1;
  std::vector<std::size_t> updated;
  std::vector<double> fractions;
  SweepOptions options;
  options.updated = [&](const SweepResults& so_far, std::size_t point) {
    EXPECT_EQ(so_far.points[point].samples.size(), 1U);
    updated.push_back(point);
  };
  options.progress = [&](const ExperimentProgress& at) { fractions.push_back(at.fraction); };
  run_sweep(*demo().model, *demo().tokenizer, results, options);

  EXPECT_TRUE(results.finished());
  ASSERT_EQ(results.methods.size(), 3U);  // dense came first by itself
  EXPECT_EQ(results.methods[0].name, "dense");
  std::set<std::size_t> all(updated.begin(), updated.end());
  EXPECT_EQ(all.size(), results.points.size());
  EXPECT_EQ(updated.size(), results.points.size());
  for (std::size_t i = 1; i < fractions.size(); ++i) EXPECT_GE(fractions[i], fractions[i - 1] - 1e-12);
  EXPECT_LE(fractions.back(), 1);
  EXPECT_GT(fractions.back(), 0.9);

  const auto count = [&](std::size_t method) {
    return std::count_if(results.points.begin(), results.points.end(),
                         [&](const SweepPoint& point) { return point.method == method; });
  };
  EXPECT_EQ(count(0), 2);  // dense: once a length
  EXPECT_EQ(count(1), 4);  // window + sinks: two budgets
  EXPECT_EQ(count(2), 8);  // DHSA: two budgets by two lengths of chunks
  for (const SweepPoint& point : results.points) {
    const Values& sample = point.samples[0];
    if (point.method == 0) {
      EXPECT_EQ(sample.value("density"), 1);
      EXPECT_EQ(sample.value("mean_kl_nats"), 0);
      EXPECT_EQ(sample.value("retained_mass_global"), 1);
      continue;
    }
    EXPECT_LT(sample.value("density"), 1);
    EXPECT_LE(sample.value("of_oracle"), 1 + 1e-6);
    EXPECT_GT(sample.value("mean_kl_nats"), 0);
    EXPECT_GT(sample.value("prefill_seconds"), 0);
    EXPECT_GT(sample.value("peak_bytes"), 0);
  }
  // More budget keeps more and loses less.
  for (const SweepPoint& few : results.points) {
    for (const SweepPoint& many : results.points) {
      SparsityParameters raised = few.parameters;
      raised.budget = 64;
      if (few.method == 0 || few.parameters.budget != 32 || many.method != few.method || many.length != few.length ||
          !(many.parameters == raised)) {
        continue;
      }
      EXPECT_GT(many.samples[0].value("density"), few.samples[0].value("density"));
      EXPECT_GT(many.samples[0].value("retained_mass"), few.samples[0].value("retained_mass"));
      EXPECT_LT(many.samples[0].value("mean_kl_nats"), few.samples[0].value("mean_kl_nats"));
    }
  }
}

TEST(Sweep, MeasuresWhatAComparisonMeasures) {
  SweepResults results = small_sweep();
  results.settings.lengths = {160};
  results.settings.axes.clear();
  results.settings.samples = 1;
  results.settings.repeats = 2;
  results.methods = {choice("best")};
  results.methods[0].parameters.budget = 48;
  run_sweep(*demo().model, *demo().tokenizer, results);

  DocumentOptions cut;
  cut.context = 160;
  const Document document = make_document("prose", Haystack().text(1, 0, 1, 5 * 160 + 256), *demo().tokenizer, cut);
  CompareOptions options;
  options.metrics_rows = 4;
  options.logit_positions = 32;
  options.max_new_tokens = 0;
  const Comparison comparison =
      compare_methods(*demo().model, document.encoding.ids, document.info(), results.methods, options);
  const Values summary = summarise(comparison.runs[1]);
  const Values& sample = results.points[1].samples[0];
  EXPECT_EQ(sample.value("retained_mass"), summary.value("retained_mass"));
  EXPECT_EQ(sample.value("density"), summary.value("density"));
  EXPECT_EQ(sample.value("output_error"), summary.value("output_error"));
  EXPECT_EQ(sample.value("mean_kl_nats"), comparison.runs[1].logits->mean_kl.value);
  double mass = 0;
  for (std::size_t layer = 1; layer < 8; layer += 2)
    mass += comparison.runs[1].metrics[layer].value("retained_mass") / 4;
  EXPECT_NEAR(sample.value("retained_mass_global"), mass, 1e-12);  // the demo model's odd layers are global
}

TEST(Sweep, SaysOfSampledNumbersHowTheyWereSampled) {
  SweepResults results = small_sweep();
  results.settings.lengths = {160};
  results.settings.axes.clear();
  results.methods = {choice("best")};
  results.methods[0].parameters.budget = 48;  // a mask that keeps all is exact
  run_sweep(*quick().model, *quick().tokenizer, results);
  const Values summary = results.points[1].summary();
  for (const char* key : {"retained_mass", "iou", "output_error"}) {
    EXPECT_EQ(summary.at(key).row_step, 4) << key;
    EXPECT_GT(summary.at(key).standard_error, 0) << key;
  }
  EXPECT_EQ(summary.at("mean_kl_nats").row_step, 5);  // 32 of 160 positions
  EXPECT_FALSE(summary.at("density").sampled());
  const nlohmann::json sample = nlohmann::json(results)["points"][1]["samples"][0];
  EXPECT_EQ(sample["row_step"]["retained_mass"], 4);
  EXPECT_EQ(sample["row_step"]["mean_kl_nats"], 5);
  EXPECT_GT(sample["standard_error"]["retained_mass"], 0);
  expect_mentions(to_csv(results), ",retained_mass,retained_mass_standard_error,retained_mass_row_step,");
  const SweepResults read = parse_sweep_results(nlohmann::json(results).dump(), "file");
  EXPECT_EQ(read.points[1].summary().at("retained_mass").standard_error, summary.at("retained_mass").standard_error);
}

// As version 0.x left them: keys of their own, a 0 for what was not measured, nothing on how rows were sampled.
TEST(SweepResultsFile, ReadsFilesOfBeforeTheTableOfMeasures) {
  SweepResults results = small_sweep();
  results.settings.axes.clear();
  results.settings.lengths = {96};
  results.settings.samples = 1;
  results.settings.logit_positions = 0;
  run_sweep(*quick().model, *quick().tokenizer, results);
  nlohmann::json json = results;
  for (nlohmann::json& point : json["points"]) {
    nlohmann::json& sample = point["samples"][0];
    sample = {{"retained-mass", 0.75},
              {"retained-mass-global", 0.5},
              {"worst-rows-mass", 0.25},
              {"of-oracle", 0.8},
              {"iou", 0.3},
              {"output-error", 0.1},
              {"kl", 0},
              {"same-top", 0},
              {"density", 0.4},
              {"seconds", 2},
              {"planning-share", 0.5},
              {"peak-bytes", 1000},
              {"extra-bytes", 100}};
  }
  const SweepResults read = parse_sweep_results(json.dump(), "file");
  const Values& sample = read.points[1].samples[0];
  EXPECT_EQ(sample.value("retained_mass_global"), 0.5);
  EXPECT_EQ(sample.value("prefill_seconds"), 2);
  EXPECT_EQ(sample.at("iou").row_step, 4);
  EXPECT_TRUE(std::isnan(sample.at("iou").standard_error));
  EXPECT_FALSE(sample.at("density").sampled());
  EXPECT_EQ(sample.find("mean_kl_nats"), nullptr);  // was not measured
  const nlohmann::json again = read;
  EXPECT_EQ(nlohmann::json(parse_sweep_results(again.dump(), "file")), again);
}

TEST(Sweep, GoesOnWhereItWasInterrupted) {
  SweepResults whole = small_sweep();
  run_sweep(*quick().model, *quick().tokenizer, whole);
  for (const std::size_t stop_after : {std::size_t{1}, std::size_t{4}, std::size_t{9}}) {
    CancelToken cancel;
    SweepResults results = small_sweep();
    std::string file;
    std::size_t updates = 0;
    SweepOptions options;
    options.cancel = &cancel;
    options.updated = [&](const SweepResults& so_far, std::size_t) {
      file = nlohmann::json(so_far).dump();
      if (++updates == stop_after) cancel.cancel();
    };
    EXPECT_THROW(run_sweep(*quick().model, *quick().tokenizer, results, options), Cancelled);
    EXPECT_EQ(updates, stop_after);
    SweepResults read = parse_sweep_results(file, "file");
    EXPECT_EQ(nlohmann::json(read), nlohmann::json::parse(file));
    EXPECT_FALSE(read.finished());
    run_sweep(*quick().model, *quick().tokenizer, read);
    EXPECT_TRUE(read.finished());
    EXPECT_EQ(without_costs(read), without_costs(whole)) << "stopped after " << stop_after;
  }
}

TEST(Sweep, RefusesBeforeAnythingHasRun) {
  const auto refused = [](auto change) {
    SweepResults results = small_sweep();
    change(results);
    SweepOptions options;
    options.updated = [](const SweepResults&, std::size_t) { ADD_FAILURE() << "something was run"; };
    return error_of([&] { run_sweep(*quick().model, *quick().tokenizer, results, options); });
  };
  expect_mentions(refused([](SweepResults& r) { r.methods.clear(); }), "method");
  expect_mentions(refused([](SweepResults& r) { r.settings.axes[0].values = {std::int64_t{8}}; }), "budget of 8");
  expect_mentions(refused([](SweepResults& r) { r.settings.axes[0].key = "colour"; }), "colour");
  expect_mentions(refused([](SweepResults& r) { r.settings.axes[0].key = "method"; }), "vary");
  expect_mentions(refused([](SweepResults& r) { r.settings.axes[1].key = "budget"; }), "twice");
  expect_mentions(refused([](SweepResults& r) { r.settings.axes[0].values = {std::string("many")}; }), "many");
  expect_mentions(refused([](SweepResults& r) { r.settings.lengths = {160, 96}; }), "ascend");
  expect_mentions(refused([](SweepResults& r) { r.settings.samples = 0; }), "samples");
}

TEST(SweepResultsFile, RefusesWhatASweepCouldNotHaveLeft) {
  SweepResults results = small_sweep();
  results.settings.samples = 1;
  results.settings.lengths = {96};
  run_sweep(*quick().model, *quick().tokenizer, results);
  const nlohmann::json written = results;
  EXPECT_EQ(nlohmann::json(parse_sweep_results(written.dump(), "file")), written);
  const auto refused = [&](const std::string& pointer, const nlohmann::json& value) {
    expect_refused_change(written, pointer, value, parse_sweep_results);
  };
  refused("/kind", "dhsa-needle");
  refused("/finished", false);
  refused("/settings/repeats", 0);
  refused("/settings/axes/0/key", "colour");
  refused("/settings/axes/0/values/0", -4);
  refused("/settings/axes/0/values/0", nullptr);
  refused("/points/0/method", "nobody");
  refused("/points/1/length", 97);
  refused("/points/1/parameters/method", "dhsa");
  refused("/points/1/parameters/budget", 33);
  refused("/points/1/samples/0/mean_kl_nats", "much");
  refused("/points/1/samples/0/exact", 1);
  refused("/points/1/samples/0/row_step/retained_mass", 1);
  refused("/points/1/samples/0/standard_error/retained_mass", -1);
  refused("/points/1/samples/0/joy", 1);
  nlohmann::json fewer = written;
  fewer["points"].erase(1);
  error_of([&] { static_cast<void>(parse_sweep_results(fewer.dump(), "file")); });
}

TEST(SweepResultsFile, CsvHasARowForEachSampleWithItsValues) {
  SweepResults results = small_sweep();
  results.settings.lengths = {96};
  results.settings.samples = 1;
  run_sweep(*quick().model, *quick().tokenizer, results);
  std::istringstream csv(to_csv(results));
  std::string line;
  std::getline(csv, line);
  EXPECT_TRUE(line.starts_with("method,length,budget,chunk-length,sample,prefill_seconds,")) << line;
  const auto commas = std::count(line.begin(), line.end(), ',');
  std::vector<std::string> rows;
  while (std::getline(csv, line)) {
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), commas);
    rows.push_back(line);
  }
  ASSERT_EQ(rows.size(), 1U + 2U + 4U);
  EXPECT_TRUE(rows[0].starts_with("dense,96,,,0,")) << rows[0];
  EXPECT_TRUE(rows[1].starts_with("window-sinks,96,32,,0,")) << rows[1];
  EXPECT_TRUE(rows[4].starts_with("best,96,32,16,0,")) << rows[4];
}

}  // namespace
}  // namespace dhsa
