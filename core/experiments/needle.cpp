#include "core/experiments/needle.h"
#include "core/run/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/right_answer_internal.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

class NeedleRun : PromptsRun<NeedleResults, NeedleCell, NeedlePrompt> {
 public:
  NeedleRun(const Gemma2& model, const Tokenizer& tokenizer, NeedleResults& results, const NeedleOptions& options,
            const std::shared_ptr<const BoundaryPredictor>& predictor)
      : PromptsRun(model, tokenizer, results, options, predictor, results.settings.depths) {}

  void run() {
    for (const std::int64_t length : results_.settings.lengths) {
      for (std::int64_t depth = 0; depth < results_.settings.depths; ++depth) {
        fill({length, depth, 0, 0, {}},
             [&](const NeedleCell& cell) { return cell.length == length && cell.depth == depth; });
      }
    }
  }

 private:
  NeedlePrompt next_prompt(NeedleCell& cell) const override {
    return make_needle_prompt(results_.settings, cell.length, cell.depth, cell.prompts, tokenizer_);
  }

  void ask(NeedleCell& cell, std::size_t /*index*/, std::size_t method, const NeedlePrompt& prompt) override {
    const MethodChoice& choice = results_.methods[method];
    const NeedleSettings& settings = results_.settings;
    const auto at = std::find(settings.lengths.begin(), settings.lengths.end(), cell.length) - settings.lengths.begin();
    const auto place = static_cast<std::size_t>(at * settings.depths + cell.depth);
    std::string step = fmt::format("{} tokens, depth {:.0f} %, ", cell.length, 100 * settings.depth(cell.depth));
    if (settings.prompts > 1) step += fmt::format("prompt {} of {}, ", cell.prompts, settings.prompts);
    const std::function<void(double)> tell = teller(place, cell.length, method, step);
    tell(0);
    const SparsityParameters parameters =
        needle_parameters(settings, choice.parameters, cell.length, prompt.question_tokens);
    Values cost;
    const Prefill prefill = prefill_of(prompt, parameters, tell, cost);
    NeedleAnswer answer =
        settings.mode == NeedleMode::kReference ? generated(prompt, prefill) : forced(prompt, prefill);
    for (const auto& [key, value] : cost.entries()) answer.values.set(key, value);
    cell.scores[method].answers.push_back(std::move(answer));
  }

  // Greedy decode, dense over the cache of the prefill.
  NeedleAnswer generated(const NeedlePrompt& prompt, const Prefill& prefill) const {
    const PrefillResult read = prefill(prompt.encoding.ids, {.keep_cache = true});
    const auto most = static_cast<std::int64_t>(prompt.answer_ids.size()) + kTokensBesideAnswer;
    NeedleAnswer answer =
        score_answer(tokenizer_.decode(generate_greedy(model_, read, most, options_.cancel)), prompt.values);
    answer.values.set("log_probability", log_probability(model_, read, prompt.answer_ids, options_.cancel));
    return answer;
  }

  // Dense decode would look the number up by itself. So prompt and right answer are one sparse prefill.
  NeedleAnswer forced(const NeedlePrompt& prompt, const Prefill& prefill) const {
    std::vector<std::int32_t> ids = prompt.encoding.ids;
    PrefillOptions options;
    RightAnswer right(prompt.answer_ids);
    right.ask(static_cast<std::int64_t>(ids.size()), options.logit_positions);
    ids.insert(ids.end(), prompt.answer_ids.begin(), prompt.answer_ids.end());
    right.hear(prefill(ids, options).logits, model_.config().vocab_size);
    NeedleAnswer answer = score_answer(tokenizer_.decode(right.said()), prompt.values);
    if (!right.all_right()) answer.values.set("exact", 0.0);
    answer.values.set("log_probability", right.log_probability());
    return answer;
  }
};

// Everything that can be refused is refused before the first prompt.
void check_run(const Gemma2& model, const Tokenizer& tokenizer, const NeedleResults& results,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  const NeedleSettings& settings = results.settings;
  check_settings(settings);
  check_vocabulary(model.config(), tokenizer);
  require(!results.methods.empty(), "There is no method to test; name at least one.");
  for (const std::int64_t length : settings.lengths) {
    require_memory(model, length, {.keep_cache = true}, "A prompt");
    const NeedlePrompt prompt = make_needle_prompt(settings, length, 0, 0, tokenizer);
    for (const MethodChoice& method : results.methods) {
      check_method(fmt::format("{} at {} tokens", method.name, length),
                   needle_parameters(settings, method.parameters, length, prompt.question_tokens), {length, {}},
                   predictor);
    }
  }
}

}  // namespace

void run_needle(const Gemma2& model, const Tokenizer& tokenizer, NeedleResults& results, const NeedleOptions& options,
                const std::shared_ptr<const BoundaryPredictor>& predictor) {
  check_run(model, tokenizer, results, predictor);
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model, predictor.get());
  NeedleRun(model, tokenizer, results, options, predictor).run();
}

}  // namespace dhsa
