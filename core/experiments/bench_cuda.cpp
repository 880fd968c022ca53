// bench_attention() on a CUDA device, timed by events on the stream.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/experiments/bench.h"
#include "core/model/on_cuda_internal.h"

namespace dhsa {
namespace {

struct Case {
  MethodChoice choice;
  std::unique_ptr<Planner> planner;  // null: libtorch's own attention
  std::unique_ptr<on_cuda::LayerAttention> attention;
  std::vector<double> planning, attending, total;
  std::int64_t extra_bytes = 0;
};

Spread over(const std::vector<double>& base, const std::vector<double>& times) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < times.size(); ++i) ratios.push_back(base[i] / times[i]);
  return spread_of(std::move(ratios));
}

}  // namespace

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

  MethodChoice dense{name_of(Method::kDense), {}};
  dense.parameters.method = Method::kDense;
  std::vector<Case> cases;
  const auto add = [&](MethodChoice choice) {
    // One layer has nobody to share with; without this the second round would cost nothing.
    choice.parameters.share_boundaries = choice.parameters.share_masks = false;
    Case& one = cases.emplace_back();
    one.planner = make_planner(choice.parameters, {tokens, {}});
    one.attention = std::make_unique<on_cuda::LayerAttention>(*one.planner, tokens);
    one.choice = std::move(choice);
  };
  add(dense);
  for (const MethodChoice& choice : choices) {
    if (choice.parameters.method != Method::kDense) add(choice);
  }
  if (window == 0) cases.emplace_back().choice.name = kLibrarySdpa;

  const int rounds = options.warm_up + options.repeats;
  int done = 0;
  for (int round = 0; round < rounds; ++round) {
    for (Case& one : cases) {
      if (options.cancel != nullptr) options.cancel->check();
      if (options.progress) {
        options.progress(fmt::format("{} at {} tokens, {}", shape.name, tokens, one.choice.name),
                         static_cast<double>(done++) / static_cast<double>(rounds * static_cast<int>(cases.size())));
      }
      on_cuda::reset_peak();
      const std::int64_t before = on_cuda::memory().allocated;
      on_cuda::StageClock clock;
      clock.begin(Stage::kPlan, 0);
      if (one.planner) one.attention->plan(q, k, layer, options.cancel);
      clock.end();
      clock.begin(Stage::kAttend, 0);
      if (one.planner) {
        one.attention->attend(q, k, v, shape.rule, out);
      } else {
        at::Tensor other;
        on_cuda::attend_sdpa(q, k, v, shape.rule.scale, other);
      }
      clock.end();
      const std::vector<StageReport> reports = clock.finished(true);
      one.extra_bytes = std::max(one.extra_bytes, on_cuda::memory().peak - before);
      if (round < options.warm_up) continue;
      one.planning.push_back(reports[0].seconds);
      one.attending.push_back(reports[1].seconds);
      one.total.push_back(reports[0].seconds + reports[1].seconds);
    }
  }

  std::vector<AttentionTiming> timings;
  const KeyMask causal = KeyMask::dense(tokens, window);
  for (Case& one : cases) {
    const KeyMask mask = one.planner ? one.attention->host_plan().mask : causal;
    AttentionTiming timing;
    timing.method = one.choice.name;
    timing.speed_up = over(cases.front().total, one.total);
    timing.total = spread_of(one.total);
    timing.planning = spread_of(one.planning);
    timing.attention = spread_of(one.attending);
    timing.density = mask.density();
    timing.gflop =
        static_cast<double>(mask.kept_pairs()) / mask.heads() * static_cast<double>(4 * shape.dim * shape.heads) / 1e9;
    timing.gflops = timing.gflop / timing.attention.median;
    timing.extra_bytes = one.extra_bytes;
    timings.push_back(timing);
  }
  return timings;
}

}  // namespace dhsa
