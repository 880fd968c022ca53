#include "core/experiments/sweep.h"
#include "core/run/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/experiments/bench.h"
#include "core/experiments/experiment_internal.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

bool is_dense(const MethodChoice& choice) { return choice.parameters.method == Method::kDense; }

// `tokens` tokens of the haystack.
Document sample_text(const SweepSettings& settings, std::int64_t tokens, std::int64_t sample,
                     const Tokenizer& tokenizer) {
  DocumentOptions options;
  options.context = tokens;
  for (std::size_t bytes = 5 * static_cast<std::size_t>(tokens) + 256;; bytes *= 2) {
    Document document =
        make_document(settings.haystack.name(), settings.haystack.text(settings.seed, sample, settings.samples, bytes),
                      tokenizer, options);
    if (document.tokens() >= tokens) return document;
  }
}

Values sample_of(const MethodRun& run, bool logits) {
  Values sample = weighed(summarise(run));
  if (logits && run.parameters.method == Method::kDense) {
    sample.set("mean_kl_nats", 0.0);
    sample.set("same_top", 1.0);
  }
  return sample;
}

class Sweep : ExperimentRun<SweepResults> {
 public:
  Sweep(const Gemma2& model, const Tokenizer& tokenizer, SweepResults& results, const SweepOptions& options,
        const std::shared_ptr<const BoundaryPredictor>& predictor)
      : ExperimentRun(model, results, options, predictor), tokenizer_(tokenizer) {
    for (const SweepPoint& point : results.points) {
      work_.add(relative_cost(point.length) * static_cast<double>(results.settings.samples));
      work_.finish(relative_cost(point.length) * static_cast<double>(point.samples.size()));
    }
  }

  void run() {
    for (const std::int64_t length : results_.settings.lengths) {
      for (std::int64_t sample = 0; sample < results_.settings.samples; ++sample) measure(length, sample);
    }
  }

 private:
  // All points of one text that lack this sample, and dense once more where it was there already.
  void measure(std::int64_t length, std::int64_t sample) {
    std::vector<std::size_t> open;
    std::vector<MethodChoice> choices;
    for (std::size_t p = 0; p < results_.points.size(); ++p) {
      const SweepPoint& point = results_.points[p];
      if (point.length != length) continue;
      const MethodChoice& method = results_.methods[point.method];
      const bool missing = static_cast<std::int64_t>(point.samples.size()) <= sample;
      if (!missing && !is_dense(method)) continue;
      open.push_back(p);
      choices.push_back({fmt::format("{} {}", method.name, p), point.parameters});
    }
    const auto missing = [&](std::size_t p) {
      return static_cast<std::int64_t>(results_.points[p].samples.size()) <= sample;
    };
    if (std::none_of(open.begin(), open.end(), missing)) return;
    const Document document = sample_text(results_.settings, length, sample, tokenizer_);

    CompareOptions options;
    options.metrics_rows = results_.settings.metrics_rows;
    options.logit_positions = results_.settings.logit_positions;
    options.max_new_tokens = 0;
    options.cancel = options_.cancel;
    const double share = relative_cost(length);
    options.progress = [&](const CompareProgress& progress) {
      // Dense comes first; the others follow in their order.
      const std::size_t point = open[static_cast<std::size_t>(progress.run)];
      const double within = progress.fraction * progress.runs - progress.run;
      tell(point, sample, share * std::clamp(within, 0.0, 1.0) / static_cast<double>(results_.settings.repeats));
    };
    options.finished = [&](std::size_t method, const MethodRun& run) {
      const std::size_t p = open[method];
      if (!missing(p)) return;
      Values measured = sample_of(run, results_.settings.logit_positions > 0);
      repeat(document, p, sample, measured);
      results_.points[p].samples.push_back(std::move(measured));
      work_.finish(share);
      if (options_.updated) options_.updated(results_, p);
    };
    static_cast<void>(
        compare_methods(model_, document.encoding.ids, document.info(), choices, options, nullptr, predictor_));
  }

  // The prefills after the first, with nothing measured but time and memory.
  void repeat(const Document& document, std::size_t p, std::int64_t sample, Values& measured) {
    const SweepPoint& point = results_.points[p];
    std::vector<double> seconds = {measured.value("prefill_seconds")};
    const auto highest = [&](const char* key, std::int64_t bytes) {
      measured.set(key, std::max(measured.value(key), static_cast<double>(bytes)));
    };
    const RunSubject subject{model_, document.encoding.ids, document.info(), nullptr, predictor_};
    PrefillOptions options;
    options.cancel = options_.cancel;
    for (std::int64_t i = 1; i < results_.settings.repeats; ++i) {
      tell(p, sample,
           relative_cost(point.length) * static_cast<double>(i) / static_cast<double>(results_.settings.repeats));
      const PrefillResult result = prefill_for(subject, point.parameters, options);
      seconds.push_back(result.seconds);
      highest("peak_bytes", result.peak_bytes);
      highest("extra_bytes", result.peak_bytes - result.start_bytes);
    }
    const double median = spread_of(std::move(seconds)).median;
    measured.set("prefill_seconds", median);
    measured.set("tokens_per_second", median > 0 ? static_cast<double>(document.tokens()) / median : 0.0);
  }

  void tell(std::size_t point, std::int64_t sample, double here) {
    const SweepPoint& at = results_.points[point];
    const std::string& method = results_.methods[at.method].name;
    work_.tell(point, method,
               fmt::format("{} tokens, text {} of {}, {}", at.length, sample + 1, results_.settings.samples, method),
               here);
  }

  const Tokenizer& tokenizer_;
};

void check_points(const SweepResults& results, const Gemma2& model,
                  const std::shared_ptr<const BoundaryPredictor>& predictor) {
  for (const SweepPoint& point : results.points) {
    check_method(fmt::format("{} with a budget of {}", results.methods[point.method].name, point.parameters.budget),
                 point.parameters, {point.length, {}}, predictor);
  }
  PrefillOptions options;
  options.keep_final_hidden = results.settings.logit_positions > 0;
  for (const std::int64_t length : results.settings.lengths) {
    require_memory(model, length, options, "A text");
  }
}

}  // namespace

void run_sweep(const Gemma2& model, const Tokenizer& tokenizer, SweepResults& results, const SweepOptions& options,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  check_settings(results.settings);
  check_vocabulary(model.config(), tokenizer);
  require(!results.methods.empty(), "There is no method to sweep; name at least one.");
  if (results.points.empty()) {
    results.methods = with_dense_first(std::move(results.methods));
    for (MethodChoice& method : results.methods) method.parameters.instruction_tokens = 0;
    results.points = make_points(results.settings, results.methods);
  }
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model, predictor.get());
  check_points(results, model, predictor);
  Sweep(model, tokenizer, results, options, predictor).run();
}

}  // namespace dhsa
