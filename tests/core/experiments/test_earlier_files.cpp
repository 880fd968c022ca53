// Files of needle tests, sweeps and ablations as they were written before options and measures had one table each: they
// are read, written back under the keys of today, and gone on from.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/experiments/ablation.h"
#include "core/experiments/needle.h"
#include "core/experiments/sweep.h"
#include "core/files/atomic_write.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

nlohmann::json earlier(const std::string& name) {
  return nlohmann::json::parse(read_file(std::string(DHSA_FIXTURES) + "/results/" + name, 1 << 20));
}

TEST(EarlierFiles, ANeedleTestGoesOn) {
  nlohmann::json file = earlier("needle.json");
  const NeedleResults whole = parse_needle_results(file.dump(), "file");
  EXPECT_EQ(nlohmann::json(parse_needle_results(nlohmann::json(whole).dump(), "file")), nlohmann::json(whole));
  const nlohmann::json old = file["cells"][3]["scores"][1];
  const NeedleScore& score = whole.cells[3].scores[1];
  EXPECT_EQ(score.value("density"), old["density"]);
  EXPECT_EQ(score.value("prefill_seconds"), old["seconds"]);
  EXPECT_EQ(score.value("exact") == 1, old["answers"][0]["exact"].get<bool>());
  EXPECT_EQ(score.value("log_probability"), old["answers"][0]["log_probability"]);
  const nlohmann::json cells = nlohmann::json(whole)["cells"];
  file["cells"].erase(3);
  file["finished"] = false;
  NeedleResults results = parse_needle_results(file.dump(), "file");
  NeedleResults asked;
  asked.settings.lengths = {96, 128};
  asked.settings.depths = 2;
  const ParameterChanges changes = {{"budget", std::int64_t{32}}, {"sink-tokens", std::int64_t{4}}};
  for (const char* name : {"dense", "window-sinks"}) {
    asked.methods.push_back({name, named_parameters(name, {}, changes)});
  }
  asked.fingerprint = results.fingerprint;
  EXPECT_EQ(difference(results, asked), "");
  run_needle(*demo().model, *demo().tokenizer, results);
  EXPECT_TRUE(results.finished());
  EXPECT_EQ(results.count().done, results.count().all);
  const nlohmann::json written = results;
  for (std::size_t cell = 0; cell < 3; ++cell) EXPECT_EQ(written["cells"][cell], cells[cell]);
  EXPECT_EQ(results.cells[3].scores[1].value("density"), score.value("density"));
}

TEST(EarlierFiles, ASweepGoesOnWithThePointsThatDifferInNothingThatIsRead) {
  nlohmann::json file = earlier("sweep.json");
  const SweepResults whole = parse_sweep_results(file.dump(), "file");
  EXPECT_EQ(nlohmann::json(parse_sweep_results(nlohmann::json(whole).dump(), "file")), nlohmann::json(whole));
  EXPECT_EQ(whole.points[1].samples[0].value("retained_mass"), file["points"][1]["samples"][0]["retained-mass"]);
  EXPECT_EQ(whole.points[1].samples[0].value("prefill_seconds"), file["points"][1]["samples"][0]["seconds"]);
  EXPECT_EQ(whole.points[1].samples[0].at("retained_mass").row_step, whole.settings.metrics_rows);
  ASSERT_EQ(file["points"].size(), 5U);
  file["points"][4]["samples"].clear();
  file["finished"] = false;
  SweepResults results = parse_sweep_results(file.dump(), "file");
  EXPECT_EQ(make_points(results.settings, results.methods).size(), 3U);  // best has chunks of fixed length
  run_sweep(*demo().model, *demo().tokenizer, results);
  EXPECT_TRUE(results.finished());
  ASSERT_EQ(results.points.size(), 5U);
  EXPECT_EQ(results.points[4].samples[0].value("density"), results.points[3].samples[0].value("density"));

  // A point more than once, one too few, or one that is not of the settings.
  file["points"].push_back(file["points"][4]);
  expect_mentions(error_of([&] { static_cast<void>(parse_sweep_results(file.dump(), "file")); }), "points[5]");
  file["points"].erase(5);
  file["points"].erase(0);
  error_of([&] { static_cast<void>(parse_sweep_results(file.dump(), "file")); });
}

TEST(EarlierFiles, AnAblationGoesOn) {
  nlohmann::json file = earlier("ablate.json");
  const AblationResults whole = parse_ablation_results(file.dump(), "file");
  EXPECT_EQ(nlohmann::json(parse_ablation_results(nlohmann::json(whole).dump(), "file")), nlohmann::json(whole));
  EXPECT_EQ(whole.samples[0].values.value("iou"), file["samples"][0]["iou"]);
  const nlohmann::json samples = nlohmann::json(whole)["samples"];
  file["samples"].erase(1);
  file["finished"] = false;
  const AblationResults read = parse_ablation_results(file.dump(), "file");
  AblationResults asked = read;
  asked.texts = needle_documents(1, 160, 3, *demo().tokenizer);
  EXPECT_EQ(difference(read, asked), "");
  run_ablation(*demo().model, asked);
  EXPECT_TRUE(asked.finished());
  EXPECT_EQ(nlohmann::json(asked)["samples"][0], samples[0]);
}

}  // namespace
}  // namespace dhsa
