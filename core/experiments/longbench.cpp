#include "core/experiments/longbench.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/follower_internal.h"
#include "core/model/decode.h"
#include "core/run/open_model.h"

namespace dhsa {
namespace {

constexpr std::int32_t kEos = 1;
constexpr std::size_t kBytesPerToken = 4;  // about; for progress only

// When an answer is over.
struct StopRule {
  std::vector<std::int32_t> tokens;
  std::optional<std::int32_t> line_break;  // likewise, but stays in the answer
  std::size_t least = 0;                   // tokens before any of them counts
  [[nodiscard]] bool stops(std::int32_t token) const {
    return token == line_break || std::find(tokens.begin(), tokens.end(), token) != tokens.end();
  }
};

std::vector<std::int32_t> greedy_answer(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                                        const StopRule& rule, const CancelToken* cancel) {
  Decoder decoder(model, prefill, cancel);
  std::vector<std::int32_t> tokens;
  while (true) {
    const bool may_stop = tokens.size() >= rule.least;
    const std::span<const float> logits = decoder.logits();
    std::int32_t next = -1;
    for (std::int32_t token = 0; token < static_cast<std::int32_t>(logits.size()); ++token) {
      if (!may_stop && rule.stops(token)) continue;
      if (next < 0 || logits[static_cast<std::size_t>(token)] > logits[static_cast<std::size_t>(next)]) next = token;
    }
    const bool ends = may_stop && rule.stops(next);
    if (!ends || next == rule.line_break) tokens.push_back(next);
    if (ends || static_cast<std::int64_t>(tokens.size()) >= most) return tokens;
    decoder.read(next);
  }
}

class LongBenchRun {
 public:
  LongBenchRun(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchData& data, LongBenchResults& results,
               const LongBenchOptions& options, const std::shared_ptr<const BoundaryPredictor>& predictor)
      : model_(model),
        tokenizer_(tokenizer),
        data_(data),
        results_(results),
        options_(options),
        predictor_(predictor),
        turn_(turn_markers(tokenizer)) {
    for (std::size_t t = 0; t < data.sets.size(); ++t) {
      for (const auto& samples : results.tasks[t].samples) {
        for (std::size_t row = samples.size(); row < data.sets[t].rows.size(); ++row) all_ += cost(t, row);
      }
    }
  }

  // Row after row, so that methods stand on the same rows whenever one looks.
  void run() {
    for (std::size_t t = 0; t < data_.sets.size(); ++t) {
      for (std::size_t row = 0; row < data_.sets[t].rows.size(); ++row) ask_all(t, row);
    }
  }

 private:
  [[nodiscard]] double cost(std::size_t t, std::size_t row) const {
    const LongBenchSet& set = data_.sets[t];
    const auto tokens = static_cast<std::int64_t>(set.rows[row].context.size() / kBytesPerToken);
    return relative_cost(std::min(tokens, results_.settings.max_length) + set.task->max_new_tokens);
  }

  void ask_all(std::size_t t, std::size_t row) {
    LongBenchTaskResults& task = results_.tasks[t];
    std::optional<LongBenchPrompt> prompt;
    for (std::size_t method = 0; method < results_.methods.size(); ++method) {
      if (task.samples[method].size() > row) continue;
      const LongBenchSet& set = data_.sets[t];
      if (!prompt) prompt = make_longbench_prompt(results_.settings, set, set.rows[row], tokenizer_, turn_);
      task.samples[method].push_back(ask(t, row, method, *prompt));
      if (task.lengths.size() <= row) {
        task.lengths.push_back(set.rows[row].length);
        task.answers.push_back(set.rows[row].answers);
      }
      done_ += cost(t, row);
      if (options_.answered) options_.answered(t, method, row);
    }
  }

  LongBenchSample ask(std::size_t t, std::size_t row, std::size_t method, const LongBenchPrompt& prompt) const {
    const LongBenchSet& set = data_.sets[t];
    const MethodChoice& choice = results_.methods[method];
    const auto tell = [&](double share) {
      if (options_.cancel != nullptr) options_.cancel->check();
      if (!options_.progress) return;
      options_.progress({std::string(set.task->name), choice.name, static_cast<std::int64_t>(row),
                         static_cast<std::int64_t>(set.rows.size()), (done_ + share * cost(t, row)) / all_});
    };
    tell(0);
    SparsityParameters parameters = choice.parameters;
    const bool reference = results_.settings.mode == NeedleMode::kReference;
    parameters.instruction_tokens = reference ? prompt.instruction_tokens : 0;
    const auto tokens = static_cast<std::int64_t>(prompt.ids.size());
    const std::unique_ptr<Planner> planner = make_planner(parameters, {tokens, prompt.sentence_ends}, predictor_);
    Follower follower(tell);
    PrefillOptions options;
    options.observer = &follower;
    options.cancel = options_.cancel;
    options.keep_cache = true;
    const PrefillResult prefill = model_.prefill(prompt.ids, *planner, options);
    const std::vector<std::int32_t> answer =
        greedy_answer(model_, prefill, set.task->max_new_tokens, stop_rule(*set.task), options_.cancel);

    LongBenchSample sample{tokenizer_.decode(answer), 0, tokens, prompt.whole_tokens, follower.density()};
    sample.score = longbench_score(*set.task, sample.prediction, set.rows[row].answers, results_.tasks[t].classes);
    return sample;
  }

  [[nodiscard]] StopRule stop_rule(const LongBenchTask& task) const {
    if (results_.settings.authors()) return {{kEos}, std::nullopt, 1};
    StopRule rule{model_.config().stop_tokens, std::nullopt, 0};
    if (results_.settings.chat && turn_ && task.chat_turn()) rule.tokens.push_back(turn_->end);
    if (task.name == "samsum") {
      rule.line_break = tokenizer_.encode("\n", false).ids.back();
      rule.least = 1;
    }
    return rule;
  }

  const Gemma2& model_;
  const Tokenizer& tokenizer_;
  const LongBenchData& data_;
  LongBenchResults& results_;
  const LongBenchOptions& options_;
  const std::shared_ptr<const BoundaryPredictor>& predictor_;
  std::optional<TurnMarkers> turn_;
  double all_ = 0;
  double done_ = 0;
};

void check_run(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchResults& results,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  const LongBenchSettings& settings = results.settings;
  check_settings(settings);
  check_vocabulary(model.config(), tokenizer);
  require(!results.methods.empty(), "There is no method to test; name at least one.");
  PrefillOptions options;
  options.keep_cache = true;
  require_memory(model, settings.max_length, options, "A prompt");
  for (const MethodChoice& method : results.methods) {
    try {
      check_parameters(method.parameters);
      static_cast<void>(make_planner(method.parameters, {settings.max_length, {}}, predictor));
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", method.name, error.what()));
    }
  }
}

}  // namespace

LongBenchResults begin_longbench(const LongBenchSettings& settings, const LongBenchData& data,
                                 std::vector<MethodChoice> methods) {
  LongBenchResults results;
  results.settings = settings;
  results.data = data.name;
  results.digest = data.digest;
  results.methods = std::move(methods);
  for (const LongBenchSet& set : data.sets) {
    LongBenchTaskResults task;
    task.task = set.task;
    task.rows = static_cast<std::int64_t>(set.rows.size());
    task.classes = set.rows.back().classes;
    task.samples.resize(results.methods.size());
    results.tasks.push_back(std::move(task));
  }
  return results;
}

void run_longbench(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchData& data,
                   LongBenchResults& results, const LongBenchOptions& options,
                   const std::shared_ptr<const BoundaryPredictor>& predictor) {
  check_run(model, tokenizer, results, predictor);
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model);
  LongBenchRun(model, tokenizer, data, results, options, predictor).run();
}

}  // namespace dhsa
