#include "core/run/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/model/decode.h"
#include "core/run/measures.h"
#include "core/text/tokenizer.h"

namespace dhsa {
namespace {

// Shares of one run's time, for the progress bar only.
constexpr double kPrefillShare = 0.8;
constexpr double kAnswerShare = 0.1;
constexpr std::int64_t kWarmUpTokens = 256;

class Reporter {
 public:
  Reporter(const RunOptions& options, int runs) : options_(options) { state_.runs = runs; }
  void begin_run(int run, const std::string& name, int layers) {
    state_.run = run;
    state_.name = name;
    state_.layers = layers;
    state_.layer = -1;
  }
  void tell(CompareProgress::Phase phase, double share) {
    state_.phase = phase;
    const double of_run = phase == CompareProgress::Phase::kPrefill ? kPrefillShare * share
                          : phase == CompareProgress::Phase::kAnswer
                              ? kPrefillShare + kAnswerShare * share
                              : kPrefillShare + kAnswerShare + (1 - kPrefillShare - kAnswerShare) * share;
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
  const RunOptions& options_;
  CompareProgress state_;
};

int layers_of(const Gemma2& model, const RunOptions& options) {
  return options.last_layer >= 0 ? options.last_layer + 1 : static_cast<int>(model.config().layers);
}

// The outermost observer: keeps what those inside it use and keep out of the run's memory.
class Accounts : public PrefillObserver {
 public:
  explicit Accounts(PrefillObserver& inside) : inside_(inside) {}
  void prefill_begins(std::int64_t tokens, int layers) override {
    outside([&] { inside_.prefill_begins(tokens, layers); });
  }
  void stage_begins(Stage stage, int layer) override {
    outside([&] { inside_.stage_begins(stage, layer); });
  }
  void stage_ends(const StageReport& report) override {
    outside([&] { inside_.stage_ends(report); });
  }
  [[nodiscard]] bool wants_attention(int layer) const override { return inside_.wants_attention(layer); }
  void attended(const AttendedLayer& layer) override {
    outside([&] { inside_.attended(layer); });
  }
  [[nodiscard]] bool wants_hidden(int index) const override { return inside_.wants_hidden(index); }
  void hidden(int index, const HeadsView& states) override {
    outside([&] { inside_.hidden(index, states); });
  }
  // Most of the process so far, less what has been kept.
  [[nodiscard]] std::int64_t peak_bytes() const { return std::max(peak_, peak_resident_bytes() - kept_); }

 private:
  template <class Work>
  void outside(const Work& work) {
    const std::int64_t before = resident_bytes();
    const std::int64_t highest = peak_resident_bytes();
    peak_ = std::max(peak_, highest - kept_);
    work();
    // Reset only where there is something to forget: it returns freed memory, which the run would have used again.
    if (peak_resident_bytes() > highest || resident_bytes() > before + kUnnoticed) reset_peak_resident();
    kept_ += std::max<std::int64_t>(0, resident_bytes() - before);
  }

  static constexpr std::int64_t kUnnoticed = 1 << 20;
  PrefillObserver& inside_;
  std::int64_t peak_ = 0;
  std::int64_t kept_ = 0;
};

// Measures each layer's mask while its q, k and v are alive, and passes all on to the caller's observer.
class Meter : public PrefillObserver {
 public:
  Meter(const RunOptions& options, const SparsityParameters& parameters, Reporter& reporter)
      : options_(options), parameters_(parameters), reporter_(reporter) {}
  void watch(const TraceRecorder& recorder) { recorder_ = &recorder; }

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
    return options_.measured || (options_.metrics_rows > 0 && !dense()) ||
           (options_.observer != nullptr && options_.observer->wants_attention(layer));
  }
  void attended(const AttendedLayer& layer) override {
    if (options_.measured) {
      const auto index = static_cast<std::size_t>(layer.layer.index);
      const auto& captured = recorder_->trace().captured[index];
      const auto& plan = recorder_->trace().plans[index];
      const std::int64_t step = std::max<std::int64_t>(1, options_.metrics_rows);
      const auto measured = captured ? measure_layer(plan, captured, parameters_, step, options_.cancel)
                                     : measure_layer(plan, layer, parameters_, step, options_.cancel);
      metrics_.push_back({measured->metrics.values, measured->metrics.heads, {}, {}});
      options_.measured(measured);
    } else if (options_.metrics_rows > 0 && layer.plan.mask.density() >= 1) {
      metrics_.push_back(metrics_of_dense(layer.q.heads));
    } else if (options_.metrics_rows > 0) {
      MetricOptions how;
      how.row_step = options_.metrics_rows;
      how.oracle = options_.oracle;
      how.cancel = options_.cancel;
      metrics_.push_back(measure_mask(layer.q, layer.k, layer.v, layer.plan.mask, layer.layer, how));
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

 private:
  [[nodiscard]] bool dense() const { return parameters_.method == Method::kDense; }

  const RunOptions& options_;
  const SparsityParameters& parameters_;
  Reporter& reporter_;
  const TraceRecorder* recorder_ = nullptr;
  std::vector<MaskMetrics> metrics_;
};

// Follows one prefill: share of it that is done, and the density of its masks.
class Follower : public PrefillObserver {
 public:
  explicit Follower(const std::function<void(double)>& progress) : progress_(progress) {}
  void prefill_begins(std::int64_t /*tokens*/, int layers) override { layers_ = layers; }
  void stage_begins(Stage stage, int layer) override {
    if (layer >= 0) progress_((layer + static_cast<double>(stage) / kStageCount) / std::max(1, layers_));
  }
  void attended(const AttendedLayer& layer) override {
    const PlanSummary summary = summarise(layer.plan);
    kept_ += summary.kept_pairs;
    causal_ += summary.causal_pairs;
  }
  [[nodiscard]] double density() const { return causal_ > 0 ? kept_ / causal_ : 1; }

 private:
  const std::function<void(double)>& progress_;
  int layers_ = 1;
  double kept_ = 0;
  double causal_ = 0;
};

// At most `most` positions, spread over the text: long documents stay affordable.
std::shared_ptr<const FinalStates> states_at_positions(const std::vector<float>& all, std::int64_t tokens,
                                                       std::int64_t hidden, std::int64_t most, std::uint64_t text) {
  auto kept = std::make_shared<FinalStates>();
  kept->positions = draw_rows(0, tokens, (tokens + most - 1) / most, text);
  kept->states.reserve(static_cast<std::size_t>(kept->positions.size() * hidden));
  for (const std::int64_t row : kept->positions.rows) {
    kept->states.insert(kept->states.end(), all.begin() + row * hidden, all.begin() + (row + 1) * hidden);
  }
  return kept;
}

// Why the answer ended, and what of it is not in its text: a <pad> that won shows nothing.
std::string end_in_words(const MethodRun& run, const Tokenizer* tokenizer) {
  const auto name = [&](std::int32_t id) { return tokenizer ? tokenizer->piece(id) : fmt::format("token {}", id); };
  std::string words = run.stop_token ? "ended at " + name(*run.stop_token)
                                     : fmt::format("{} token{}, the most asked for", run.answer.size(),
                                                   run.answer.size() == 1 ? "" : "s");
  if (tokenizer == nullptr) return words;
  std::map<std::int32_t, int> silent;
  for (const std::int32_t id : run.answer) {
    if (tokenizer->decode(std::span(&id, 1)).empty()) ++silent[id];
  }
  for (const auto& [id, times] : silent) words += fmt::format("; {} of them {}, without text", times, name(id));
  return words;
}

void write_answer(MethodRun& run, const RunSubject& subject, const PrefillResult& result, const RunOptions& options,
                  Reporter& reporter) {
  const auto begin = std::chrono::steady_clock::now();
  reporter.tell(CompareProgress::Phase::kAnswer, 0);
  const Tokenizer* tokenizer = subject.tokenizer;
  std::vector<std::int32_t> so_far;
  std::string shown;
  const auto seen = [&](std::int32_t token) {
    so_far.push_back(token);
    reporter.tell(CompareProgress::Phase::kAnswer,
                  static_cast<double>(so_far.size()) / static_cast<double>(options.max_new_tokens));
    if (tokenizer == nullptr || !options.answer_piece) return;
    // A character may be spread over several byte pieces: hold back one that is not complete yet.
    const std::string text = tokenizer->decode(so_far);
    if (text.size() > shown.size() && text.starts_with(shown) && !text.ends_with("\xef\xbf\xbd")) {
      options.answer_piece(text.substr(shown.size()));
      shown = text;
    }
  };
  Continuation answer = continue_greedily(subject.model, result, options.max_new_tokens, options.cancel, seen);
  run.answer = std::move(answer.tokens);
  run.stop_token = answer.stop_token;
  run.answer_end = end_in_words(run, tokenizer);
  if (tokenizer != nullptr) {
    run.answer_text = tokenizer->decode(run.answer);
    if (options.answer_piece && run.answer_text.size() > shown.size() && run.answer_text.starts_with(shown)) {
      options.answer_piece(run.answer_text.substr(shown.size()));
    }
  }
  run.answer_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void check_options(const RunOptions& options) {
  if (options.metrics_rows < 0 || options.logit_positions < 0 || options.max_new_tokens < 0) {
    throw Error("The metrics rows, logit positions and new tokens of a run cannot be negative.");
  }
  if (options.last_layer >= 0 && (options.logit_positions > 0 || options.max_new_tokens > 0)) {
    throw Error("A run that ends before the last layer has no logits and no answer.");
  }
}

MethodRun run_one(const RunSubject& subject, const MethodChoice& choice, const RunOptions& options,
                  Reporter& reporter) {
  const SparsityParameters parameters = resolved(choice.parameters, subject.predictor != nullptr);
  Meter meter(options, choice.parameters, reporter);
  RecordOptions record;
  record.capture_layers = options.capture_layers;
  record.keep_plans = options.keep_plans || options.measured;
  TraceRecorder recorder(record, &meter);
  meter.watch(recorder);
  Accounts accounts(recorder);
  PrefillOptions prefill;
  prefill.observer = &accounts;
  prefill.cancel = options.cancel;
  prefill.keep_cache = options.max_new_tokens > 0;
  prefill.keep_final_hidden = options.logit_positions > 0;
  prefill.last_layer = options.last_layer;
  PrefillResult result = prefill_for(subject, choice.parameters, prefill);
  if (subject.model.options().device == Device::kCpu) result.peak_bytes = accounts.peak_bytes();

  MethodRun run;
  run.name = choice.name;
  run.parameters = parameters;
  run.trace = recorder.take(result);
  run.metrics = meter.take();
  run.seconds = result.seconds;
  run.peak_bytes = result.peak_bytes;
  run.start_bytes = result.start_bytes;
  if (prefill.keep_final_hidden) {
    run.states = states_at_positions(result.final_hidden, run.trace.tokens, subject.model.config().hidden_size,
                                     options.logit_positions, hash_of(subject.ids));
    result.final_hidden = {};
  }
  if (options.max_new_tokens > 0) write_answer(run, subject, result, options, reporter);
  return run;
}

}  // namespace

MethodRun run_method(const RunSubject& subject, const MethodChoice& choice, const RunOptions& options) {
  check_options(options);
  Reporter reporter(options, 1);
  reporter.begin_run(0, choice.name, layers_of(subject.model, options));
  return run_one(subject, choice, options, reporter);
}

PrefillResult prefill_for(const RunSubject& subject, const SparsityParameters& parameters,
                          const PrefillOptions& options) {
  return subject.model.prefill(subject.ids, *make_planner(parameters, subject.document, subject.predictor), options);
}

ReadText read_text(const RunSubject& subject, const SparsityParameters& parameters, PrefillOptions options,
                   const std::function<void(double)>& progress) {
  Follower follower(progress);
  options.observer = &follower;
  ReadText read;
  read.prefill = prefill_for(subject, parameters, options);
  read.values.set("density", follower.density());
  read.values.set("prefill_seconds", read.prefill.seconds);
  return read;
}

void warm_up(const Gemma2& model, const CancelToken* cancel) {
  const std::vector<std::int32_t> few(static_cast<std::size_t>(std::min(kWarmUpTokens, model.config().context)), 0);
  SparsityParameters dense;
  dense.method = Method::kDense;
  PrefillOptions options;
  options.cancel = cancel;
  static_cast<void>(prefill_for({model, few, {static_cast<std::int64_t>(few.size()), {}}}, dense, options));
}

LogitCloseness compare_logits(const Gemma2& model, const FinalStates& dense, const FinalStates& other,
                              const std::function<void(double)>& between, const CancelToken* cancel) {
  if (dense.positions.rows != other.positions.rows) {
    throw Error("Logits of two runs can only be compared at the same positions of the same text.");
  }
  const std::int64_t hidden = model.config().hidden_size;
  const std::int64_t vocab = model.config().vocab_size;
  const std::int64_t rows = dense.positions.size();
  const std::int64_t block = std::clamp<std::int64_t>((std::int64_t{8} << 20) / vocab, 1, 256);
  std::vector<float> left(static_cast<std::size_t>(std::min(block, rows) * vocab));
  std::vector<float> right(left.size());
  LogitAgreement agreement;
  for (std::int64_t at = 0; at < rows; at += block) {
    if (cancel != nullptr) cancel->check();
    if (between) between(static_cast<double>(at) / static_cast<double>(rows));
    const std::int64_t count = std::min(block, rows - at);
    const auto part = [&](const FinalStates& states) {
      return std::span(states.states)
          .subspan(static_cast<std::size_t>(at * hidden), static_cast<std::size_t>(count * hidden));
    };
    model.logits(part(dense), count, left.data());
    model.logits(part(other), count, right.data());
    const auto values = static_cast<std::size_t>(count * vocab);
    agreement.add(std::span(left).first(values), std::span(right).first(values), vocab);
  }
  return {sampled_mean(agreement.kl(), dense.positions), sampled_mean(agreement.same(), dense.positions), rows};
}

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
  check_options(options);
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
  Reporter reporter(options, static_cast<int>(methods.size()));
  RunOptions each = options;
  if (!with_dense || methods.size() == 1) each.logit_positions = 0;
  const RunSubject subject{model, ids, document, tokenizer, std::move(predictor)};
  std::shared_ptr<const FinalStates> dense;
  int number = 0;
  for (const std::size_t i : order) {
    reporter.begin_run(number++, methods[i].name, layers_of(model, options));
    MethodRun& run = comparison.runs[i] = run_one(subject, methods[i], each, reporter);
    const std::shared_ptr<const FinalStates> states = std::exchange(run.states, nullptr);
    if (run.parameters.method == Method::kDense) {
      dense = states;
    } else if (states) {
      run.logits = compare_logits(
          model, *dense, *states, [&](double done) { reporter.tell(CompareProgress::Phase::kLogits, done); },
          options.cancel);
    }
    if (options.finished) options.finished(i, run);
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

Values summarise(const MethodRun& run) {
  Values summary;
  const auto tokens = static_cast<double>(run.trace.tokens);
  summary.set("prefill_seconds", run.seconds);
  summary.set("tokens_per_second", run.seconds > 0 ? tokens / run.seconds : 0.0);
  summary.set("planning_share", run.seconds > 0 ? run.trace.stage_seconds(Stage::kPlan) / run.seconds : 0.0);
  summary.set("peak_bytes", static_cast<double>(run.peak_bytes));
  summary.set("extra_bytes", static_cast<double>(std::max<std::int64_t>(0, run.peak_bytes - run.start_bytes)));

  double layers_with_chunks = 0;
  std::vector<std::int32_t> joined = {0};  // chunks of all layers, one after the other
  for (const PlanSummary& plan : run.trace.summaries) {
    const std::vector<std::int32_t>& boundaries = plan.boundaries;
    if (boundaries.size() < 2) continue;
    layers_with_chunks += 1;
    for (std::size_t c = 0; c + 1 < boundaries.size(); ++c) {
      joined.push_back(joined.back() + boundaries[c + 1] - boundaries[c]);
    }
  }
  if (layers_with_chunks > 0) {
    const ChunkLengths lengths = chunk_lengths(joined);
    summary.set("chunks", static_cast<double>(lengths.count) / layers_with_chunks);
    summary.set("median_chunk", static_cast<double>(lengths.median));
    summary.set("longest_chunk", static_cast<double>(lengths.longest));
  }
  std::vector<Values> layers;
  std::vector<Values> global_mass;
  for (const MaskMetrics& metrics : run.metrics) {
    const std::size_t layer = layers.size();
    layers.push_back(metrics.values);
    const bool global = layer < run.trace.summaries.size() && run.trace.summaries[layer].window == 0;
    if (global) global_mass.emplace_back().set("retained_mass", metrics.values.at("retained_mass"));
  }
  const Values masks = combine(layers);
  for (const auto& [key, value] : masks.entries()) summary.set(key, value);
  if (const Values global = combine(global_mass); !global.empty()) {
    summary.set("retained_mass_global", global.at("retained_mass"));
  }
  Measured density;
  density.weight = run.trace.causal_pairs();
  density.value = density.weight > 0 ? run.trace.kept_pairs() / density.weight : 0;
  summary.set("density", density);
  if (run.logits) {
    summary.set("mean_kl_nats", run.logits->mean_kl);
    summary.set("same_top", run.logits->same_top);
  }
  return summary;
}

namespace {

Values of_group(const Values& values, Measure::Group group) {
  Values chosen;
  for (const auto& [key, value] : values.entries()) {
    if (measure(key).group == group) chosen.set(key, value);
  }
  return chosen;
}

}  // namespace

void to_json(nlohmann::json& json, const MethodRun& run) {
  const Values summary = summarise(run);
  json = {{"name", run.name},
          {"method", name_of(run.parameters.method)},
          {"parameters", run.parameters},
          {"prefill_seconds", run.seconds},
          {"tokens_per_second", summary.value("tokens_per_second")},
          {"peak_bytes", run.peak_bytes},
          {"start_bytes", run.start_bytes},
          {"planning_share", summary.value("planning_share")},
          {"density", summary.value("density")},
          {"trace", run.trace}};
  if (summary.find("chunks") != nullptr) {
    json["chunks"] = {{"mean_count", summary.value("chunks")},
                      {"median_length", static_cast<std::int64_t>(summary.value("median_chunk"))},
                      {"longest", static_cast<std::int64_t>(summary.value("longest_chunk"))}};
  }
  if (!run.metrics.empty()) {
    json["mask"] = of_group(summary, Measure::Group::kMask);
    json["mask"]["layers"] = run.metrics;
  }
  if (run.logits) {
    json["logits"] = of_group(summary, Measure::Group::kLogits);
    json["logits"]["positions"] = run.logits->positions;
  }
  if (run.answer_seconds > 0) {
    json["answer"] = {{"tokens", run.answer},
                      {"text", run.answer_text},
                      {"seconds", run.answer_seconds},
                      {"stop", run.stop_token ? "stop-token" : "most-tokens"},
                      {"end", run.answer_end}};
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
