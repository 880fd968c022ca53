#include "core/evaluate/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/analysis/metrics.h"
#include "core/evaluate/compare.h"

namespace dhsa {
namespace {

// Plans and measures every variant on the q, k, v of the first prefill it sees, the dense one.
class MaskBench : public PrefillObserver {
 public:
  MaskBench(const AblationText& text, std::span<const AblationVariant> variants, const AblationOptions& options,
            const std::shared_ptr<const BoundaryPredictor>& predictor, bool only_global)
      : text_(text), options_(options), only_global_(only_global), sums_(variants.size()) {
    for (std::size_t i = 0; i < variants.size(); ++i) {
      planners_.push_back(make_planner(variants[i].parameters,
                                       {static_cast<std::int64_t>(text.ids.size()), text.sentence_ends}, predictor));
      sums_[i].variant = variants[i].name;
      sums_[i].text = text.name;
      sums_[i].row_mass.assign(text.rows.size(), 0.0);
    }
  }
  void prefill_begins(std::int64_t /*tokens*/, int /*layers*/) override { ++prefills_; }
  [[nodiscard]] bool wants_attention(int /*layer*/) const override { return prefills_ == 1; }
  void attended(const AttendedLayer& layer) override {
    if (prefills_ != 1) return;
    const bool measured = !only_global_ || !layer.layer.local();
    layers_ += measured ? 1 : 0;
    for (std::size_t i = 0; i < planners_.size(); ++i) {
      if (options_.progress) options_.progress(fmt::format("{}: masks of layer {}", text_.name, layer.layer.index), -1);
      // Local layers are planned too: what they find may be shared.
      const Plan plan = planners_[i]->plan(layer.q, layer.k, layer.layer, options_.cancel);
      if (measured) add(sums_[i], layer, plan);
    }
  }
  [[nodiscard]] std::vector<AblationSample> take() {
    const double share = 1.0 / std::max(1, layers_);
    for (AblationSample& sum : sums_) {
      for (double* value : {&sum.retained_mass, &sum.worst_rows_mass, &sum.of_oracle, &sum.iou, &sum.output_error,
                            &sum.density, &sum.chunks}) {
        *value *= share;
      }
      for (double& mass : sum.row_mass) mass *= share;
    }
    return std::move(sums_);
  }

 private:
  void add(AblationSample& sum, const AttendedLayer& layer, const Plan& plan) const {
    MetricOptions how;
    how.row_step = options_.metrics_rows;
    how.cancel = options_.cancel;
    const MaskMetrics metrics = measure_mask(layer.q, layer.k, layer.v, plan.mask, layer.layer, how);
    sum.retained_mass += metrics.retained_mass;
    sum.worst_rows_mass += metrics.worst_rows_mass;
    sum.of_oracle += metrics.of_oracle;
    sum.iou += metrics.iou;
    sum.output_error += metrics.output_error;
    sum.density += metrics.density;
    sum.chunks += static_cast<double>(std::max<std::size_t>(1, plan.trace.boundaries.size()) - 1);
    how.row_step = 1;
    how.oracle = how.output_error = false;
    for (std::size_t r = 0; r < text_.rows.size(); ++r) {
      how.row_begin = text_.rows[r].begin;
      how.row_end = text_.rows[r].end;
      sum.row_mass[r] += measure_mask(layer.q, layer.k, layer.v, plan.mask, layer.layer, how).retained_mass;
    }
  }

  const AblationText& text_;
  const AblationOptions& options_;
  bool only_global_;
  int prefills_ = 0;
  int layers_ = 0;
  std::vector<std::unique_ptr<Planner>> planners_;
  std::vector<AblationSample> sums_;
};

}  // namespace

std::vector<AblationSample> run_ablation(const Gemma2& model, std::span<const AblationText> texts,
                                         std::span<const AblationVariant> variants, const AblationOptions& options,
                                         std::vector<AblationSample> done,
                                         std::shared_ptr<const BoundaryPredictor> predictor) {
  for (const AblationVariant& variant : variants) {
    static_cast<void>(make_planner(variant.parameters, {1, {}}, predictor));
  }
  std::set<std::string> names;
  for (const AblationVariant& variant : variants) {
    if (!names.insert(variant.name).second) {
      throw Error(fmt::format("Two variants are called \"{}\"; give each a name of its own.", variant.name));
    }
  }
  bool any_global = false;
  for (int layer = 0; layer < static_cast<int>(model.config().layers); ++layer) {
    any_global = any_global || !layer_info(model.config(), layer).local();
  }
  SparsityParameters dense;
  dense.method = Method::kDense;

  std::vector<AblationSample> samples = std::move(done);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const AblationText& text = texts[t];
    std::vector<AblationVariant> missing;
    for (const AblationVariant& variant : variants) {
      const bool there = std::any_of(samples.begin(), samples.end(), [&](const AblationSample& sample) {
        return sample.variant == variant.name && sample.text == text.name;
      });
      if (!there) missing.push_back(variant);
    }
    if (missing.empty()) continue;
    AblationOptions of_text = options;
    const auto tell = [&](const std::string& what, double of_one) {
      if (options.progress) {
        options.progress(what, (static_cast<double>(t) + std::max(0.0, of_one)) / static_cast<double>(texts.size()));
      }
    };
    of_text.progress = tell;
    MaskBench bench(text, missing, of_text, predictor, any_global);
    std::vector<MethodChoice> methods = {{"dense", dense}};
    if (options.logit_positions > 0) {
      for (const AblationVariant& variant : missing) methods.push_back({variant.name, variant.parameters});
    }
    CompareOptions compare;
    compare.metrics_rows = 0;
    compare.logit_positions = options.logit_positions;
    compare.max_new_tokens = 0;
    compare.observer = &bench;
    compare.cancel = options.cancel;
    compare.progress = [&](const CompareProgress& state) {
      tell(fmt::format("{}: prefill {} of {}", text.name, state.run + 1, state.runs), state.fraction);
    };
    const Comparison comparison =
        compare_methods(model, text.ids, {static_cast<std::int64_t>(text.ids.size()), text.sentence_ends}, methods,
                        compare, nullptr, predictor);
    std::vector<AblationSample> measured = bench.take();
    for (std::size_t i = 0; i < measured.size() && comparison.runs.size() > 1; ++i) {
      const MethodRun& run = comparison.runs[i + 1];
      if (run.logits) {
        measured[i].kl = run.logits->mean_kl;
        measured[i].same_top = run.logits->same_top;
      }
      measured[i].planning_share = summarise(run).planning_share;
    }
    std::move(measured.begin(), measured.end(), std::back_inserter(samples));
    if (options.updated) options.updated(samples);
  }
  return samples;
}

}  // namespace dhsa
