#include "core/experiments/longbench.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/experiments/experiment_internal.h"
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

class LongBenchRun : ExperimentRun<LongBenchResults> {
 public:
  LongBenchRun(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchData& data, LongBenchResults& results,
               const LongBenchOptions& options, const std::shared_ptr<const BoundaryPredictor>& predictor)
      : ExperimentRun(model, results, options, predictor),
        tokenizer_(tokenizer),
        data_(data),
        turn_(turn_markers(tokenizer)) {
    for_all([&](const LongBenchPlace& place, std::size_t /*answer*/) {
      work_.add(cost(place));
      if (is_there(place)) work_.finish(cost(place));
    });
  }

  void run() {
    LongBenchPlace read;
    std::optional<LongBenchPrompt> prompt;
    for_all([&](const LongBenchPlace& place, std::size_t answer) {
      if (is_there(place)) return;
      if (!prompt || place.task != read.task || place.row != read.row) {
        prompt = make_longbench_prompt(results_.settings, data_.sets[place.task], row(place), tokenizer_, turn_);
        read = place;
      }
      LongBenchTaskResults& task = results_.tasks[place.task];
      task.samples[place.method].push_back(ask(place, answer, *prompt));
      if (task.lengths.size() <= place.row) {
        task.lengths.push_back(row(place).length);
        task.answers.push_back(row(place).answers);
      }
      work_.finish(cost(place));
      if (options_.updated) options_.updated(results_, answer);
    });
  }

 private:
  template <class Visit>
  void for_all(const Visit& visit) const {
    const auto answers = static_cast<std::size_t>(results_.count().all);
    for (std::size_t answer = 0; answer < answers; ++answer) visit(results_.place(answer), answer);
  }
  [[nodiscard]] const LongBenchRow& row(const LongBenchPlace& at) const { return data_.sets[at.task].rows[at.row]; }
  [[nodiscard]] bool is_there(const LongBenchPlace& at) const {
    return results_.tasks[at.task].samples[at.method].size() > at.row;
  }
  [[nodiscard]] double cost(const LongBenchPlace& at) const {
    const auto tokens = static_cast<std::int64_t>(row(at).context.size() / kBytesPerToken);
    return relative_cost(std::min(tokens, results_.settings.max_length) + data_.sets[at.task].task->max_new_tokens);
  }

  LongBenchSample ask(const LongBenchPlace& place, std::size_t answer, const LongBenchPrompt& prompt) {
    const LongBenchSet& set = data_.sets[place.task];
    const MethodChoice& choice = results_.methods[place.method];
    const std::string step =
        fmt::format("{}, row {} of {}, {}", set.task->name, place.row + 1, set.rows.size(), choice.name);
    const auto tell = [&](double share) { work_.tell(answer, choice.name, step, share * cost(place)); };
    tell(0);
    SparsityParameters parameters = choice.parameters;
    const bool reference = results_.settings.mode == NeedleMode::kReference;
    parameters.instruction_tokens = reference ? prompt.instruction_tokens : 0;
    const ReadText text = read(prompt.ids, prompt.sentence_ends, parameters, {.keep_cache = true}, tell);
    const std::vector<std::int32_t> said =
        greedy_answer(model_, text.prefill, set.task->max_new_tokens, stop_rule(*set.task), options_.cancel);

    LongBenchSample sample{
        tokenizer_.decode(said), 0, static_cast<std::int64_t>(prompt.ids.size()), prompt.whole_tokens, {}};
    sample.values.set("density", text.values.at("density"));
    sample.score =
        longbench_score(*set.task, sample.prediction, row(place).answers, results_.tasks[place.task].classes);
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

  const Tokenizer& tokenizer_;
  const LongBenchData& data_;
  std::optional<TurnMarkers> turn_;
};

void check_run(const Gemma2& model, const Tokenizer& tokenizer, const LongBenchResults& results,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  const LongBenchSettings& settings = results.settings;
  check_settings(settings);
  check_vocabulary(model.config(), tokenizer);
  require(!results.methods.empty(), "There is no method to test; name at least one.");
  require_memory(model, settings.max_length, {.keep_cache = true}, "A prompt");
  for (const MethodChoice& method : results.methods) {
    check_method(method.name, method.parameters, {settings.max_length, {}}, predictor);
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
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model, predictor.get());
  LongBenchRun(model, tokenizer, data, results, options, predictor).run();
}

}  // namespace dhsa
