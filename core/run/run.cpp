#include "core/run/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/memory.h"
#include "core/text/tokenizer.h"

namespace dhsa {
namespace {

// Shares of one run's time, for the progress bar only.
constexpr double kPrefillShare = 0.8;
constexpr double kLogitsShare = 0.1;
constexpr std::int64_t kWarmUpTokens = 256;

class Reporter {
 public:
  Reporter(const CompareOptions& options, int runs) : options_(options) { state_.runs = runs; }
  void begin_run(int run, const std::string& name, int layers) {
    state_.run = run;
    state_.name = name;
    state_.layers = layers;
    state_.layer = -1;
  }
  void tell(CompareProgress::Phase phase, double share) {
    state_.phase = phase;
    const double of_run = phase == CompareProgress::Phase::kWarmUp    ? 0
                          : phase == CompareProgress::Phase::kPrefill ? kPrefillShare * share
                          : phase == CompareProgress::Phase::kLogits
                              ? kPrefillShare + kLogitsShare * share
                              : kPrefillShare + kLogitsShare + (1 - kPrefillShare - kLogitsShare) * share;
    state_.fraction = (state_.run + of_run) / std::max(1, state_.runs);
    if (options_.progress) options_.progress(state_);
  }
  void stage(Stage stage, int layer) {
    state_.stage = stage;
    state_.layer = layer;
    const double done =
        layer < 0 ? (stage == Stage::kEmbed ? 0 : state_.layers) : layer + static_cast<double>(stage) / kStageCount;
    tell(CompareProgress::Phase::kPrefill, done / std::max(1, state_.layers));
  }

 private:
  const CompareOptions& options_;
  CompareProgress state_;
};

MaskMetrics of_dense(std::int64_t heads) {
  MaskMetrics metrics;
  metrics.density = metrics.retained_mass = metrics.worst_head_mass = metrics.worst_rows_mass = 1;
  metrics.of_oracle = metrics.iou = 1;
  metrics.head_mass.assign(static_cast<std::size_t>(heads), 1.0);
  metrics.head_error.assign(static_cast<std::size_t>(heads), 0.0);
  return metrics;
}

// Measures each layer's mask while its q, k and v are alive; observer time is not counted in any stage.
class Meter : public PrefillObserver {
 public:
  Meter(const CompareOptions& options, Method method, Reporter& reporter)
      : options_(options), method_(method), reporter_(reporter) {}

  void prefill_begins(std::int64_t tokens, int layers) override {
    if (options_.observer != nullptr) options_.observer->prefill_begins(tokens, layers);
  }
  void stage_begins(Stage stage, int layer) override {
    reporter_.stage(stage, layer);
    if (options_.observer != nullptr) options_.observer->stage_begins(stage, layer);
  }
  void stage_ends(const StageReport& report) override {
    if (options_.observer != nullptr) options_.observer->stage_ends(report);
  }
  [[nodiscard]] bool wants_attention(int layer) const override {
    return measures() || (options_.observer != nullptr && options_.observer->wants_attention(layer));
  }
  void attended(const AttendedLayer& layer) override {
    if (measures()) {
      MetricOptions how;
      how.row_step = options_.metrics_rows;
      how.cancel = options_.cancel;
      // What measuring takes is no part of the run's memory.
      peak_bytes_ = std::max(peak_bytes_, peak_resident_bytes());
      metrics_.push_back(measure_mask(layer.q, layer.k, layer.v, layer.plan.mask, layer.layer, how));
      reset_peak_resident();
    } else if (options_.metrics_rows > 0) {
      metrics_.push_back(of_dense(layer.q.heads));
    }
    if (options_.observer != nullptr) options_.observer->attended(layer);
  }
  [[nodiscard]] bool wants_hidden(int index) const override {
    return options_.observer != nullptr && options_.observer->wants_hidden(index);
  }
  void hidden(int index, const HeadsView& states) override {
    if (options_.observer != nullptr) options_.observer->hidden(index, states);
  }
  [[nodiscard]] std::vector<MaskMetrics> take() { return std::move(metrics_); }
  [[nodiscard]] std::int64_t peak_bytes() const {
    return peak_bytes_;
  }  // of the process, before the last layer's metrics

 private:
  [[nodiscard]] bool measures() const { return options_.metrics_rows > 0 && method_ != Method::kDense; }

  const CompareOptions& options_;
  Method method_;
  Reporter& reporter_;
  std::vector<MaskMetrics> metrics_;
  std::int64_t peak_bytes_ = 0;
};

// Evenly spread rows of [tokens, hidden], counted back from the last, so that long documents stay affordable.
std::vector<float> spread_rows(const std::vector<float>& states, std::int64_t tokens, std::int64_t hidden,
                               std::int64_t most) {
  const std::int64_t step = (tokens + most - 1) / most;
  std::vector<float> rows;
  rows.reserve(static_cast<std::size_t>((tokens / step + 1) * hidden));
  for (std::int64_t row = (tokens - 1) % step; row < tokens; row += step) {
    rows.insert(rows.end(), states.begin() + row * hidden, states.begin() + (row + 1) * hidden);
  }
  return rows;
}

LogitCloseness compare_logits(const Gemma2& model, std::span<const float> dense, std::span<const float> sparse,
                              Reporter& reporter, const CancelToken* cancel) {
  const std::int64_t hidden = model.config().hidden_size;
  const std::int64_t vocab = model.config().vocab_size;
  const std::int64_t rows = static_cast<std::int64_t>(dense.size()) / hidden;
  const std::int64_t block = std::clamp<std::int64_t>((std::int64_t{8} << 20) / vocab, 1, 256);
  std::vector<float> left(static_cast<std::size_t>(std::min(block, rows) * vocab));
  std::vector<float> right(left.size());
  LogitAgreement agreement;
  for (std::int64_t at = 0; at < rows; at += block) {
    if (cancel != nullptr) cancel->check();
    reporter.tell(CompareProgress::Phase::kLogits, static_cast<double>(at) / static_cast<double>(rows));
    const std::int64_t count = std::min(block, rows - at);
    const auto part = [&](std::span<const float> states) {
      return states.subspan(static_cast<std::size_t>(at * hidden), static_cast<std::size_t>(count * hidden));
    };
    model.logits(part(dense), count, left.data());
    model.logits(part(sparse), count, right.data());
    const auto values = static_cast<std::size_t>(count * vocab);
    agreement.add(std::span(left).first(values), std::span(right).first(values), vocab);
  }
  return {agreement.mean_kl(), agreement.same_top(), agreement.positions()};
}

class Runner {
 public:
  Runner(const Gemma2& model, std::span<const std::int32_t> ids, const DocumentInfo& document,
         const CompareOptions& options, const Tokenizer* tokenizer, std::shared_ptr<const BoundaryPredictor> predictor,
         int runs, bool with_dense)
      : model_(model),
        ids_(ids),
        document_(document),
        options_(options),
        tokenizer_(tokenizer),
        predictor_(std::move(predictor)),
        reporter_(options, runs),
        logits_(with_dense && runs > 1 && options.logit_positions > 0) {}

  void warm_up() {
    reporter_.tell(CompareProgress::Phase::kWarmUp, 0);
    SparsityParameters dense;
    dense.method = Method::kDense;
    const std::span<const std::int32_t> few = ids_.first(std::min<std::size_t>(ids_.size(), kWarmUpTokens));
    const std::unique_ptr<Planner> planner = make_planner(dense, {static_cast<std::int64_t>(few.size()), {}});
    PrefillOptions options;
    options.cancel = options_.cancel;
    static_cast<void>(model_.prefill(few, *planner, options));
  }

  MethodRun run(int number, const MethodChoice& choice) {
    const SparsityParameters& parameters = choice.parameters;
    const std::int64_t tokens = static_cast<std::int64_t>(ids_.size());
    const std::int64_t hidden = model_.config().hidden_size;
    reporter_.begin_run(number, choice.name, static_cast<int>(model_.config().layers));
    Meter meter(options_, parameters.method, reporter_);
    RecordOptions record;
    record.capture_layers = options_.capture_layers;
    record.keep_plans = options_.keep_plans;
    TraceRecorder recorder(record, &meter);
    PrefillOptions options;
    options.observer = &recorder;
    options.cancel = options_.cancel;
    options.keep_cache = options_.max_new_tokens > 0;
    options.keep_final_hidden = logits_;
    const std::unique_ptr<Planner> planner = make_planner(parameters, document_, predictor_);
    PrefillResult result = model_.prefill(ids_, *planner, options);
    if (model_.options().device == Device::kCpu) result.peak_bytes = std::max(result.peak_bytes, meter.peak_bytes());

    MethodRun run;
    run.name = choice.name;
    run.parameters = resolved(parameters, predictor_ != nullptr);
    run.trace = recorder.take(result);
    run.metrics = meter.take();
    run.seconds = result.seconds;
    run.peak_bytes = result.peak_bytes;
    run.start_bytes = result.start_bytes;
    if (logits_) {
      std::vector<float> rows = spread_rows(result.final_hidden, tokens, hidden, options_.logit_positions);
      result.final_hidden = {};
      if (parameters.method == Method::kDense) {
        dense_rows_ = std::move(rows);
      } else {
        run.logits = compare_logits(model_, dense_rows_, rows, reporter_, options_.cancel);
      }
    }
    if (options_.max_new_tokens > 0) answer(run, result);
    return run;
  }

 private:
  void answer(MethodRun& run, const PrefillResult& result) {
    const auto begin = std::chrono::steady_clock::now();
    reporter_.tell(CompareProgress::Phase::kAnswer, 0);
    std::vector<std::int32_t> so_far;
    std::string shown;
    run.answer = generate_greedy(model_, result, options_.max_new_tokens, options_.cancel, [&](std::int32_t token) {
      so_far.push_back(token);
      reporter_.tell(CompareProgress::Phase::kAnswer,
                     static_cast<double>(so_far.size()) / static_cast<double>(options_.max_new_tokens));
      if (tokenizer_ == nullptr || !options_.answer_piece) return;
      // A character may be spread over several byte pieces: hold back one that is not complete yet.
      const std::string text = tokenizer_->decode(so_far);
      if (text.size() > shown.size() && text.starts_with(shown) && !text.ends_with("\xef\xbf\xbd")) {
        options_.answer_piece(text.substr(shown.size()));
        shown = text;
      }
    });
    if (tokenizer_ != nullptr) {
      run.answer_text = tokenizer_->decode(run.answer);
      if (options_.answer_piece && run.answer_text.size() > shown.size() && run.answer_text.starts_with(shown)) {
        options_.answer_piece(run.answer_text.substr(shown.size()));
      }
    }
    run.answer_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  const Gemma2& model_;
  std::span<const std::int32_t> ids_;
  const DocumentInfo& document_;
  const CompareOptions& options_;
  const Tokenizer* tokenizer_;
  std::shared_ptr<const BoundaryPredictor> predictor_;
  Reporter reporter_;
  bool logits_;
  std::vector<float> dense_rows_;
};

}  // namespace

const MethodRun* Comparison::dense() const {
  for (const MethodRun& run : runs) {
    if (run.parameters.method == Method::kDense) return &run;
  }
  return nullptr;
}

Comparison compare_methods(const Gemma2& model, std::span<const std::int32_t> ids, const DocumentInfo& document,
                           std::span<const MethodChoice> methods, const CompareOptions& options,
                           const Tokenizer* tokenizer, std::shared_ptr<const BoundaryPredictor> predictor) {
  if (methods.empty()) throw Error("There is no method to run; name at least one.");
  if (options.metrics_rows < 0 || options.logit_positions < 0 || options.max_new_tokens < 0) {
    throw Error("The metrics rows, logit positions and new tokens of a run cannot be negative.");
  }
  // Everything that can be refused is refused before the first run.
  std::vector<std::size_t> order(methods.size());
  for (std::size_t i = 0; i < methods.size(); ++i) {
    check_parameters(methods[i].parameters);
    static_cast<void>(make_planner(methods[i].parameters, document, predictor));
    order[i] = i;
  }
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return methods[i].parameters.method == Method::kDense; });
  const bool with_dense = methods[order.front()].parameters.method == Method::kDense;

  Comparison comparison;
  comparison.tokens = static_cast<std::int64_t>(ids.size());
  comparison.metrics_rows = options.metrics_rows;
  comparison.runs.resize(methods.size());
  Runner runner(model, ids, document, options, tokenizer, std::move(predictor), static_cast<int>(methods.size()),
                with_dense);
  if (options.warm_up) runner.warm_up();
  int number = 0;
  for (const std::size_t i : order) {
    comparison.runs[i] = runner.run(number++, methods[i]);
    if (options.finished) options.finished(i, comparison.runs[i]);
  }
  return comparison;
}

ChunkLengths chunk_lengths(std::span<const std::int32_t> boundaries) {
  ChunkLengths lengths;
  if (boundaries.size() < 2) return lengths;
  std::vector<std::int32_t> sizes;
  for (std::size_t c = 0; c + 1 < boundaries.size(); ++c) sizes.push_back(boundaries[c + 1] - boundaries[c]);
  std::sort(sizes.begin(), sizes.end());
  lengths.count = static_cast<std::int64_t>(sizes.size());
  lengths.median = sizes[sizes.size() / 2];
  lengths.longest = sizes.back();
  return lengths;
}

RunSummary summarise(const MethodRun& run) {
  RunSummary summary;
  double kept = 0;
  double causal = 0;
  double layers_with_chunks = 0;
  std::vector<std::int32_t> joined = {0};  // chunks of all layers, one after the other
  for (const PlanSummary& plan : run.trace.summaries) {
    kept += plan.kept_pairs;
    causal += plan.causal_pairs;
    const std::vector<std::int32_t>& boundaries = plan.boundaries;
    if (boundaries.size() < 2) continue;
    layers_with_chunks += 1;
    for (std::size_t c = 0; c + 1 < boundaries.size(); ++c) {
      joined.push_back(joined.back() + boundaries[c + 1] - boundaries[c]);
    }
  }
  summary.density = causal > 0 ? kept / causal : 0;
  const ChunkLengths lengths = chunk_lengths(joined);
  summary.chunks = layers_with_chunks > 0 ? static_cast<double>(lengths.count) / layers_with_chunks : 0;
  summary.median_chunk = lengths.median;
  summary.longest_chunk = lengths.longest;
  summary.planning_share = run.seconds > 0 ? run.trace.stage_seconds(Stage::kPlan) / run.seconds : 0;
  if (run.metrics.empty()) return summary;
  summary.worst_head_mass = summary.worst_rows_mass = 1;
  for (const MaskMetrics& metrics : run.metrics) {
    const double share = 1.0 / static_cast<double>(run.metrics.size());
    summary.retained_mass += share * metrics.retained_mass;
    summary.of_oracle += share * metrics.of_oracle;
    summary.iou += share * metrics.iou;
    summary.output_error += share * metrics.output_error;
    summary.worst_head_mass = std::min(summary.worst_head_mass, metrics.worst_head_mass);
    summary.worst_rows_mass = std::min(summary.worst_rows_mass, metrics.worst_rows_mass);
  }
  return summary;
}

void to_json(nlohmann::json& json, const MethodRun& run) {
  const RunSummary summary = summarise(run);
  const auto tokens = static_cast<double>(run.trace.tokens);
  json = {{"name", run.name},
          {"method", name_of(run.parameters.method)},
          {"parameters", run.parameters},
          {"prefill_seconds", run.seconds},
          {"tokens_per_second", run.seconds > 0 ? tokens / run.seconds : 0.0},
          {"peak_bytes", run.peak_bytes},
          {"start_bytes", run.start_bytes},
          {"planning_share", summary.planning_share},
          {"density", summary.density},
          {"trace", run.trace}};
  if (summary.chunks > 0) {
    json["chunks"] = {
        {"mean_count", summary.chunks}, {"median_length", summary.median_chunk}, {"longest", summary.longest_chunk}};
  }
  if (!run.metrics.empty()) {
    json["mask"] = {{"retained_mass", summary.retained_mass},
                    {"worst_head_mass", summary.worst_head_mass},
                    {"worst_rows_mass", summary.worst_rows_mass},
                    {"of_oracle", summary.of_oracle},
                    {"iou", summary.iou},
                    {"output_error", summary.output_error},
                    {"layers", run.metrics}};
  }
  if (run.logits) {
    json["logits"] = {{"mean_kl_nats", run.logits->mean_kl},
                      {"same_top", run.logits->same_top},
                      {"positions", run.logits->positions}};
  }
  if (run.answer_seconds > 0) {
    json["answer"] = {{"tokens", run.answer}, {"text", run.answer_text}, {"seconds", run.answer_seconds}};
  }
}

void to_json(nlohmann::json& json, const Comparison& comparison) {
  json = {{"tokens", comparison.tokens}, {"metrics_every_nth_row", comparison.metrics_rows}, {"runs", comparison.runs}};
  const MethodRun* dense = comparison.dense();
  if (dense == nullptr) return;
  for (std::size_t i = 0; i < comparison.runs.size(); ++i) {
    const MethodRun& run = comparison.runs[i];
    if (run.seconds > 0) json["runs"][i]["speed_up_over_dense"] = dense->seconds / run.seconds;
  }
}

}  // namespace dhsa
