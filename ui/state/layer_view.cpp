#include "ui/state/layer_view.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/analysis/pyramid.h"
#include "core/base/error.h"

namespace dhsa {
namespace {

constexpr double kImportantMass = 0.95;

const CapturedLayer& require(const LayerSources& sources, int layer) {
  const auto at = static_cast<std::size_t>(layer);
  if (at >= sources.captured.size() || !sources.captured[at]) {
    throw Error("Layer " + std::to_string(layer) + " was not kept by the last run; run again with this layer in view.");
  }
  return *sources.captured[at];
}

}  // namespace

std::shared_ptr<const Plan> planLayer(const LayerSources& sources, int layer, const SparsityParameters& parameters,
                                      const CancelToken* cancel) {
  const CapturedLayer& wanted = require(sources, layer);
  auto planner = make_planner(parameters, sources.document, sources.predictor);
  // What is shared comes from earlier layers: boundaries from the first, masks from the first of the same kind.
  bool masked = false;
  for (int earlier = 0; earlier < layer && !masked; ++earlier) {
    const auto& source = sources.captured[static_cast<std::size_t>(earlier)];
    masked = parameters.share_masks && source && source->layer().local() == wanted.layer().local();
    if (!masked && !(parameters.share_boundaries && earlier == 0)) continue;
    const CapturedLayer& first = require(sources, earlier);
    (void)planner->plan(first.q(), first.k(), first.layer(), cancel);
  }
  return std::make_shared<const Plan>(planner->plan(wanted.q(), wanted.k(), wanted.layer(), cancel));
}

std::int64_t rowStepFor(std::int64_t tokens, std::int64_t pairs) {
  const std::int64_t rows = std::max<std::int64_t>(1, 2 * pairs / std::max<std::int64_t>(1, tokens));
  if (rows >= tokens) return 1;
  return (tokens / rows) | 1;
}

std::vector<std::shared_ptr<const MaskSource>> maskSources(const std::shared_ptr<const Plan>& plan) {
  std::vector<std::shared_ptr<const MaskSource>> sources;
  for (int head = 0; head < plan->mask.heads(); ++head)
    sources.push_back(std::make_shared<const MaskSource>(std::shared_ptr<const KeyMask>(plan, &plan->mask), head));
  return sources;
}

std::shared_ptr<const LayerView> measureLayer(std::shared_ptr<const Plan> plan,
                                              std::shared_ptr<const CapturedLayer> captured,
                                              const SparsityParameters& parameters, std::int64_t rowStep, bool whatIf,
                                              const CancelToken* cancel) {
  auto view = std::make_shared<LayerView>();
  view->layer = captured->layer().index;
  view->parameters = parameters;
  view->rowStep = rowStep;
  view->whatIf = whatIf;
  MetricOptions options;
  options.row_step = rowStep;
  options.cancel = cancel;
  view->metrics = measure_mask(captured->q(), captured->k(), captured->v(), plan->mask, captured->layer(), options);
  view->importance = token_importance(captured->q(), captured->k(), plan->mask, captured->layer(), rowStep, cancel);
  view->predicted = predicted_importance(*plan);
  view->masks = maskSources(plan);
  view->plan = std::move(plan);
  view->captured = std::move(captured);
  return view;
}

std::shared_ptr<const RowView> viewRow(const LayerView& layer, int head, std::int64_t row) {
  if (!layer.plan || !layer.captured) return nullptr;
  const KeyMask& mask = layer.plan->mask;
  const HeadsView q = layer.captured->q();
  if (row < 0 || row >= mask.rows() || head < 0 || head >= q.heads) return nullptr;

  auto view = std::make_shared<RowView>();
  view->row = row;
  view->layer = layer.layer;
  view->head = head;
  const auto tokens = static_cast<std::size_t>(mask.rows());
  view->mass.resize(tokens);
  dense_rows(q, layer.captured->k(), head, std::span(&row, 1), layer.captured->layer(), view->mass.data());

  const auto first = static_cast<std::size_t>(mask.first_visible(row));
  const auto end = static_cast<std::size_t>(row) + 1;
  view->state.assign(tokens, KeyState::kNotCausal);
  std::fill(view->state.begin() + static_cast<std::ptrdiff_t>(first),
            view->state.begin() + static_cast<std::ptrdiff_t>(end), KeyState::kDropped);

  std::vector<std::size_t> order(end - first);
  std::iota(order.begin(), order.end(), first);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return view->mass[a] > view->mass[b]; });
  double held = 0;
  for (const std::size_t key : order) {
    if (held >= kImportantMass) break;
    held += static_cast<double>(view->mass[key]);
    view->state[key] = KeyState::kDroppedImportant;
  }

  std::vector<KeyRange> ranges;
  mask.row_ranges(mask.mask_head(head, q.heads), row, ranges);
  for (const KeyRange& range : ranges) {
    for (auto key = static_cast<std::size_t>(range.begin); key < static_cast<std::size_t>(range.end); ++key) {
      view->state[key] = KeyState::kKept;
      view->keptMass += static_cast<double>(view->mass[key]);
      ++view->kept;
    }
  }
  view->droppedImportant = std::count(view->state.begin(), view->state.end(), KeyState::kDroppedImportant);
  return view;
}

}  // namespace dhsa
