#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/files/safetensors.h"
#include "core/model/gemma2.h"

namespace dhsa {
namespace {

const std::string kModel = std::string(DHSA_RESOURCES) + "/models/demo";

std::vector<std::int32_t> fixture_tokens() {
  return SafetensorsFile::open(std::string(DHSA_FIXTURES) + "/gemma2_demo_1536.safetensors")->int32s("input_ids");
}

std::vector<float> logits_of(const Gemma2& model, const std::vector<std::int32_t>& ids, const SparsityParameters& p,
                             std::vector<std::int32_t> positions) {
  DocumentInfo document;
  document.tokens = static_cast<std::int64_t>(ids.size());
  const auto planner = make_planner(p, document);
  PrefillOptions options;
  options.logit_positions = std::move(positions);
  return model.prefill(ids, *planner, options).logits;
}

// How far logits lie from others of the same positions and vocabulary.
struct Distance {
  double mean = 0;
  double worst = 0;
  int same_top = 0;   // positions whose most likely token is the same
  double regret = 0;  // where it is another, the most that `a` gives up with b's token
};

Distance distance(const std::vector<float>& a, const std::vector<float>& b, std::size_t positions) {
  Distance d;
  const std::size_t vocab = a.size() / positions;
  for (std::size_t r = 0; r < positions; ++r) {
    const auto row_a = a.begin() + static_cast<std::ptrdiff_t>(r * vocab);
    const auto row_b = b.begin() + static_cast<std::ptrdiff_t>(r * vocab);
    const auto width = static_cast<std::ptrdiff_t>(vocab);
    for (std::ptrdiff_t i = 0; i < width; ++i) {
      const double error = std::abs(static_cast<double>(row_a[i]) - static_cast<double>(row_b[i]));
      d.mean += error / static_cast<double>(a.size());
      d.worst = std::max(d.worst, error);
    }
    const auto top_a = std::max_element(row_a, row_a + width) - row_a;
    const auto top_b = std::max_element(row_b, row_b + width) - row_b;
    d.same_top += top_a == top_b;
    d.regret = std::max(d.regret, static_cast<double>(row_a[top_a]) - static_cast<double>(row_a[top_b]));
  }
  return d;
}

// bfloat16 costs every device something, by how much is the model's affair: the GPU's logits may lie from the CPU's in
// float32 half as far again as the CPU's own in bfloat16 do.
void expect_close(const SparsityParameters& parameters) {
  const std::vector<std::int32_t> ids = fixture_tokens();
  std::vector<std::int32_t> positions;
  for (std::int32_t p = 0; p < static_cast<std::int32_t>(ids.size()); p += 7) positions.push_back(p);
  const auto logits = [&](Device device, DType type) {
    return logits_of(*Gemma2::load(kModel, {device, type}), ids, parameters, positions);
  };
  const std::vector<float> exact = logits(Device::kCpu, DType::kFloat32);
  const std::vector<float> cpu = logits(Device::kCpu, DType::kBFloat16);
  const std::vector<float> gpu = logits(Device::kCuda, DType::kBFloat16);
  ASSERT_EQ(exact.size(), gpu.size());
  const Distance ours = distance(exact, gpu, positions.size());
  const Distance rounding = distance(exact, cpu, positions.size());
  std::printf(
      "logits, GPU and CPU in bfloat16: mean error %.4f and %.4f, worst %.3f and %.3f, same top token %d and %d of "
      "%zu, given up %.3f and %.3f\n",
      ours.mean, rounding.mean, ours.worst, rounding.worst, ours.same_top, rounding.same_top, positions.size(),
      ours.regret, rounding.regret);
  EXPECT_LT(ours.mean, 1.5 * rounding.mean);
  EXPECT_LT(ours.worst, 1.5 * rounding.worst);
  // How many tokens change places is chance among near ties; that they were near ties is not.
  EXPECT_LT(ours.regret, 10 * rounding.mean);
}

TEST(CudaModel, DenseLogitsFollowTheCpu) {
  SparsityParameters dense;
  dense.method = Method::kDense;
  expect_close(dense);
}

TEST(CudaModel, BudgetOverTheLengthIsDense) {
  SparsityParameters parameters;
  parameters.budget = 100000;
  expect_close(parameters);
}

TEST(CudaModel, DecodeGoesOnFromThePrefill) {
  const std::vector<std::int32_t> ids = fixture_tokens();
  SparsityParameters dense;
  dense.method = Method::kDense;
  DocumentInfo document;
  document.tokens = static_cast<std::int64_t>(ids.size());
  PrefillOptions options;
  options.keep_cache = true;
  std::vector<std::vector<std::int32_t>> answers;
  for (const ModelOptions where : {ModelOptions{}, ModelOptions{Device::kCuda, DType::kBFloat16}}) {
    const auto model = Gemma2::load(kModel, where);
    const auto planner = make_planner(dense, document);
    answers.push_back(generate_greedy(*model, model->prefill(ids, *planner, options), 8));
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST(CudaModel, StageTimesAddUp) {
  class Watch : public PrefillObserver {
   public:
    void stage_ends(const StageReport& report) override {
      sum += report.seconds;
      ++stages;
    }
    double sum = 0;
    int stages = 0;
  } watch;
  const std::vector<std::int32_t> ids = fixture_tokens();
  const auto model = Gemma2::load(kModel, {Device::kCuda, DType::kBFloat16});
  DocumentInfo document;
  document.tokens = static_cast<std::int64_t>(ids.size());
  PrefillOptions options;
  options.observer = &watch;
  const PrefillResult result = model->prefill(ids, *make_planner({}, document), options);
  EXPECT_EQ(watch.stages, 2 + 5 * 8);
  EXPECT_NEAR(watch.sum, result.seconds, 1e-9);
  EXPECT_GT(result.peak_bytes, result.start_bytes);
}

}  // namespace
}  // namespace dhsa
