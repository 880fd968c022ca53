// bench_attention() on a CUDA device, timed by events on the stream.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <functional>
#include <utility>

#include "core/experiments/bench_internal.h"
#include "core/model/on_cuda_internal.h"

namespace dhsa {
double cuda_matmul_gflops() {
  on_cuda::require();
  constexpr std::int64_t kSize = 8192;
  constexpr int kProducts = 10;
  const at::Tensor a = on_cuda::random_heads(1, kSize, kSize).squeeze(0);
  at::Tensor out = at::empty_like(a);
  for (int i = 0; i < 3; ++i) on_cuda::linear(a, a, out);
  on_cuda::StageClock clock;
  clock.begin(Stage::kMlp, 0);
  for (int i = 0; i < kProducts; ++i) on_cuda::linear(a, a, out);
  clock.end();
  const double seconds = clock.finished(true).front().seconds;
  return 2.0 * static_cast<double>(kSize * kSize * kSize) * kProducts / seconds / 1e9;
}

std::vector<AttentionTiming> bench_attention_cuda(const AttentionShape& shape, std::int64_t tokens, std::int64_t window,
                                                  std::span<const MethodChoice> choices, const BenchOptions& options) {
  on_cuda::require();
  const at::Tensor q = on_cuda::random_heads(shape.heads, tokens, shape.dim);
  const at::Tensor k = on_cuda::random_heads(shape.kv_heads, tokens, shape.dim);
  const at::Tensor v = on_cuda::random_heads(shape.kv_heads, tokens, shape.dim);
  at::Tensor out = at::empty_like(q);
  const LayerInfo layer{0, window, shape.rule.scale, shape.rule.softcap};

  struct Planned {
    std::unique_ptr<Planner> planner;
    std::unique_ptr<on_cuda::LayerAttention> attention;
  };
  std::vector<Planned> planned;
  std::vector<benchmark::Case> cases;
  // `plan` and `attend` follow each other on the stream.
  const auto add = [&](const std::string& name, std::function<void()> plan, std::function<void()> attend) {
    cases.push_back(
        {name,
         [plan = std::move(plan), attend = std::move(attend)] {
           on_cuda::reset_peak();
           const std::int64_t before = on_cuda::memory().allocated;
           on_cuda::StageClock clock;
           clock.begin(Stage::kPlan, 0);
           plan();
           clock.end();
           clock.begin(Stage::kAttend, 0);
           attend();
           clock.end();
           const std::vector<StageReport> reports = clock.finished(true);
           return benchmark::Sample{reports[0].seconds, reports[1].seconds, on_cuda::memory().peak - before};
         },
         {},
         0});
  };
  for (MethodChoice& choice : benchmark::with_dense(choices)) {
    // One layer has nobody to share with; without this the second round would cost nothing.
    choice.parameters.share_boundaries = choice.parameters.share_masks = false;
    std::unique_ptr<Planner> planner = make_planner(choice.parameters, {tokens, {}});
    auto attention = std::make_unique<on_cuda::LayerAttention>(*planner, tokens);
    on_cuda::LayerAttention* at = attention.get();
    add(
        choice.name, [&, at] { at->plan(q, k, layer, options.cancel); },
        [&, at] { at->attend(q, k, v, shape.rule, out); });
    planned.push_back({std::move(planner), std::move(attention)});
  }
  if (window == 0) {
    add(
        kLibrarySdpa, [] {},
        [&] {
          at::Tensor other;
          on_cuda::attend_sdpa(q, k, v, shape.rule.scale, other);
        });
  }
  benchmark::alternate(cases, fmt::format("{} at {} tokens", shape.name, tokens), options);

  std::vector<AttentionTiming> timings;
  const KeyMask causal = KeyMask::dense(tokens, window);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const KeyMask mask = i < planned.size() ? planned[i].attention->host_plan().mask : causal;
    timings.push_back(benchmark::attention_timing(cases[i], cases.front(), mask, shape));
  }
  return timings;
}

}  // namespace dhsa
