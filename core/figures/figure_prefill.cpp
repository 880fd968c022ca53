// The prefill behind a figure: only as far as needed, and keeping only what is shown.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/memory.h"
#include "core/figures/figure_data.h"
#include "core/run/run.h"
#include "core/sparsity/planner.h"

namespace dhsa {
namespace {

using From = FigureKindInfo::From;

bool of_all_layers(const FigureSpec& spec) {
  return std::any_of(spec.panels.begin(), spec.panels.end(),
                     [](const FigurePanel& panel) { return figure_kind(panel.what).from == From::kAllLayers; });
}

std::set<int> layers_of(const FigureSpec& spec) {
  std::set<int> layers;
  for (const FigurePanel& panel : spec.panels) {
    if (figure_kind(panel.what).from == From::kLayer) layers.insert(panel.layer);
  }
  return layers;
}

}  // namespace

bool needs_model(const FigureSpec& spec) {
  return std::any_of(spec.panels.begin(), spec.panels.end(),
                     [](const FigurePanel& panel) { return figure_kind(panel.what).from != From::kFile; });
}

bool needs_files(const FigureSpec& spec) {
  return std::any_of(spec.panels.begin(), spec.panels.end(),
                     [](const FigurePanel& panel) { return figure_kind(panel.what).from == From::kFile; });
}

void resolve_panels(FigureSpec& spec, const Gemma2Config& config) {
  // The first global layer shows most: a local one sees no further than its window.
  const auto global = std::find(config.local_layer.begin(), config.local_layer.end(), false);
  const int first = global != config.local_layer.end() ? static_cast<int>(global - config.local_layer.begin()) : 0;
  for (FigurePanel& panel : spec.panels) {
    const FigureKindInfo& info = figure_kind(panel.what);
    if (info.from != From::kLayer) {
      panel.layer = panel.head = -1;
      continue;
    }
    if (panel.layer < 0) panel.layer = first;
    if (!info.per_head) panel.head = -1;
    if (panel.layer >= config.layers) {
      throw Error(fmt::format("{}: the model has layers 0 to {}.", to_text(panel), config.layers - 1));
    }
    if (panel.head >= config.heads) {
      throw Error(fmt::format("{}: the model has query heads 0 to {}.", to_text(panel), config.heads - 1));
    }
  }
}

FigureMaterial prefill_for_figure(const Gemma2& model, const Document& document, const SparsityParameters& parameters,
                                  const SparsityParameters& ran_with,
                                  std::shared_ptr<const BoundaryPredictor> predictor, const FigureSpec& spec,
                                  const FigureProgress& progress, const CancelToken* cancel) {
  const Gemma2Config& config = model.config();
  const bool all = of_all_layers(spec);
  const bool what_if = !(ran_with == parameters);
  const std::set<int> shown = layers_of(spec);
  const int last = all ? static_cast<int>(config.layers) - 1 : shown.empty() ? 0 : *shown.rbegin();

  RunOptions run;
  run.last_layer = last;
  run.logit_positions = run.max_new_tokens = 0;
  run.metrics_rows = all && !what_if ? spec.metrics_rows : 0;
  run.oracle = false;
  run.keep_plans = true;
  for (int layer = 0; layer <= last; ++layer) {
    // What-if plans layer after layer: boundaries and masks may be shared.
    if (what_if || shown.contains(layer)) run.capture_layers.push_back(layer);
  }
  const std::int64_t captured = capture_bytes(config, model.options().compute, document.tokens(),
                                              static_cast<std::int64_t>(run.capture_layers.size()));
  if (captured > available_bytes()) {
    throw Error(
        fmt::format("Keeping queries, keys and values of {} layers takes {} MiB and {} MiB are free; show fewer "
                    "layers at once or a shorter text.",
                    run.capture_layers.size(), captured >> 20U, available_bytes() >> 20U));
  }
  run.cancel = cancel;
  run.progress = [&](const CompareProgress& state) {
    if (!progress || state.layer < 0) return;
    const double done = (state.layer + static_cast<double>(state.stage) / kStageCount) / (last + 1);
    progress(fmt::format("prefill, layer {} of {}, {}", state.layer, last, name_of(state.stage)), done);
  };
  const MethodRun done = run_method({model, document.encoding.ids, document.info(), nullptr, predictor},
                                    {name_of(ran_with.method), ran_with}, run);

  FigureMaterial material;
  material.document = &document;
  material.query_heads = config.heads;
  material.local = config.local_layer;
  material.layers.resize(static_cast<std::size_t>(config.layers));
  const RunTrace& trace = done.trace;
  const auto again = what_if ? make_planner(parameters, document.info(), predictor) : nullptr;
  for (std::size_t layer = 0; layer <= static_cast<std::size_t>(last); ++layer) {
    FigureMaterial::Layer& kept = material.layers[layer];
    kept.captured = trace.captured[layer];
    kept.plan = trace.plans[layer];
    if (layer < done.metrics.size()) kept.metrics = done.metrics[layer];
    if (again) {
      const CapturedLayer& from = *kept.captured;
      kept.plan = std::make_shared<const Plan>(again->plan(from.q(), from.k(), from.layer(), cancel));
    }
  }
  return material;
}

}  // namespace dhsa
