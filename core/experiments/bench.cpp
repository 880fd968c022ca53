#include "core/experiments/bench.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "core/attention/cpu/peak.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/experiments/bench_internal.h"
#include "core/experiments/results_file_internal.h"

namespace dhsa {

namespace benchmark {

void check_options(std::int64_t tokens, const BenchOptions& options) {
  if (tokens < 1 || options.repeats < 1 || options.warm_up < 0) {
    throw Error(
        fmt::format("A benchmark needs at least 1 token and 1 repeat; got {} and {}.", tokens, options.repeats));
  }
}

std::vector<MethodChoice> with_dense(std::span<const MethodChoice> choices) {
  MethodChoice dense{dhsa::name_of(Method::kDense), {}};
  dense.parameters.method = Method::kDense;
  std::vector<MethodChoice> all = {dense};
  for (const MethodChoice& choice : choices) {
    if (choice.parameters.method != Method::kDense) all.push_back(choice);
  }
  return all;
}

void alternate(std::vector<Case>& cases, const std::string& what, const BenchOptions& options) {
  const int rounds = options.warm_up + options.repeats;
  int done = 0;
  for (int round = 0; round < rounds; ++round) {
    for (Case& one : cases) {
      if (options.cancel != nullptr) options.cancel->check();
      if (options.progress) {
        options.progress(fmt::format("{}, {}", what, one.name),
                         static_cast<double>(done++) / static_cast<double>(rounds * static_cast<int>(cases.size())));
      }
      const Sample sample = one.once();
      one.extra_bytes = std::max(one.extra_bytes, sample.extra_bytes);
      if (round >= options.warm_up) one.samples.push_back(sample);
    }
  }
}

}  // namespace benchmark

namespace {

using benchmark::alternate;
using benchmark::Case;
using benchmark::check_options;
using benchmark::Sample;
using benchmark::with_dense;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Random [heads, tokens, dim] of the wanted type.
struct RandomTensor {
  RandomTensor(std::int64_t heads, std::int64_t tokens, std::int64_t dim, DType type, unsigned seed)
      : storage(static_cast<std::size_t>(heads * tokens * dim * bytes_of(type))) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const std::int64_t values = heads * tokens * dim;
    for (std::int64_t i = 0; i < values; ++i) {
      const float value = normal(random);
      if (type == DType::kFloat32) {
        reinterpret_cast<float*>(storage.data())[i] = value;
      } else {
        reinterpret_cast<std::uint16_t*>(storage.data())[i] = float_to_bfloat16(value);
      }
    }
    view = {storage.data(), type, heads, tokens, dim, tokens * dim, dim};
  }
  std::vector<std::uint8_t> storage;
  MutableHeadsView view;
};

Spread spread_by(const std::vector<Sample>& samples, double (*value)(const Sample&)) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(value(sample));
  return spread_of(std::move(values));
}

double total_of(const Sample& sample) { return sample.planning + sample.attention; }

Spread ratios(const std::vector<Sample>& base, const std::vector<Sample>& samples) {
  std::vector<double> values;
  for (std::size_t i = 0; i < samples.size(); ++i) values.push_back(total_of(base[i]) / total_of(samples[i]));
  return spread_of(std::move(values));
}

// A case whose memory is what the process has resident.
Case resident_case(std::string name, std::function<Sample()> once) {
  return {std::move(name),
          [once = std::move(once)] {
            reset_peak_resident();
            const std::int64_t before = resident_bytes();
            Sample sample = once();
            sample.extra_bytes = peak_resident_bytes() - before;
            return sample;
          },
          {},
          0};
}

// A line end now and then, so that sentence boundaries have something to find.
DocumentInfo random_document(std::int64_t tokens) {
  DocumentInfo document{tokens, {}};
  for (std::int32_t i = 24; i < tokens; i += 25) document.sentence_ends.push_back(i);
  return document;
}

at::Tensor tensor_of(const HeadsView& view, std::int64_t head) {
  auto* data = const_cast<float*>(static_cast<const float*>(view.data)) + view.offset(head, 0);
  return at::from_blob(data, {view.rows, view.dim}, {view.row_stride, 1}, at::TensorOptions().dtype(at::kFloat));
}

}  // namespace

AttentionTiming benchmark::attention_timing(const Case& one, const Case& first, const KeyMask& mask,
                                            const AttentionShape& shape) {
  AttentionTiming timing;
  timing.method = one.name;
  timing.total = spread_by(one.samples, total_of);
  timing.planning = spread_by(one.samples, [](const Sample& s) { return s.planning; });
  timing.attention = spread_by(one.samples, [](const Sample& s) { return s.attention; });
  timing.speed_up = ratios(first.samples, one.samples);
  timing.density = mask.density();
  timing.gflop =
      static_cast<double>(mask.kept_pairs()) / mask.heads() * static_cast<double>(4 * shape.dim * shape.heads) / 1e9;
  timing.gflops = timing.gflop / timing.attention.median;
  timing.extra_bytes = one.extra_bytes;
  return timing;
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

void to_json(nlohmann::json& json, const Spread& spread) {
  json = {{"median", spread.median}, {"lowest", spread.lowest}, {"highest", spread.highest}};
}

AttentionShape attention_shape(const std::string& name) {
  if (name == "demo") return {name, 4, 2, 64, {0.125F, 50.0F}};
  if (name == "gemma2-2b") return {name, 8, 4, 256, {0.0625F, 50.0F}};
  if (name == "gemma2-9b") return {name, 16, 8, 256, {0.0625F, 50.0F}};
  if (name == "gemma2-27b") return {name, 32, 16, 128, {1.0F / 12.0F, 50.0F}};
  throw Error(fmt::format("There is no shape \"{}\"; there are demo, gemma2-2b, gemma2-9b, gemma2-27b.", name));
}

void attend_naive_torch(const HeadsView& q, const HeadsView& k, const HeadsView& v, std::int64_t window,
                        const ScoreRule& rule, const MutableHeadsView& out) {
  const at::Tensor rows = at::arange(q.rows, at::TensorOptions().dtype(at::kLong)).unsqueeze(1);
  const at::Tensor keys = rows.t();
  at::Tensor hidden = keys.gt(rows);
  if (window > 0) hidden = at::logical_or(hidden, keys.le(rows.sub(window)));
  for (std::int64_t head = 0; head < q.heads; ++head) {
    const std::int64_t kv_head = head / (q.heads / k.heads);
    at::Tensor scores = at::matmul(tensor_of(q, head), tensor_of(k, kv_head).t()).mul(rule.scale);
    if (rule.softcap > 0) scores = at::tanh(scores.div(rule.softcap)).mul(rule.softcap);
    scores = scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
    tensor_of(out, head).copy_(at::matmul(at::softmax(scores, -1), tensor_of(v, kv_head)));
  }
}

std::vector<AttentionTiming> bench_attention(const AttentionShape& shape, std::int64_t tokens, std::int64_t window,
                                             DType type, std::span<const MethodChoice> choices, bool naive,
                                             const BenchOptions& options) {
  check_options(tokens, options);
  // Three score matrices of one head and the mask are alive at once.
  if (naive && 14 * tokens * tokens > available_bytes() / 2) {
    throw Error(fmt::format("Naive attention over {} tokens needs about {} MiB for its score matrices; leave it out.",
                            tokens, 14 * tokens * tokens >> 20));
  }
  const RandomTensor q(shape.heads, tokens, shape.dim, type, 1);
  const RandomTensor k(shape.kv_heads, tokens, shape.dim, type, 2);
  const RandomTensor v(shape.kv_heads, tokens, shape.dim, type, 3);
  RandomTensor out(shape.heads, tokens, shape.dim, type, 4);
  const LayerInfo layer{0, window, shape.rule.scale, shape.rule.softcap};
  const DocumentInfo document = random_document(tokens);

  const std::vector<MethodChoice> all = with_dense(choices);
  std::vector<KeyMask> masks(all.size());
  std::vector<Case> cases;
  for (std::size_t i = 0; i < all.size(); ++i) {
    static_cast<void>(make_planner(all[i].parameters, document));  // refuses bad parameters before the first round
    cases.push_back(resident_case(all[i].name, [&, i] {
      const std::unique_ptr<Planner> planner = make_planner(all[i].parameters, document);
      Sample sample;
      Clock::time_point begin = Clock::now();
      Plan plan = planner->plan(q.view, k.view, layer, options.cancel);
      sample.planning = since(begin);
      begin = Clock::now();
      attend(q.view, k.view, v.view, plan.mask, shape.rule, out.view, options.cancel);
      sample.attention = since(begin);
      masks[i] = std::move(plan.mask);
      return sample;
    }));
  }
  if (naive && type == DType::kFloat32) {
    cases.push_back(resident_case(kNaiveTorch, [&] {
      const Clock::time_point begin = Clock::now();
      attend_naive_torch(q.view, k.view, v.view, window, shape.rule, out.view);
      return Sample{0, since(begin), 0};
    }));
  }
  alternate(cases, fmt::format("{} at {} tokens", shape.name, tokens), options);

  std::vector<AttentionTiming> timings;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    // Naive computes for the pairs that dense keeps, and the others.
    timings.push_back(benchmark::attention_timing(cases[i], cases.front(), masks[i < masks.size() ? i : 0], shape));
  }
  return timings;
}

std::vector<KernelTiming> bench_kernels(const AttentionShape& shape, std::int64_t tokens, std::int64_t window,
                                        const BenchOptions& options) {
  check_options(tokens, options);
  constexpr std::int64_t kErrorRows = 1024;  // what the twin does in a second or two
  const std::int64_t error_rows = std::min(tokens, kErrorRows);
  // The same numbers in both types.
  struct Inputs {
    Inputs(const AttentionShape& s, std::int64_t n, DType type)
        : q(s.heads, n, s.dim, type, 1), k(s.kv_heads, n, s.dim, type, 2), v(s.kv_heads, n, s.dim, type, 3) {}
    RandomTensor q, k, v;
  };
  Inputs half(shape, tokens, DType::kBFloat16);
  Inputs full(shape, tokens, DType::kFloat32);
  for (const auto& [to, from] : {std::pair{&full.q, &half.q}, {&full.k, &half.k}, {&full.v, &half.v}}) {
    auto* wide = reinterpret_cast<float*>(to->storage.data());
    const auto* narrow = reinterpret_cast<const std::uint16_t*>(from->storage.data());
    for (std::size_t i = 0; i < from->storage.size() / 2; ++i) wide[i] = bfloat16_to_float(narrow[i]);
  }
  RandomTensor out(shape.heads, tokens, shape.dim, DType::kFloat32, 4);
  const KeyMask mask = KeyMask::dense(tokens, window);

  const auto first_rows = [&](auto view) {
    view.rows = error_rows;
    return view;
  };
  RandomTensor twin(shape.heads, error_rows, shape.dim, DType::kFloat32, 5);
  attend_reference(first_rows(full.q.view), first_rows(full.k.view), first_rows(full.v.view),
                   KeyMask::dense(error_rows, window), shape.rule, twin.view);

  std::vector<KernelTiming> timings;
  std::vector<Case> cases;
  const std::vector<CpuKernel> kernels = available_cpu_kernels();
  for (const CpuKernel kernel : kernels) {
    KernelTiming timing;
    timing.kernel = kernel;
    timing.type = kernel == CpuKernel::kAvx512Bf16 ? DType::kBFloat16 : DType::kFloat32;
    timing.peak = cpu::measured_peak_gflops(kernel, compute_threads());
    timing.error_rows = error_rows;
    timings.push_back(timing);
    const Inputs& in = timing.type == DType::kBFloat16 ? half : full;
    cases.push_back(resident_case(name_of(kernel), [&, kernel] {
      const Clock::time_point begin = Clock::now();
      attend_with(kernel, in.q.view, in.k.view, in.v.view, mask, shape.rule, out.view, options.cancel);
      return Sample{0, since(begin), 0};
    }));
  }
  alternate(cases, fmt::format("{} at {} tokens", shape.name, tokens), options);

  const auto best = std::find(kernels.begin(), kernels.end(), best_cpu_kernel(DType::kFloat32)) - kernels.begin();
  const double pairs = static_cast<double>(mask.kept_pairs()) / mask.heads();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    KernelTiming& timing = timings[i];
    timing.seconds = spread_by(cases[i].samples, total_of);
    timing.speed_up = ratios(cases[static_cast<std::size_t>(best)].samples, cases[i].samples);
    timing.gflops = pairs * static_cast<double>(4 * shape.dim * shape.heads) / 1e9 / timing.seconds.median;
    static_cast<void>(cases[i].once());  // for its output
    double error2 = 0;
    double twin2 = 0;
    std::vector<float> got(static_cast<std::size_t>(shape.dim));
    std::vector<float> want(got.size());
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      for (std::int64_t row = 0; row < error_rows; ++row) {
        out.view.load_row(head, row, got.data());
        twin.view.load_row(head, row, want.data());
        for (std::size_t d = 0; d < got.size(); ++d) {
          const double error = static_cast<double>(got[d]) - static_cast<double>(want[d]);
          error2 += error * error;
          twin2 += static_cast<double>(want[d]) * static_cast<double>(want[d]);
          timing.largest = std::max(timing.largest, std::abs(error));
        }
      }
    }
    timing.error = std::sqrt(error2 / twin2);
  }
  return timings;
}

void to_json(nlohmann::json& json, const KernelTiming& timing) {
  json = {{"kernel", name_of(timing.kernel)}, {"dtype", timing.type == DType::kBFloat16 ? "bfloat16" : "float32"},
          {"seconds", timing.seconds},        {"speed_up_over_best_float32", timing.speed_up},
          {"gflops", timing.gflops},          {"peak_gflops", timing.peak},
          {"relative_error", timing.error},   {"largest_error", timing.largest},
          {"error_rows", timing.error_rows}};
}

void to_json(nlohmann::json& json, const AttentionTiming& timing) {
  json = {{"method", timing.method},
          {"total_seconds", timing.total},
          {"planning_seconds", timing.planning},
          {"attention_seconds", timing.attention},
          {"speed_up_over_fused_dense", timing.speed_up},
          {"density", timing.density},
          {"gflop", timing.gflop},
          {"gflops", timing.gflops},
          {"extra_bytes", timing.extra_bytes}};
}

namespace {

// Products of the linear layers. Past the last layer's attention only the row that is asked for goes on.
double linear_gflop(const Gemma2Config& c, std::int64_t tokens) {
  const std::int64_t projected = c.hidden_size * (c.heads + 2 * c.kv_heads) * c.head_dim;
  const std::int64_t after = c.hidden_size * (c.heads * c.head_dim + 3 * c.intermediate_size);
  return 2e-9 * static_cast<double>(tokens) * static_cast<double>(c.layers * projected + (c.layers - 1) * after);
}

}  // namespace

std::vector<PrefillTiming> bench_prefill(const Gemma2& model, std::int64_t tokens,
                                         std::span<const MethodChoice> choices,
                                         std::shared_ptr<const BoundaryPredictor> predictor,
                                         const BenchOptions& options) {
  check_options(tokens, options);
  std::mt19937 random(7);
  std::uniform_int_distribution<std::int32_t> any(3, static_cast<std::int32_t>(model.config().vocab_size) - 1);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  for (std::int32_t& id : ids) id = any(random);
  ids.front() = model.config().bos_token;
  const DocumentInfo document = random_document(tokens);
  const bool cuda = model.options().device == Device::kCuda;

  const std::vector<MethodChoice> all = with_dense(choices);
  struct Kept {
    std::vector<RunTrace> watched;
    std::int64_t peak_bytes = 0;
    std::int64_t extra_bytes = 0;
    void add(std::int64_t peak, std::int64_t start) {
      peak_bytes = std::max(peak_bytes, peak);
      extra_bytes = std::max(extra_bytes, peak - start);
    }
  };
  RunOptions bare;
  bare.metrics_rows = bare.logit_positions = bare.max_new_tokens = 0;
  bare.cancel = options.cancel;
  const RunSubject subject{model, ids, document, nullptr, predictor};
  std::vector<Kept> kept(all.size());
  std::vector<Case> cases;
  for (std::size_t i = 0; i < all.size(); ++i) {
    static_cast<void>(make_planner(all[i].parameters, document, predictor));
    cases.push_back({all[i].name,
                     [&, i, round = 0]() mutable {
                       // An observer makes a GPU wait for the host layer by layer: there, one round is watched for its
                       // stages and the others are timed by the clock on the wall.
                       if (cuda && round++ > 0) {
                         const Clock::time_point begin = Clock::now();
                         const PrefillResult run = prefill_for(subject, all[i].parameters, {.cancel = options.cancel});
                         const double seconds = since(begin);
                         kept[i].add(run.peak_bytes, run.start_bytes);
                         return Sample{0, seconds, 0};
                       }
                       MethodRun run = run_method(subject, all[i], bare);
                       kept[i].add(run.peak_bytes, run.start_bytes);
                       kept[i].watched.push_back(std::move(run.trace));
                       return Sample{0, run.seconds, 0};
                     },
                     {},
                     0});
  }
  BenchOptions rounds = options;
  if (cuda) rounds.warm_up = std::max(1, options.warm_up);  // the watched round is not timed
  alternate(cases, fmt::format("prefill of {} tokens", tokens), rounds);

  std::vector<PrefillTiming> timings;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    PrefillTiming timing;
    timing.method = cases[i].name;
    timing.seconds = spread_by(cases[i].samples, total_of);
    timing.speed_up = ratios(cases.front().samples, cases[i].samples);
    for (int stage = 0; stage < kStageCount; ++stage) {
      std::vector<double> values;
      const std::size_t first = cuda ? 0 : static_cast<std::size_t>(options.warm_up);
      for (std::size_t round = first; round < kept[i].watched.size(); ++round) {
        values.push_back(kept[i].watched[round].stage_seconds(static_cast<Stage>(stage)));
      }
      timing.stage_seconds.push_back(spread_of(std::move(values)).median);
    }
    const double median = timing.seconds.median;
    timing.values.set("prefill_seconds", median);
    timing.values.set("tokens_per_second", static_cast<double>(tokens) / median);
    timing.values.set("planning_share", timing.stage_seconds[static_cast<std::size_t>(Stage::kPlan)] / median);
    timing.values.set("peak_bytes", static_cast<double>(kept[i].peak_bytes));
    timing.values.set("extra_bytes", static_cast<double>(kept[i].extra_bytes));
    const RunTrace& trace = kept[i].watched.front();
    timing.values.set("density", trace.kept_pairs() / trace.causal_pairs());
    timing.gflop = linear_gflop(model.config(), tokens) +
                   trace.kept_pairs() * static_cast<double>(4 * model.config().heads * model.config().head_dim) / 1e9;
    timing.gflops = timing.gflop / median;
    timings.push_back(timing);
  }
  return timings;
}

void to_json(nlohmann::json& json, const PrefillTiming& timing) {
  json = timing.values;
  json.update({{"method", timing.method},
               {"seconds", timing.seconds},
               {"speed_up_over_dense", timing.speed_up},
               {"gflop", timing.gflop},
               {"gflops", timing.gflops}});
  for (int stage = 0; stage < static_cast<int>(timing.stage_seconds.size()); ++stage) {
    json["stage_seconds"][name_of(static_cast<Stage>(stage))] = timing.stage_seconds[static_cast<std::size_t>(stage)];
  }
}

}  // namespace dhsa
