#include "core/experiments/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
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
      for (const char* key : {"seconds", "planning-share", "peak-bytes", "extra-bytes"}) sample.erase(key);
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
    const SweepSample& sample = point.samples[0];
    if (point.method == 0) {
      EXPECT_EQ(sample.density, 1);
      EXPECT_EQ(sample.kl, 0);
      EXPECT_EQ(sample.retained_mass_global, 1);
      continue;
    }
    EXPECT_LT(sample.density, 1);
    EXPECT_LE(sample.of_oracle, 1 + 1e-6);
    EXPECT_GT(sample.kl, 0);
    EXPECT_GT(sample.seconds, 0);
    EXPECT_GT(sample.peak_bytes, 0);
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
      EXPECT_GT(many.samples[0].density, few.samples[0].density);
      EXPECT_GT(many.samples[0].retained_mass, few.samples[0].retained_mass);
      EXPECT_LT(many.samples[0].kl, few.samples[0].kl);
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
  const SweepSample& sample = results.points[1].samples[0];
  EXPECT_EQ(sample.retained_mass, summary.value("retained_mass"));
  EXPECT_EQ(sample.density, summary.value("density"));
  EXPECT_EQ(sample.output_error, summary.value("output_error"));
  EXPECT_EQ(sample.kl, comparison.runs[1].logits->mean_kl.value);
  double mass = 0;
  for (std::size_t layer = 1; layer < 8; layer += 2)
    mass += comparison.runs[1].metrics[layer].value("retained_mass") / 4;
  EXPECT_NEAR(sample.retained_mass_global, mass, 1e-12);  // the demo model's odd layers are global
}

TEST(Sweep, GoesOnWhereItWasInterrupted) {
  SweepResults whole = small_sweep();
  run_sweep(*demo().model, *demo().tokenizer, whole);
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
    EXPECT_THROW(run_sweep(*demo().model, *demo().tokenizer, results, options), Cancelled);
    EXPECT_EQ(updates, stop_after);
    SweepResults read = parse_sweep_results(file, "file");
    EXPECT_EQ(nlohmann::json(read), nlohmann::json::parse(file));
    EXPECT_FALSE(read.finished());
    run_sweep(*demo().model, *demo().tokenizer, read);
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
    return error_of([&] { run_sweep(*demo().model, *demo().tokenizer, results, options); });
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
  run_sweep(*demo().model, *demo().tokenizer, results);
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
  refused("/points/1/samples/0/kl", "much");
  refused("/points/1/samples/0/joy", 1);
  nlohmann::json fewer = written;
  fewer["points"].erase(1);
  error_of([&] { static_cast<void>(parse_sweep_results(fewer.dump(), "file")); });
}

TEST(SweepResultsFile, CsvHasARowForEachSampleWithItsValues) {
  SweepResults results = small_sweep();
  results.settings.lengths = {96};
  results.settings.samples = 1;
  run_sweep(*demo().model, *demo().tokenizer, results);
  std::istringstream csv(to_csv(results));
  std::string line;
  std::getline(csv, line);
  EXPECT_TRUE(line.starts_with("method,length,budget,chunk-length,sample,retained-mass,")) << line;
  const auto commas = std::count(line.begin(), line.end(), ',');
  std::vector<std::string> rows;
  while (std::getline(csv, line)) {
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), commas);
    rows.push_back(line);
  }
  ASSERT_EQ(rows.size(), 1U + 2U + 4U);
  EXPECT_TRUE(rows[0].starts_with("dense,96,,,0,1,")) << rows[0];
  EXPECT_TRUE(rows[1].starts_with("window-sinks,96,32,,0,")) << rows[1];
  EXPECT_TRUE(rows[4].starts_with("best,96,32,16,0,")) << rows[4];
}

}  // namespace
}  // namespace dhsa
