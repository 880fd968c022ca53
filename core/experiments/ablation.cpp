#include "core/experiments/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/analysis/metrics.h"
#include "core/experiments/experiment_internal.h"
#include "core/run/run.h"

namespace dhsa {
namespace {

// Plans and measures every variant on the q, k, v of the first prefill it sees, the dense one.
class MaskBench : public PrefillObserver {
 public:
  MaskBench(const AblationText& text, std::span<const AblationVariant> variants, std::int64_t metrics_rows,
            bool only_global, const std::shared_ptr<const BoundaryPredictor>& predictor, const CancelToken* cancel,
            std::function<void(double)> progress)
      : text_(text),
        metrics_rows_(metrics_rows),
        only_global_(only_global),
        cancel_(cancel),
        progress_(std::move(progress)),
        samples_(variants.size()),
        layer_values_(variants.size()) {
    for (std::size_t i = 0; i < variants.size(); ++i) {
      const SparsityParameters& parameters = variants[i].parameters;
      planners_.push_back(
          make_planner(parameters, {static_cast<std::int64_t>(text.ids.size()), text.sentence_ends}, predictor));
      shares_boundaries_.push_back(parameters.share_boundaries);
      samples_[i].variant = variants[i].name;
      samples_[i].text = text.name;
      samples_[i].row_mass.assign(text.rows.size(), 0.0);
    }
  }
  void prefill_begins(std::int64_t /*tokens*/, int layers) override {
    ++prefills_;
    all_layers_ = layers;
  }
  [[nodiscard]] bool wants_attention(int /*layer*/) const override { return prefills_ == 1; }
  void attended(const AttendedLayer& layer) override {
    if (prefills_ != 1) return;
    const bool measured = !only_global_ || !layer.layer.local();
    layers_ += measured ? 1 : 0;
    for (std::size_t i = 0; i < planners_.size(); ++i) {
      if (progress_) {
        progress_((layer.layer.index + static_cast<double>(i) / static_cast<double>(planners_.size())) /
                  std::max(1, all_layers_));
      }
      // A layer that is not measured counts only for the boundaries that it gives to others; masks are shared by layers
      // of a kind.
      if (!measured && !(shares_boundaries_[i] && layer.layer.index == 0)) continue;
      const Plan plan = planners_[i]->plan(layer.q, layer.k, layer.layer, cancel_);
      if (measured) add(i, layer, plan);
    }
  }
  [[nodiscard]] std::vector<AblationSample> take() {
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      samples_[i].values = weighed(combine(layer_values_[i]));
      for (double& mass : samples_[i].row_mass) mass /= std::max(1, layers_);
    }
    return std::move(samples_);
  }

 private:
  void add(std::size_t variant, const AttendedLayer& layer, const Plan& plan) {
    MetricOptions how;
    how.row_step = metrics_rows_;
    how.cancel = cancel_;
    Values& values = layer_values_[variant].emplace_back(
        measure_mask(layer.q, layer.k, layer.v, plan.mask, layer.layer, how).values);
    if (plan.trace.boundaries.size() > 1) values.set("chunks", static_cast<double>(plan.trace.boundaries.size() - 1));
    how.row_step = 1;
    how.oracle = how.output_error = false;
    for (std::size_t r = 0; r < text_.rows.size(); ++r) {
      how.row_begin = text_.rows[r].begin;
      how.row_end = text_.rows[r].end;
      samples_[variant].row_mass[r] +=
          measure_mask(layer.q, layer.k, layer.v, plan.mask, layer.layer, how).value("retained_mass");
    }
  }

  const AblationText& text_;
  std::int64_t metrics_rows_;
  bool only_global_;
  const CancelToken* cancel_;
  std::function<void(double)> progress_;
  int prefills_ = 0;
  int layers_ = 0;
  int all_layers_ = 0;
  std::vector<std::unique_ptr<Planner>> planners_;
  std::vector<bool> shares_boundaries_;
  std::vector<AblationSample> samples_;
  std::vector<std::vector<Values>> layer_values_;  // [variants][measured layers]
};

void check_run(const Gemma2& model, const AblationResults& results,
               const std::shared_ptr<const BoundaryPredictor>& predictor) {
  ablation_options().check_ranges(results.settings);
  require(!results.variants.empty(), "There is no variant to measure; name at least one.");
  require(!results.texts.empty(), "There is nothing to measure on; give a text or ask for needle documents.");
  std::set<std::string> names;
  for (const AblationVariant& variant : results.variants) {
    require(names.insert(variant.name).second,
            fmt::format("Two variants are called \"{}\"; give each a name of its own.", variant.name));
    check_method(variant.name, variant.parameters, {1, {}}, predictor);
  }
  for (const AblationText& text : results.texts) {
    require(names.insert("text " + text.name).second, fmt::format("Two texts are called \"{}\".", text.name));
    require(!text.ids.empty(), fmt::format("The text \"{}\" is not here; give it again.", text.name));
    PrefillOptions options;
    options.keep_final_hidden = results.settings.logit_positions > 0;
    require_memory(model, static_cast<std::int64_t>(text.ids.size()), options, "A text");
  }
}

class AblationRun : ExperimentRun<AblationResults> {
 public:
  AblationRun(const Gemma2& model, AblationResults& results, const AblationOptions& options,
              const std::shared_ptr<const BoundaryPredictor>& predictor)
      : ExperimentRun(model, results, options, predictor) {
    work_.add(static_cast<double>(results.texts.size()));  // a text counts 1
  }

  void run() {
    for (std::size_t t = 0; t < results_.texts.size(); ++t) {
      measure(t);
      work_.finish(1);
    }
  }

 private:
  // The variants that lack a sample on this text, one of each set of parameters.
  [[nodiscard]] std::vector<AblationVariant> missing(const AblationText& text) const {
    std::vector<AblationVariant> variants;
    for (const AblationVariant& variant : results_.variants) {
      const bool there = results_.sample(variant.name, text.name) != nullptr ||
                         std::any_of(variants.begin(), variants.end(), [&](const AblationVariant& other) {
                           return other.parameters == variant.parameters;
                         });
      if (!there) variants.push_back(variant);
    }
    return variants;
  }

  void measure(std::size_t t) {
    const AblationText& text = results_.texts[t];
    const std::vector<AblationVariant> variants = missing(text);
    if (variants.empty()) return;
    const bool logits = results_.settings.logit_positions > 0;
    const double masks_share = logits ? 0.5 : 1.0;  // of the time of a text, about
    const auto tell = [&](const std::string& method, double of_text) {
      work_.tell(t, method, fmt::format("{}: {}", text.name, method), of_text);
    };
    MaskBench bench(text, variants, results_.settings.metrics_rows, has_global_layer(), predictor_, options_.cancel,
                    [&](double done) { tell("masks", masks_share * done); });

    SparsityParameters dense;
    dense.method = Method::kDense;
    std::vector<MethodChoice> methods = {{"dense", dense}};
    for (std::size_t i = 0; i < variants.size() && logits; ++i) {
      methods.push_back({fmt::format("{} {}", variants[i].name, i), variants[i].parameters});
    }
    CompareOptions compare;
    compare.metrics_rows = 0;
    compare.logit_positions = results_.settings.logit_positions;
    compare.max_new_tokens = 0;
    compare.observer = &bench;
    compare.cancel = options_.cancel;
    compare.progress = [&](const CompareProgress& state) {
      const bool masks = state.run == 0;
      tell(masks ? "masks" : variants[static_cast<std::size_t>(state.run) - 1].name,
           masks ? 0 : masks_share + (1 - masks_share) * state.fraction);
    };
    std::vector<AblationSample> measured;
    compare.finished = [&](std::size_t method, const MethodRun& run) {
      if (method == 0) {
        measured = bench.take();
        for (std::size_t i = 0; i < measured.size() && !logits; ++i) add(variants[i], measured[i]);
        return;
      }
      AblationSample& sample = measured[method - 1];
      const Values own = weighed(summarise(run));
      for (const auto& [key, value] : own.entries()) {
        if (dhsa::measure(key).group == Measure::Group::kLogits || key == "planning_share")
          sample.values.set(key, value);
      }
      add(variants[method - 1], sample);
    };
    static_cast<void>(compare_methods(model_, text.ids,
                                      {static_cast<std::int64_t>(text.ids.size()), text.sentence_ends}, methods,
                                      compare, nullptr, predictor_));
  }

  // For the variant and all others of the same parameters.
  void add(const AblationVariant& measured, AblationSample sample) {
    for (const AblationVariant& variant : results_.variants) {
      if (!(variant.parameters == measured.parameters) || results_.sample(variant.name, sample.text) != nullptr) {
        continue;
      }
      sample.variant = variant.name;
      results_.samples.push_back(sample);
    }
    if (options_.updated) options_.updated(results_, results_.samples.size() - 1);
  }

  [[nodiscard]] bool has_global_layer() const {
    for (int layer = 0; layer < static_cast<int>(model_.config().layers); ++layer) {
      if (!layer_info(model_.config(), layer).local()) return true;
    }
    return false;
  }
};

}  // namespace

const OptionTable<AblationSettings>& ablation_options() {
  using S = AblationSettings;
  constexpr const char* kGroup = "Ablation";
  static const OptionTable<AblationSettings> table(
      "setting of an ablation",
      {
          {{.key = "tokens",
            .label = "Tokens",
            .group = kGroup,
            .help = "Tokens of a sample or needle document",
            .minimum = 64,
            .maximum = 1 << 20},
           &S::tokens},
          {{.key = "metrics-rows",
            .label = "Row step",
            .group = kGroup,
            .help = "Measure masks on one row in N, drawn at random",
            .minimum = 1,
            .maximum = 1e6},
           &S::metrics_rows},
          {{.key = "logit-positions",
            .label = "Logit positions",
            .group = kGroup,
            .help = "Compare logits at most at N positions; 0 leaves the variants' own prefills out",
            .maximum = 1e6},
           &S::logit_positions},
          seed_option<S>(kGroup, "needle documents"),
      });
  return table;
}

const AblationSample* AblationResults::sample(const std::string& variant, const std::string& text) const {
  const auto at = std::find_if(samples.begin(), samples.end(), [&](const AblationSample& sample) {
    return sample.variant == variant && sample.text == text;
  });
  return at == samples.end() ? nullptr : &*at;
}

bool AblationResults::finished() const { return !texts.empty() && samples.size() == variants.size() * texts.size(); }

ExperimentCount AblationResults::count() const {
  return {static_cast<std::int64_t>(samples.size()), static_cast<std::int64_t>(variants.size() * texts.size())};
}

void run_ablation(const Gemma2& model, AblationResults& results, const AblationOptions& options,
                  const std::shared_ptr<const BoundaryPredictor>& predictor) {
  check_run(model, results, predictor);
  if (results.fingerprint.empty()) results.fingerprint = identity_of(model, predictor.get());
  AblationRun(model, results, options, predictor).run();
}

}  // namespace dhsa
