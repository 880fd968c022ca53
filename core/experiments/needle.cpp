#include "core/experiments/needle.h"
#include "core/run/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/follower_internal.h"
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
    // In strict mode the right answer follows in the same prefill.
    const std::size_t answer_tokens = settings.mode == NeedleMode::kStrict ? prompt.answer_ids.size() : std::size_t{0};
    const DocumentInfo document{static_cast<std::int64_t>(prompt.encoding.ids.size() + answer_tokens),
                                prompt.sentence_ends};
    const std::unique_ptr<Planner> planner = make_planner(parameters, document, predictor_);
    Follower follower(tell);
    NeedleAnswer answer = settings.mode == NeedleMode::kReference ? generated(prompt, *planner, follower)
                                                                  : forced(prompt, *planner, follower);
    answer.values.set("density", follower.density());
    cell.scores[method].answers.push_back(std::move(answer));
  }

  PrefillOptions prefill_options(Follower& follower) const {
    PrefillOptions options;
    options.observer = &follower;
    options.cancel = options_.cancel;
    return options;
  }

  // Greedy decode, dense over the cache of the prefill.
  NeedleAnswer generated(const NeedlePrompt& prompt, Planner& planner, Follower& follower) const {
    PrefillOptions options = prefill_options(follower);
    options.keep_cache = true;
    const PrefillResult prefill = model_.prefill(prompt.encoding.ids, planner, options);
    const auto most = static_cast<std::int64_t>(prompt.answer_ids.size()) + kTokensBesideAnswer;
    NeedleAnswer answer =
        score_answer(tokenizer_.decode(generate_greedy(model_, prefill, most, options_.cancel)), prompt.values);
    answer.values.set("log_probability", log_probability(model_, prefill, prompt.answer_ids, options_.cancel));
    answer.values.set("prefill_seconds", prefill.seconds);
    return answer;
  }

  // Dense decode would look the number up by itself. So prompt and right answer are one sparse prefill, and the answer
  // is the likeliest token at each of its places: greedy decode gives the right one exactly if all of these are right
  // and what follows does not lengthen the number.
  NeedleAnswer forced(const NeedlePrompt& prompt, Planner& planner, Follower& follower) const {
    std::vector<std::int32_t> ids = prompt.encoding.ids;
    PrefillOptions options = prefill_options(follower);
    for (const std::int32_t id : prompt.answer_ids) {
      options.logit_positions.push_back(static_cast<std::int32_t>(ids.size()) - 1);
      ids.push_back(id);
    }
    options.logit_positions.push_back(static_cast<std::int32_t>(ids.size()) - 1);
    const PrefillResult prefill = model_.prefill(ids, planner, options);
    const auto vocab = static_cast<std::size_t>(model_.config().vocab_size);
    std::vector<std::int32_t> likeliest;
    double sum = 0;
    for (std::size_t i = 0; i <= prompt.answer_ids.size(); ++i) {
      const std::span<const float> logits = std::span(prefill.logits).subspan(i * vocab, vocab);
      likeliest.push_back(static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      if (i < prompt.answer_ids.size()) sum += log_probability(logits, prompt.answer_ids[i]);
    }
    NeedleAnswer answer = score_answer(tokenizer_.decode(likeliest), prompt.values);
    if (!std::equal(prompt.answer_ids.begin(), prompt.answer_ids.end(), likeliest.begin())) {
      answer.values.set("exact", 0.0);
    }
    answer.values.set("log_probability", sum / static_cast<double>(prompt.answer_ids.size()));
    answer.values.set("prefill_seconds", prefill.seconds);
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
  PrefillOptions options;
  options.keep_cache = true;
  for (const std::int64_t length : settings.lengths) {
    require_memory(model, length, options, "A prompt");
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
