#include "core/run/what_if.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/analysis/pyramid.h"
#include "core/base/error.h"

namespace dhsa {
namespace {

constexpr double kImportantMass = 0.95;
constexpr std::int64_t kLostRows = 8;  // of a head

const CapturedLayer& require(const WhatIfSources& sources, int layer) {
  const auto at = static_cast<std::size_t>(layer);
  if (at >= sources.captured.size() || !sources.captured[at]) {
    throw Error(fmt::format("Layer {} was not kept by the last run; run again with this layer in view.", layer));
  }
  return *sources.captured[at];
}

std::shared_ptr<const MeasuredLayer> measured(std::shared_ptr<const Plan> plan,
                                              std::shared_ptr<const CapturedLayer> captured, const HeadsView& q,
                                              const HeadsView& k, const HeadsView& v, const LayerInfo& layer,
                                              const SparsityParameters& parameters, std::int64_t row_step,
                                              const CancelToken* cancel) {
  auto made = std::make_shared<MeasuredLayer>();
  made->layer = layer.index;
  made->parameters = parameters;
  if (plan->mask.density() >= 1) {  // known without looking at a row
    made->metrics = metrics_of_dense(q.heads);
    made->metrics.importance = token_importance(q, k, plan->mask, layer, row_step, cancel);
  } else {
    MetricOptions options;
    options.row_step = row_step;
    options.importance = true;
    options.lost_rows = kLostRows;
    options.cancel = cancel;
    made->metrics = measure_mask(q, k, v, plan->mask, layer, options);
  }
  made->predicted = predicted_importance(*plan);
  made->masks = mask_sources(plan);
  made->plan = std::move(plan);
  made->captured = std::move(captured);
  return made;
}

}  // namespace

std::vector<std::shared_ptr<const MaskSource>> mask_sources(const std::shared_ptr<const Plan>& plan) {
  std::vector<std::shared_ptr<const MaskSource>> sources;
  for (int head = 0; head < plan->mask.heads(); ++head) {
    sources.push_back(std::make_shared<const MaskSource>(std::shared_ptr<const KeyMask>(plan, &plan->mask), head));
  }
  return sources;
}

std::shared_ptr<const Plan> plan_layer(const WhatIfSources& sources, int layer, const SparsityParameters& parameters,
                                       const CancelToken* cancel) {
  const CapturedLayer& wanted = require(sources, layer);
  auto planner = make_planner(parameters, sources.document, sources.predictor);
  const auto plan_first = [&](int earlier) {
    const CapturedLayer& first = require(sources, earlier);
    static_cast<void>(planner->plan(first.q(), first.k(), first.layer(), cancel));
  };
  // The first layer gives boundaries; the first of each kind, local or global, gives masks.
  int giver = layer;
  if (parameters.share_masks && is_read(parameters, "share-masks")) {
    const auto kind = sources.local.at(static_cast<std::size_t>(layer));
    giver = static_cast<int>(std::find(sources.local.begin(), sources.local.end(), kind) - sources.local.begin());
  }
  if (parameters.share_boundaries && is_read(parameters, "share-boundaries") && giver > 0) plan_first(0);
  if (giver < layer) plan_first(giver);
  return std::make_shared<const Plan>(planner->plan(wanted.q(), wanted.k(), wanted.layer(), cancel));
}

std::int64_t row_step_for(std::int64_t tokens, std::int64_t pairs) {
  const std::int64_t rows = std::max<std::int64_t>(1, 2 * pairs / std::max<std::int64_t>(1, tokens));
  return rows >= tokens ? 1 : tokens / rows;
}

std::shared_ptr<const MeasuredLayer> measure_layer(std::shared_ptr<const Plan> plan,
                                                   std::shared_ptr<const CapturedLayer> captured,
                                                   const SparsityParameters& parameters, std::int64_t row_step,
                                                   const CancelToken* cancel) {
  const CapturedLayer& layer = *captured;
  return measured(std::move(plan), std::move(captured), layer.q(), layer.k(), layer.v(), layer.layer(), parameters,
                  row_step, cancel);
}

std::shared_ptr<const MeasuredLayer> measure_layer(std::shared_ptr<const Plan> plan, const AttendedLayer& layer,
                                                   const SparsityParameters& parameters, std::int64_t row_step,
                                                   const CancelToken* cancel) {
  return measured(std::move(plan), nullptr, layer.q, layer.k, layer.v, layer.layer, parameters, row_step, cancel);
}

std::shared_ptr<const QueryRow> view_row(const MeasuredLayer& layer, int head, std::int64_t row) {
  if (!layer.plan || !layer.captured) return nullptr;
  const KeyMask& mask = layer.plan->mask;
  const HeadsView q = layer.captured->q();
  if (row < 0 || row >= mask.rows() || head < 0 || head >= q.heads) return nullptr;

  auto view = std::make_shared<QueryRow>();
  view->row = row;
  view->layer = layer.layer;
  view->head = head;
  const auto tokens = static_cast<std::size_t>(mask.rows());
  view->mass.resize(tokens);
  dense_rows(q, layer.captured->k(), head, std::span(&row, 1), layer.captured->layer(), view->mass.data());

  const auto first = static_cast<std::size_t>(mask.first_visible(row));
  const auto end = static_cast<std::size_t>(row) + 1;
  view->fate.assign(tokens, KeyFate::kNotVisible);
  std::fill(view->fate.begin() + static_cast<std::ptrdiff_t>(first),
            view->fate.begin() + static_cast<std::ptrdiff_t>(end), KeyFate::kDropped);

  std::vector<std::size_t> order(end - first);
  std::iota(order.begin(), order.end(), first);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return view->mass[a] > view->mass[b]; });
  double held = 0;
  for (const std::size_t key : order) {
    if (held >= kImportantMass) break;
    held += static_cast<double>(view->mass[key]);
    view->fate[key] = KeyFate::kDroppedImportant;
  }

  std::vector<KeyRange> ranges;
  mask.row_ranges(mask.mask_head(head, q.heads), row, ranges);
  for (const KeyRange& range : ranges) {
    for (auto key = static_cast<std::size_t>(range.begin); key < static_cast<std::size_t>(range.end); ++key) {
      view->fate[key] = KeyFate::kKept;
      view->kept_mass += static_cast<double>(view->mass[key]);
      ++view->kept;
    }
  }
  view->dropped_important = std::count(view->fate.begin(), view->fate.end(), KeyFate::kDroppedImportant);
  return view;
}

}  // namespace dhsa
