// What ablations measure, how they go on, and the file they leave.
#include "core/experiments/ablation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/experiments/needle.h"
#include "core/experiments/sweep.h"
#include "core/text/haystack.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

AblationVariant variant(const std::string& name, const std::string& preset, std::int64_t budget) {
  AblationVariant made{"group of " + preset, name, {}};
  apply_preset(made.parameters, preset);
  SparsityParameters& p = made.parameters;
  p.budget = p.max_budget = budget;
  p.sink_tokens = 4;
  p.local_tokens = 16;
  p.query_block = 32;
  if (p.method == Method::kTokenTopK) p.oracle_rows = 32;
  return made;
}

AblationResults small_ablation() {
  AblationResults results;
  results.settings.tokens = 160;
  results.settings.metrics_rows = 3;
  results.settings.logit_positions = 40;
  results.variants = {variant("window-sinks", "window-sinks", 48), variant("group oracle", "oracle", 48),
                      variant("best", "best", 48), variant("best again", "best", 48)};
  const std::string prose = Haystack().text(5, 0, 1, 20000);
  results.texts = held_out_excerpts("prose", prose, 1, 160, *demo().tokenizer);
  for (AblationText& text : needle_documents(2, 160, 3, *demo().tokenizer)) results.texts.push_back(std::move(text));
  return results;
}

// The same measured once for all tests.
const AblationResults& measured() {
  static const AblationResults whole = [] {
    AblationResults results = small_ablation();
    run_ablation(*demo().model, results);
    return results;
  }();
  return whole;
}

// All but times, which differ from run to run.
nlohmann::json without_times(const AblationResults& results) {
  nlohmann::json json = results;
  for (nlohmann::json& sample : json["samples"]) sample.erase("planning_share");
  std::sort(json["samples"].begin(), json["samples"].end());
  return json;
}

TEST(AblationVariants, CoverThePaperAndWhatGoesBeyondItAtOneBudget) {
  const std::vector<AblationVariant> variants = ablation_variants(777);
  std::set<std::string> names;
  for (const AblationVariant& variant : variants) {
    EXPECT_TRUE(names.insert(variant.name).second) << variant.name;
    EXPECT_NO_THROW(check_parameters(variant.parameters)) << variant.name;
    EXPECT_EQ(variant.parameters.budget, 777) << variant.name;
  }
  const auto any = [&](auto holds) {
    return std::any_of(variants.begin(), variants.end(), [&](const AblationVariant& v) { return holds(v.parameters); });
  };
  using P = SparsityParameters;
  for (const Pooling pooling : {Pooling::kSqrtMean, Pooling::kMean}) {
    EXPECT_TRUE(any([&](const P& p) { return p.pooling == pooling && p.scores == ChunkScoring::kMean; }));
  }
  for (const BoundarySource source : {BoundarySource::kLearned, BoundarySource::kKeyShift, BoundarySource::kSentence,
                                      BoundarySource::kAttentionMass, BoundarySource::kFixed}) {
    EXPECT_TRUE(any([&](const P& p) { return p.boundaries == source; }));
  }
  for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead, MaskHeads::kPerHead}) {
    EXPECT_TRUE(any([&](const P& p) { return p.mask_heads == heads; }));
  }
  for (const bool boundaries : {false, true}) {
    for (const bool masks : {false, true}) {
      EXPECT_TRUE(any([&](const P& p) { return p.share_boundaries == boundaries && p.share_masks == masks; }));
    }
  }
  for (const ChunkScoring scores :
       {ChunkScoring::kMean, ChunkScoring::kMoments, ChunkScoring::kBands, ChunkScoring::kBounds}) {
    EXPECT_TRUE(any([&](const P& p) { return p.scores == scores && p.score_rows > 0; }));
  }
  EXPECT_TRUE(any([](const P& p) { return p.selection == Selection::kThreshold && p.max_budget > 777; }));
  EXPECT_TRUE(any([](const P& p) { return p.query_block == 64; }));
}

TEST(Ablation, MeasuresWhatAComparisonOfOneMethodMeasures) {
  const AblationResults& results = measured();
  EXPECT_TRUE(results.finished());
  const AblationText& text = results.texts.front();
  CompareOptions options;
  options.metrics_rows = 3;
  options.logit_positions = 40;
  options.max_new_tokens = 0;
  SparsityParameters dense;
  dense.method = Method::kDense;
  const SparsityParameters& window = results.variants[0].parameters;
  const Comparison comparison = compare_methods(*demo().model, text.ids, {160, text.sentence_ends},
                                                std::vector<MethodChoice>{{"dense", dense}, {"w", window}}, options);
  const AblationSample* sample = results.sample("window-sinks", text.name);
  ASSERT_NE(sample, nullptr);
  EXPECT_EQ(sample->values.value("mean_kl_nats"), comparison.runs[1].logits->mean_kl.value);
  EXPECT_EQ(sample->values.value("same_top"), comparison.runs[1].logits->same_top.value);
  EXPECT_NE(sample->values.find("planning_share"), nullptr);
  EXPECT_EQ(sample->values.at("retained_mass").row_step, 3);
  EXPECT_GT(sample->values.at("retained_mass").standard_error, 0);
  // Masks are measured on the keys of the dense prefill, as the first layer has them in both; it is a local one.
  EXPECT_GT(sample->values.value("retained_mass"), 0.5);
  EXPECT_LT(sample->values.value("retained_mass"), 1);
  // A window plans alike whatever the keys: its density is that of the run, on the global layers.
  EXPECT_NEAR(sample->values.value("density"), comparison.runs[1].metrics[1].value("density"), 1e-12);
  // The best of its groups at the same budget loses least.
  for (const AblationText& other : results.texts) {
    const double most = results.sample("group oracle", other.name)->values.value("retained_mass");
    EXPECT_GT(most, results.sample("window-sinks", other.name)->values.value("retained_mass"));
    EXPECT_GT(most, results.sample("best", other.name)->values.value("retained_mass"));
  }
}

// What a planner that meets every layer in turn keeps on the global ones.
class EveryLayerPlanned : public PrefillObserver {
 public:
  EveryLayerPlanned(const SparsityParameters& parameters, const AblationText& text)
      : planner_(make_planner(parameters, {static_cast<std::int64_t>(text.ids.size()), text.sentence_ends})) {}
  [[nodiscard]] bool wants_attention(int /*layer*/) const override { return true; }
  void attended(const AttendedLayer& layer) override {
    const Plan plan = planner_->plan(layer.q, layer.k, layer.layer, nullptr);
    if (layer.layer.local()) return;
    MetricOptions how;
    how.row_step = 3;
    mass_ += measure_mask(layer.q, layer.k, layer.v, plan.mask, layer.layer, how).value("retained_mass");
    ++layers_;
  }
  [[nodiscard]] double mass() const { return mass_ / layers_; }

 private:
  std::unique_ptr<Planner> planner_;
  double mass_ = 0;
  int layers_ = 0;
};

TEST(Ablation, WhatLayersShareComesFromTheLayerThatGivesIt) {
  AblationResults results = small_ablation();
  results.settings.logit_positions = 0;
  results.texts.resize(1);
  const AblationVariant base = variant("published", "reference-niah", 64);  // finds boundaries, keeps whole chunks
  results.variants = {base, base, base, base};
  for (std::size_t i = 0; i < 4; ++i) {
    results.variants[i].name = "variant " + std::to_string(i);
    results.variants[i].parameters.share_boundaries = i % 2 == 1;
    results.variants[i].parameters.share_masks = i / 2 == 1;
  }
  run_ablation(*demo().model, results);
  std::set<double> different;
  for (const AblationVariant& variant : results.variants) {
    EveryLayerPlanned planned(variant.parameters, results.texts[0]);
    SparsityParameters dense;
    dense.method = Method::kDense;
    PrefillOptions options;
    options.observer = &planned;
    static_cast<void>(demo().model->prefill(results.texts[0].ids, *make_planner(dense, {160, {}}), options));
    const AblationSample* sample = results.sample(variant.name, results.texts[0].name);
    EXPECT_NEAR(sample->values.value("retained_mass"), planned.mass(), 1e-9) << variant.name;
    EXPECT_EQ(sample->values.find("mean_kl_nats"), nullptr);
    different.insert(sample->values.value("retained_mass"));
  }
  EXPECT_EQ(different.size(), 4U);
}

TEST(Ablation, VariantsOfTheSameParametersAreMeasuredOnce) {
  AblationResults results = small_ablation();
  results.texts.resize(1);
  std::vector<std::size_t> grown;
  AblationOptions options;
  options.updated = [&](const AblationResults& so_far, std::size_t) { grown.push_back(so_far.samples.size()); };
  run_ablation(*quick().model, results, options);
  EXPECT_EQ(grown, (std::vector<std::size_t>{1, 2, 4}));
  nlohmann::json twins = results;
  const auto kl = [&](const char* variant) {
    return results.sample(variant, results.texts[0].name)->values.value("mean_kl_nats");
  };
  EXPECT_EQ(kl("best"), kl("best again"));
}

TEST(Ablation, RowsOfQuestionAndNeedleAreThoseOfThePrompt) {
  const AblationResults& results = measured();
  NeedleSettings settings;
  settings.lengths = {160};
  settings.depths = 2;
  settings.seed = 3;
  for (std::int64_t depth = 0; depth < 2; ++depth) {
    const NeedlePrompt prompt = make_needle_prompt(settings, 160, depth, 0, *demo().tokenizer);
    const AblationText& text = results.texts[static_cast<std::size_t>(1 + depth)];
    const auto end = static_cast<std::int64_t>(prompt.encoding.ids.size());
    EXPECT_EQ(text.ids, prompt.encoding.ids);
    ASSERT_EQ(text.rows.size(), 2U);
    EXPECT_EQ(text.rows[0], (RowSpan{"question", end - prompt.question_tokens, end}));
    EXPECT_EQ(text.rows[1], (RowSpan{"needle", prompt.needles[0].first, prompt.needles[0].second}));
    EXPECT_EQ(results.sample("best", text.name)->row_mass.size(), 2U);
  }
  // The first needle stands inside the window and the sinks: its rows lose nothing. The question is far from it.
  const AblationSample* first = results.sample("window-sinks", results.texts[1].name);
  EXPECT_GT(first->row_mass[1], 0.999);
  EXPECT_LT(first->row_mass[0], 0.999);
}

TEST(Ablation, ExcerptsLieInTheLastTenth) {
  const std::string prose = Haystack().text(5, 0, 1, 60000);
  const std::vector<std::int32_t> all = demo().tokenizer->encode(prose, false).ids;
  const std::vector<AblationText> texts = held_out_excerpts("p", prose, 3, 100, *demo().tokenizer);
  ASSERT_EQ(texts.size(), 3U);
  const std::span<const std::int32_t> held_out = std::span(all).last(all.size() / 10);
  for (const AblationText& text : texts) {
    ASSERT_EQ(text.ids.size(), 100U);
    EXPECT_EQ(text.ids[0], demo().tokenizer->bos());
    EXPECT_NE(std::search(held_out.begin(), held_out.end(), text.ids.begin() + 1, text.ids.end()), held_out.end());
    for (const std::int32_t end : text.sentence_ends) {
      const std::string piece = demo().tokenizer->decode(std::span(text.ids).subspan(static_cast<std::size_t>(end), 1));
      EXPECT_NE(piece.find_first_of(".!?\n\"'"), std::string::npos) << piece;
    }
    EXPECT_FALSE(text.sentence_ends.empty());
  }
  EXPECT_TRUE(std::equal(texts[0].ids.begin() + 1, texts[0].ids.end(), held_out.begin()));
  EXPECT_TRUE(std::equal(texts[2].ids.rbegin(), texts[2].ids.rend() - 1, held_out.rbegin()));
  EXPECT_NE(texts[0].digest, texts[1].digest);
  expect_mentions(error_of([&] { static_cast<void>(held_out_excerpts("p", "Short.", 1, 100, *demo().tokenizer)); }),
                  "last tenth of p");
}

TEST(Ablation, GoesOnWhereItWasInterrupted) {
  AblationResults whole = small_ablation();
  run_ablation(*quick().model, whole);
  for (const std::size_t stop_after : {std::size_t{1}, std::size_t{3}, std::size_t{5}}) {
    CancelToken cancel;
    AblationResults results = small_ablation();
    std::string file;
    std::size_t updates = 0;
    std::vector<double> fractions;
    AblationOptions options;
    options.cancel = &cancel;
    options.progress = [&](const ExperimentProgress& at) { fractions.push_back(at.fraction); };
    options.updated = [&](const AblationResults& so_far, std::size_t) {
      file = nlohmann::json(so_far).dump();
      if (++updates == stop_after) cancel.cancel();
    };
    EXPECT_THROW(run_ablation(*quick().model, results, options), Cancelled);
    EXPECT_EQ(updates, stop_after);
    EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
    const AblationResults read = parse_ablation_results(file, "file");
    EXPECT_EQ(nlohmann::json(read), nlohmann::json::parse(file));
    EXPECT_FALSE(read.finished());
    AblationResults again = small_ablation();
    EXPECT_EQ(difference(read, results), "");
    again.samples = read.samples;
    run_ablation(*quick().model, again);
    EXPECT_TRUE(again.finished());
    EXPECT_EQ(without_times(again), without_times(whole)) << "stopped after " << stop_after;
  }
}

TEST(Ablation, RefusesBeforeAnythingHasRun) {
  const auto refused = [](auto change) {
    AblationResults results = small_ablation();
    change(results);
    AblationOptions options;
    options.updated = [](const AblationResults&, std::size_t) { ADD_FAILURE() << "something was run"; };
    return error_of([&] { run_ablation(*quick().model, results, options); });
  };
  expect_mentions(refused([](AblationResults& r) { r.variants.clear(); }), "variant");
  expect_mentions(refused([](AblationResults& r) { r.texts.clear(); }), "text");
  expect_mentions(refused([](AblationResults& r) { r.variants[1].name = "best"; }), "\"best\"");
  expect_mentions(refused([](AblationResults& r) { r.variants[2].parameters.budget = 8; }), "best: ");
  expect_mentions(refused([](AblationResults& r) { r.variants[2].parameters.boundaries = BoundarySource::kLearned; }),
                  "predictor");
  expect_mentions(refused([](AblationResults& r) { r.texts[1].name = r.texts[0].name; }), "Two texts");
  expect_mentions(refused([](AblationResults& r) { r.texts[1].ids.clear(); }), "not here");
  expect_mentions(refused([](AblationResults& r) { r.settings.metrics_rows = 0; }), "metrics-rows");
}

TEST(Ablation, MeansAreOfTheProseAndRowsOfTheNeedleDocuments) {
  AblationResults results = small_ablation();
  results.variants.resize(3);
  const auto sample = [&](const char* variant, std::size_t text, double mass, std::vector<double> rows) {
    AblationSample made;
    made.variant = variant;
    made.text = results.texts[text].name;
    made.values.set("retained_mass", mass);
    made.row_mass = std::move(rows);
    results.samples.push_back(std::move(made));
  };
  sample("window-sinks", 0, 0.5, {});
  sample("group oracle", 0, 0.9, {});
  sample("best", 0, 0.8, {});
  sample("best", 1, 0.1, {0.2, 0.3});
  sample("best", 2, 0.1, {0.4, 0.9});
  std::vector<AblationRow> rows = summarise(results);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2].texts, 1);
  EXPECT_NEAR(rows[2].mean.values.value("retained_mass"), 0.8, 1e-12);
  EXPECT_NEAR(rows[2].gap.value(), 0.75, 1e-12);
  EXPECT_EQ(rows[2].row_names, (std::vector<std::string>{"question", "needle"}));
  EXPECT_NEAR(rows[2].mean.row_mass[0], 0.3, 1e-12);
  EXPECT_NEAR(rows[2].mean.row_mass[1], 0.6, 1e-12);

  results.texts.erase(results.texts.begin());  // without prose: of the needle documents
  rows = summarise(results);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].texts, 2);
  EXPECT_NEAR(rows[0].mean.values.value("retained_mass"), 0.1, 1e-12);
  EXPECT_FALSE(rows[0].gap.has_value());
}

TEST(AblationResultsFile, ReadsBackWhatItWroteAndNothingElse) {
  const nlohmann::json written = measured();
  EXPECT_EQ(nlohmann::json(parse_ablation_results(written.dump(), "file")), written);
  const auto refused = [&](const std::string& pointer, const nlohmann::json& value) {
    expect_refused_change(written, pointer, value, parse_ablation_results);
  };
  refused("/kind", "dhsa-sweep");
  refused("/finished", false);
  refused("/surplus", 1);
  refused("/settings/tokens", 0);
  refused("/settings/metrics_rows", 0);
  refused("/methods/1/name", "best");
  refused("/groups", nlohmann::json::array());
  refused("/texts/1/name", written["texts"][0]["name"]);
  refused("/texts/1/rows/0/end", 161);
  refused("/texts/1/rows/0/begin", -1);
  refused("/samples/0/variant", "nobody");
  refused("/samples/1", written["samples"][0]);
  refused("/samples/0/text", "nowhere");
  refused("/samples/0/mean_kl_nats", "much");
  refused("/samples/0/joy", 1);
  refused("/samples/0/row_mass", {0.5});
}

TEST(AblationResultsFile, SaysWhatDiffers) {
  const AblationResults asked = small_ablation();
  const auto differs = [&](auto change) {
    AblationResults file = small_ablation();
    change(file);
    return difference(file, asked);
  };
  EXPECT_EQ(differs([](AblationResults&) {}), "");
  expect_mentions(differs([](AblationResults& r) { r.settings.metrics_rows = 5; }), "metrics_rows is 5, not 3");
  expect_mentions(differs([](AblationResults& r) { r.variants[1].parameters.budget = 49; }),
                  "group oracle has another");
  expect_mentions(differs([](AblationResults& r) { r.variants.pop_back(); }), "methods are");
  expect_mentions(differs([](AblationResults& r) { r.texts.pop_back(); }), "2 texts, not 3");
  expect_mentions(differs([](AblationResults& r) { r.texts[0].digest = "x"; }), "text");
  expect_mentions(differs([](AblationResults& r) { r.fingerprint = "x"; }), "model");
}

TEST(AblationResultsFile, CsvHasARowForEachVariantAndText) {
  AblationResults results = small_ablation();
  results.variants = {results.variants[0]};
  results.variants[0].name = "window, \"sinks\"";
  results.texts.resize(2);
  AblationSample sample;
  sample.variant = results.variants[0].name;
  sample.text = results.texts[0].name;
  sample.values.set("retained_mass", 0.5);
  results.samples.push_back(sample);
  sample.text = results.texts[1].name;
  sample.row_mass = {0.25, 0.75};
  sample.values.set("mean_kl_nats", 0.125);
  results.samples.push_back(sample);
  EXPECT_EQ(to_csv(results),
            "group,variant,text,retained_mass,mean_kl_nats,question_rows_mass,needle_rows_mass\n"
            "group of window-sinks,\"window, \"\"sinks\"\"\"," +
                results.texts[0].name +
                ",0.5,,,\n"
                "group of window-sinks,\"window, \"\"sinks\"\"\",needle:0,0.5,0.125,0.25,0.75\n");
}

// A method that chooses by every n-th row is not to be measured on those rows alone.
TEST(MetricsRows, OfReportsArePrimeToTheRowsThatPresetsScore) {
  for (const std::int64_t step :
       {CompareOptions().metrics_rows, SweepSettings().metrics_rows, AblationSettings().metrics_rows}) {
    for (const std::int64_t scored : {std::int64_t{8}, std::int64_t{16}}) EXPECT_EQ(std::gcd(step, scored), 1);
    for (const Preset& preset : presets()) {
      if (preset.parameters.score_rows > 1) {
        EXPECT_EQ(std::gcd(step, preset.parameters.score_rows), 1) << preset.name;
      }
    }
  }
}

}  // namespace
}  // namespace dhsa
