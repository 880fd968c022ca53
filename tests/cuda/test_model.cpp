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

// bfloat16 activations against float32: logits (softcapped at 30) within 0.6, on average within 0.05, and the same
// top token at 95 % of positions.
void expect_close(const SparsityParameters& parameters) {
  const std::vector<std::int32_t> ids = fixture_tokens();
  std::vector<std::int32_t> positions;
  for (std::int32_t p = 0; p < static_cast<std::int32_t>(ids.size()); p += 7) positions.push_back(p);
  const auto cpu = Gemma2::load(kModel);
  const auto gpu = Gemma2::load(kModel, {Device::kCuda, DType::kBFloat16});
  const std::vector<float> a = logits_of(*cpu, ids, parameters, positions);
  const std::vector<float> b = logits_of(*gpu, ids, parameters, positions);
  ASSERT_EQ(a.size(), b.size());
  const auto vocab = static_cast<std::size_t>(cpu->config().vocab_size);
  double sum = 0, worst = 0;
  int same = 0;
  for (std::size_t r = 0; r < positions.size(); ++r) {
    for (std::size_t i = r * vocab; i < (r + 1) * vocab; ++i) {
      const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      sum += error;
      worst = std::max(worst, error);
    }
    const auto top = [&](const std::vector<float>& x) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r * vocab);
      return std::max_element(begin, begin + static_cast<std::ptrdiff_t>(vocab)) - begin;
    };
    same += top(a) == top(b) ? 1 : 0;
  }
  std::printf("logits: mean error %.4f, worst %.3f, same top token %d of %zu\n", sum / static_cast<double>(a.size()),
              worst, same, positions.size());
  EXPECT_LT(worst, 0.6);
  EXPECT_LT(sum / static_cast<double>(a.size()), 0.05);
  EXPECT_GE(same, static_cast<int>(0.95 * static_cast<double>(positions.size())));
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
