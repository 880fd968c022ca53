#include "core/experiments/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/right_answer_internal.h"
#include "core/experiments/scores.h"
#include "core/model/decode.h"
#include "core/run/open_model.h"

namespace dhsa {
namespace {

using Asked = SuiteTask::Asked;

class SuiteRun : PromptsRun<SuiteResults, SuiteCell, SuitePrompt> {
 public:
  SuiteRun(const Gemma2& model, const Tokenizer& tokenizer, SuiteResults& results, const SuiteOptions& options,
           const std::shared_ptr<const BoundaryPredictor>& predictor)
      : PromptsRun(model, tokenizer, results, options, predictor,
                   static_cast<std::int64_t>(tasks_of(results.settings).size())) {}

  void run() {
    for (const SuiteTask* task : tasks_of(results_.settings)) {
      for (const std::int64_t length : results_.settings.lengths) {
        fill({task, length, 0, 0, {}, {}},
             [&](const SuiteCell& cell) { return cell.task == task && cell.length == length; });
      }
    }
  }

 private:
  SuitePrompt next_prompt(SuiteCell& cell) const override {
    SuitePrompt prompt = make_suite_prompt(results_.settings, *cell.task, cell.length, cell.prompts, tokenizer_);
    for (const SuitePrompt::Place& place : prompt.places) cell.questions.push_back(place.asked);
    return prompt;
  }

  void ask(SuiteCell& cell, std::size_t index, std::size_t method, const SuitePrompt& prompt) override {
    const MethodChoice& choice = results_.methods[method];
    const std::function<void(double)> tell = teller(index, cell.length, method,
                                                    fmt::format("{}, {} tokens, prompt {} of {}, ", cell.task->name,
                                                                cell.length, cell.prompts, results_.settings.prompts));
    tell(0);
    const SparsityParameters parameters =
        suite_parameters(results_.settings, *cell.task, choice.parameters, cell.length, prompt.question_tokens);
    Values cost;
    const Prefill prefill = prefill_of(prompt, parameters, tell, cost);
    std::vector<SuiteAnswer> answers = answers_to(prompt, *cell.task, prefill);
    SuiteScore& score = cell.scores[method];
    std::move(answers.begin(), answers.end(), std::back_inserter(score.answers));
    const auto before = static_cast<double>(cell.prompts - 1);
    score.values = before > 0 ? combine(std::vector<Values>{weighed(score.values, before), cost}) : cost;
  }

  std::vector<SuiteAnswer> answers_to(const SuitePrompt& prompt, const SuiteTask& task, const Prefill& prefill) const {
    switch (task.asked) {
      case Asked::kAtTheEnd:
        return {results_.settings.mode == NeedleMode::kReference ? generated(prompt, prefill)
                                                                 : strict(prompt, prefill)};
      case Asked::kThroughout:
        return where_they_stand(prompt, prompt.encoding.ids, prefill);
      case Asked::kFromTheCache:
        return from_the_cache(prompt, prefill);
    }
    return {};
  }

  SuiteAnswer generated(const SuitePrompt& prompt, const Prefill& prefill) const {
    const SuitePrompt::Place& place = prompt.places.front();
    const PrefillResult read = prefill(prompt.encoding.ids, {.keep_cache = true});
    SuiteAnswer answer;
    answer.text = tokenizer_.decode(generate_greedy(model_, read, kSuiteAnswerTokens, options_.cancel));
    answer.score = string_match(answer.text, place.asked.references, false);
    answer.values.set("log_probability", log_probability(model_, read, place.answer_ids, options_.cancel));
    return answer;
  }

  // Prompt and right answer are one sparse prefill.
  SuiteAnswer strict(const SuitePrompt& prompt, const Prefill& prefill) const {
    SuitePrompt asked = prompt;
    SuitePrompt::Place& place = asked.places.front();
    std::vector<std::int32_t> ids = prompt.encoding.ids;
    place.answer_at = static_cast<std::int64_t>(ids.size());
    ids.insert(ids.end(), place.answer_ids.begin(), place.answer_ids.end());
    SuiteAnswer answer = where_they_stand(asked, ids, prefill).front();
    answer.score = string_match(answer.text, place.asked.references, false);
    return answer;
  }

  // Every answer read off the rows before its tokens.
  std::vector<SuiteAnswer> where_they_stand(const SuitePrompt& prompt, std::span<const std::int32_t> ids,
                                            const Prefill& prefill) const {
    PrefillOptions options;
    for (const SuitePrompt::Place& place : prompt.places) {
      RightAnswer(place.answer_ids).ask(place.answer_at, options.logit_positions);
    }
    const PrefillResult read = prefill(ids, options);
    std::span<const float> logits = read.logits;
    std::vector<SuiteAnswer> answers;
    for (const SuitePrompt::Place& place : prompt.places) {
      RightAnswer right(place.answer_ids);
      logits = right.hear(logits, model_.config().vocab_size);
      answers.push_back(scored(right, place));
    }
    return answers;
  }

  // Question and right answer are read, densely, behind the document that was prefilled without them.
  std::vector<SuiteAnswer> from_the_cache(const SuitePrompt& prompt, const Prefill& prefill) const {
    const PrefillResult read = prefill(prompt.encoding.ids, {.keep_cache = true});
    std::vector<SuiteAnswer> answers;
    for (const SuitePrompt::Place& place : prompt.places) {
      Decoder decoder(model_, read, options_.cancel);
      for (const std::int32_t id : place.question_ids) decoder.read(id);
      RightAnswer right(place.answer_ids);
      right.hear(decoder.logits());
      for (const std::int32_t id : place.answer_ids) {
        decoder.read(id);
        right.hear(decoder.logits());
      }
      answers.push_back(scored(right, place));
    }
    return answers;
  }

  [[nodiscard]] SuiteAnswer scored(const RightAnswer& right, const SuitePrompt::Place& place) const {
    SuiteAnswer answer{tokenizer_.decode(right.said()), 0, {}};
    answer.values.set("log_probability", right.log_probability());
    answer.score =
        right.all_right() && score_answer(answer.text, place.asked.references).values.value("exact") == 1 ? 1 : 0;
    return answer;
  }
};

// Everything that can be refused is refused before the first prompt.
void check_run(const Gemma2& model, const Tokenizer& tokenizer, const SuiteResults& results,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  const SuiteSettings& settings = results.settings;
  check_settings(settings);
  check_vocabulary(model.config(), tokenizer);
  require(!results.methods.empty(), "There is no method to test; name at least one.");
  require_memory(model, settings.lengths.back() + 1, {.keep_cache = true}, "A prompt");
  for (const SuiteTask* task : tasks_of(settings)) {
    const SuitePrompt prompt = make_suite_prompt(settings, *task, settings.lengths.front(), 0, tokenizer);
    for (const MethodChoice& method : results.methods) {
      for (const std::int64_t length : settings.lengths) {
        check_method(fmt::format("{} at {} tokens", method.name, length),
                     suite_parameters(settings, *task, method.parameters, length, prompt.question_tokens), {length, {}},
                     predictor);
      }
    }
  }
}

}  // namespace

void run_suite(const Gemma2& model, const Tokenizer& tokenizer, SuiteResults& results, const SuiteOptions& options,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  check_run(model, tokenizer, results, predictor);
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model, predictor.get());
  SuiteRun(model, tokenizer, results, options, predictor).run();
}

}  // namespace dhsa
