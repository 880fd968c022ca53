// The work of an experiment, beside its files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/model/gemma2.h"
#include "core/text/tokenizer.h"

namespace dhsa {

inline void require(bool holds, const std::string& sentence) {
  if (!holds) throw Error(sentence);
}

inline constexpr double kLargestSeed = 9.2e18;  // in a table of options: any that fits

// How long a prefill of this length takes, in no unit: for progress bars only.
[[nodiscard]] inline double relative_cost(std::int64_t length) {
  constexpr double kQuadraticAt = 8192;  // tokens at which attention takes about as long as all else
  const auto tokens = static_cast<double>(length);
  return tokens * (1 + tokens / kQuadraticAt);
}

// Throws Error where a prefill of so many tokens has no room; `what` is "A text".
void require_memory(const Gemma2& model, std::int64_t tokens, const PrefillOptions& options, const char* what);
// 1 to 64 of them, ascending, each at least `least` tokens. Throws Error.
void check_lengths(const std::vector<std::int64_t>& lengths, std::int64_t least);

// What one text or prompt came to: in means over them each counts alike, whatever its measures weigh over layers; as
// many as `weight`, where it is their mean.
[[nodiscard]] Values weighed(const Values& values, double weight = 1);
// Throws Error that begins with `name` where the parameters or the planner do not allow it.
void check_method(const std::string& name, const SparsityParameters& parameters, const DocumentInfo& document,
                  const std::shared_ptr<const BoundaryPredictor>& predictor);

// How far the work is, in the unit of relative_cost().
class Work {
 public:
  Work(std::function<void(const ExperimentProgress&)> progress, const CancelToken* cancel)
      : progress_(std::move(progress)), cancel_(cancel) {}
  void add(double cost) { all_ += cost; }
  void finish(double cost) { done_ += cost; }
  // `here`: done of what is under way. Throws Cancelled.
  void tell(std::size_t cell, const std::string& method, const std::string& step, double here) {
    if (cancel_ != nullptr) cancel_->check();
    furthest_ = std::max(furthest_, std::min(1.0, (done_ + here) / std::max(all_, 1e-9)));
    if (progress_) progress_({cell, method, step, furthest_});
  }

 private:
  std::function<void(const ExperimentProgress&)> progress_;
  const CancelToken* cancel_;
  double all_ = 0;
  double done_ = 0;
  double furthest_ = 0;
};

// Settings that several tables have.
template <class S>
[[nodiscard]] Option<S> seed_option(const char* group, const char* of) {
  return {{.key = "seed",
           .label = "Seed",
           .group = group,
           .help = std::string("Seed of the ") + of,
           .maximum = kLargestSeed},
          &S::seed};
}
template <class S>
[[nodiscard]] Option<S> mode_option(const char* group, ReadWhen<S> read = {}) {
  return {
      {.key = "mode",
       .label = "Mode",
       .group = group,
       .help = "reference: the rows of the question and the answer attend densely, as the authors' do; strict: they "
               "are sparse too",
       .choices = {"reference", "strict"},
       .choice_labels = {"Reference", "Strict"}},
      &S::mode,
      read};
}
template <class S>
[[nodiscard]] Option<S> prompts_option(const char* group, const char* of) {
  return {{.key = "prompts",
           .label = "Prompts",
           .group = group,
           .help = std::string("Prompts of each ") + of,
           .minimum = 1,
           .maximum = 10000},
          &S::prompts};
}
template <class S>
[[nodiscard]] Option<S> budget_share_option(const char* group) {
  return {{.key = "budget-share",
           .label = "Budget share",
           .group = group,
           .help = "Budget of every method as a share of the length, in place of --budget; 0: none",
           .maximum = 1},
          &S::budget_share};
}

// What works on an experiment holds.
template <class Results>
class ExperimentRun {
 protected:
  ExperimentRun(const Gemma2& model, Results& results, const ExperimentOptions<Results>& options,
                const std::shared_ptr<const BoundaryPredictor>& predictor)
      : model_(model),
        results_(results),
        options_(options),
        predictor_(predictor),
        work_(options.progress, options.cancel) {}

  // One prefill; `tell` is told the share of it that is done.
  [[nodiscard]] ReadText read(std::span<const std::int32_t> ids, const std::vector<std::int32_t>& sentence_ends,
                              const SparsityParameters& parameters, PrefillOptions how,
                              const std::function<void(double)>& tell) const {
    how.cancel = options_.cancel;
    const DocumentInfo document{static_cast<std::int64_t>(ids.size()), sentence_ends};
    return read_text({model_, ids, document, nullptr, predictor_}, parameters, std::move(how), tell);
  }

  const Gemma2& model_;
  Results& results_;
  const ExperimentOptions<Results>& options_;
  const std::shared_ptr<const BoundaryPredictor>& predictor_;
  Work work_;
};

// Cells of prompts that every method answers: `results` have cells with length, prompts, tokens and scores, and
// settings with lengths and prompts.
template <class Results, class Cell, class Prompt>
class PromptsRun : protected ExperimentRun<Results> {
 protected:
  // `columns`: cells of each length.
  PromptsRun(const Gemma2& model, const Tokenizer& tokenizer, Results& results,
             const ExperimentOptions<Results>& options, const std::shared_ptr<const BoundaryPredictor>& predictor,
             std::int64_t columns)
      : ExperimentRun<Results>(model, results, options, predictor), tokenizer_(tokenizer) {
    for (const std::int64_t length : results.settings.lengths) {
      this->work_.add(relative_cost(length) * static_cast<double>(columns * results.settings.prompts));
    }
    for (const Cell& cell : results.cells) {
      this->work_.finish(relative_cost(cell.length) * static_cast<double>(cell.prompts));
    }
  }
  ~PromptsRun() = default;

  virtual Prompt next_prompt(Cell& cell) const = 0;  // number cell.prompts
  virtual void ask(Cell& cell, std::size_t index, std::size_t method, const Prompt& prompt) = 0;

  // The cell for which `same` holds, or `empty` as a new one. A prompt counts once every method has answered it: what
  // is interrupted leaves no half.
  template <class Same>
  void fill(Cell empty, const Same& same) {
    Results& results = this->results_;
    auto at = std::find_if(results.cells.begin(), results.cells.end(), same);
    if (at == results.cells.end()) {
      empty.scores.resize(results.methods.size());
      at = results.cells.insert(at, std::move(empty));
    }
    const auto index = static_cast<std::size_t>(at - results.cells.begin());
    while (results.cells[index].prompts < results.settings.prompts) {
      Cell next = results.cells[index];
      const Prompt prompt = next_prompt(next);
      ++next.prompts;
      next.tokens +=
          (static_cast<double>(prompt.encoding.ids.size()) - next.tokens) / static_cast<double>(next.prompts);
      for (std::size_t method = 0; method < results.methods.size(); ++method) ask(next, index, method, prompt);
      this->work_.finish(relative_cost(next.length));
      results.cells[index] = std::move(next);
      if (this->options_.updated) this->options_.updated(results, index);
    }
  }
  // Reads the prompt's ids, or more, under a method, and says what that cost.
  using Prefill = std::function<PrefillResult(std::span<const std::int32_t> ids, const PrefillOptions& options)>;
  [[nodiscard]] Prefill prefill_of(const Prompt& prompt, const SparsityParameters& parameters,
                                   const std::function<void(double)>& tell, Values& cost) const {
    return [&, this](std::span<const std::int32_t> ids, const PrefillOptions& options) {
      ReadText text = this->read(ids, prompt.sentence_ends, parameters, options, tell);
      cost = std::move(text.values);
      return std::move(text.prefill);
    };
  }
  // Progress within a method's answer to a prompt, by the share of its prefill that is done.
  [[nodiscard]] std::function<void(double)> teller(std::size_t cell, std::int64_t length, std::size_t method,
                                                   const std::string& step) {
    return [=, this](double share) {
      const auto methods = static_cast<double>(this->results_.methods.size());
      const std::string& name = this->results_.methods[method].name;
      this->work_.tell(cell, name, step + name,
                       relative_cost(length) * (static_cast<double>(method) + share) / methods);
    };
  }

  const Tokenizer& tokenizer_;
};

}  // namespace dhsa
