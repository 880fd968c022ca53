#include "core/base/parallel.h"
#include "tests/core/model/model_helpers.h"

namespace dhsa::test {
namespace {

SynthOptions small(std::uint64_t seed) {
  SynthOptions options;
  options.shape = "demo";
  options.layers = 3;
  options.vocab = 300;
  options.window = 64;
  options.context = 2048;
  options.seed = seed;
  return options;
}

TEST(SyntheticModel, LoadsAndRunsWithFiniteActivations) {
  set_compute_threads(0);
  TempFolder folder;
  write_synthetic_model(small(1), folder.path());
  const auto model = Gemma2::load(folder.path());
  EXPECT_EQ(model->config().layers, 3);
  EXPECT_EQ(model->config().vocab_size, 300);
  EXPECT_EQ(model->config().sliding_window, 64);
  EXPECT_EQ(model->config().context, 2048);
  EXPECT_EQ(model->config().local_layer, (std::vector<bool>{true, false, true}));
  DensePlanner planner;
  PrefillOptions options;
  options.keep_final_hidden = true;
  const auto result = model->prefill(random_ids(200, 300), planner, options);
  double squares = 0;
  for (const float value : result.final_hidden) squares += double{value} * double{value};
  EXPECT_NEAR(squares / static_cast<double>(result.final_hidden.size()), 1.0, 0.05);
  for (const float logit : result.logits) ASSERT_LT(std::abs(logit), 30.0F);
}

TEST(SyntheticModel, SameSeedSameFiles) {
  TempFolder a;
  TempFolder b;
  TempFolder c;
  set_compute_threads(1);
  write_synthetic_model(small(5), a.path());
  set_compute_threads(0);
  write_synthetic_model(small(5), b.path());
  write_synthetic_model(small(6), c.path());
  const std::string shard = "model-00001-of-00001.safetensors";
  EXPECT_EQ(read_file(a.path() / shard), read_file(b.path() / shard));
  EXPECT_NE(read_file(a.path() / shard), read_file(c.path() / shard));
}

TEST(SyntheticModel, WeightsAreNormal) {
  TempFolder folder;
  write_synthetic_model(small(1), folder.path());
  const auto file = SafetensorsFile::open(folder.path() / "model-00001-of-00001.safetensors");
  const auto gate = file->floats("model.layers.0.mlp.gate_proj.weight");
  const auto up = file->floats("model.layers.0.mlp.up_proj.weight");
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  double product = 0;
  double neighbours = 0;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double v = gate[i] / 0.02;
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
    product += v * up[i] / 0.02;
    neighbours += v * gate[(i + 1) % gate.size()] / 0.02;
  }
  const auto n = static_cast<double>(gate.size());
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.01);
  EXPECT_NEAR(fourth / n, 3, 0.1);  // kurtosis of a normal distribution
  EXPECT_NEAR(product / n, 0, 0.01);
  EXPECT_NEAR(neighbours / n, 0, 0.01);
}

TEST(SyntheticModel, BadOptionsAreRefused) {
  TempFolder folder;
  SynthOptions options = small(1);
  options.shape = "gemma3";
  EXPECT_NE(error_of([&] { write_synthetic_model(options, folder.path()); }).find("gemma3"), std::string::npos);
  options = small(1);
  options.layers = -2;
  EXPECT_NE(error_of([&] { write_synthetic_model(options, folder.path()); }).find("-2 layers"), std::string::npos);
  options = small(1);
  options.vocab = 1;
  (void)error_of([&] { write_synthetic_model(options, folder.path()); });
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW(write_synthetic_model(small(1), folder.path(), &cancel), Cancelled);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "config.json"));
}

}  // namespace
}  // namespace dhsa::test
