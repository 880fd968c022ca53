#include "core/sparsity/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/sparsity/planner_parts.h"
#include "core/sparsity/selection.h"

namespace dhsa {

// One for each method, in the planner's own file.
std::unique_ptr<Planner> make_vertical_slash_planner(const SparsityParameters& parameters);
std::unique_ptr<Planner> make_token_topk_planner(const SparsityParameters& parameters);
std::unique_ptr<Planner> make_block_sparse_planner(const SparsityParameters& parameters);
std::unique_ptr<Planner> make_dhsa_planner(const SparsityParameters& parameters, DocumentInfo document,
                                           std::shared_ptr<const BoundaryPredictor> predictor);

namespace {

class DensePlanner : public Planner {
 public:
  Plan plan(const HeadsView& q, const HeadsView& /*k*/, const LayerInfo& layer,
            const CancelToken* /*cancel*/) override {
    Plan plan;
    plan.mask = KeyMask::dense(q.rows, layer.window);
    return plan;
  }
  [[nodiscard]] bool reads_tensors() const override { return false; }
};

// StreamingLLM: the first tokens and the most recent ones.
class WindowPlanner : public ParameterPlanner {
 public:
  using ParameterPlanner::ParameterPlanner;

  Plan plan(const HeadsView& q, const HeadsView& /*k*/, const LayerInfo& layer, const CancelToken* cancel) override {
    Plan plan;
    Stopwatch watch;
    const QueryGroups groups = query_groups(q.rows, parameters_.query_block, parameters_.instruction_tokens);
    plan.mask = build_mask(
        groups, 1, layer.window,
        [&](std::int64_t, std::int64_t g) -> std::vector<KeyRange> {
          const std::int64_t row_end = groups.end(g);
          const GroupReach reach = group_reach(groups.begin(g), row_end, layer.window, parameters_.budget);
          if (reach.whole) return {key_range(reach.begin, reach.end)};
          // Sinks outside the window of a local layer cannot be seen; their share goes to the recent keys.
          const std::int64_t sinks = std::max<std::int64_t>(0, parameters_.sink_tokens - reach.begin);
          const auto [sink_end, local_begin] = always_kept(reach.begin, row_end, row_end - groups.begin(g), sinks,
                                                           parameters_.budget, parameters_.budget);
          return {key_range(reach.begin, sink_end), key_range(local_begin, row_end)};
        },
        cancel);
    plan.seconds.selection = watch.lap();
    return plan;
  }
  [[nodiscard]] bool reads_tensors() const override { return false; }
};

// Masks of the first local and the first global layer serve all layers of their kind.
class SharedMasks : public Planner {
 public:
  explicit SharedMasks(std::unique_ptr<Planner> planner) : planner_(std::move(planner)) {}

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    std::optional<Plan>& first = layer.local() ? local_ : global_;
    if (!first || first->mask.rows() != q.rows || first->mask.window() != layer.window) {
      first = planner_->plan(q, k, layer, cancel);
      return *first;
    }
    Plan plan = *first;
    plan.seconds = {};
    plan.shared = true;
    return plan;
  }

 private:
  std::unique_ptr<Planner> planner_;
  std::optional<Plan> local_;
  std::optional<Plan> global_;
};

// What every planner relies on, said before it reads past the end of something.
class Checked : public Planner {
 public:
  Checked(std::unique_ptr<Planner> planner, PlannerInputs inputs)
      : planner_(std::move(planner)), inputs_(std::move(inputs)) {}

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    if (q.rows < 1 || q.heads < 1 || k.heads < 1) throw Error("There is nothing to attend to: the document is empty.");
    if (k.rows != q.rows || k.dim != q.dim || q.heads % k.heads != 0) {
      throw Error(fmt::format(
          "Queries [{}, {}, {}] and keys [{}, {}, {}] do not belong together; heads of the keys must divide "
          "those of the queries, tokens and dimensions agree.",
          q.heads, q.rows, q.dim, k.heads, k.rows, k.dim));
    }
    return planner_->plan(q, k, layer, cancel);
  }
  [[nodiscard]] bool reads_tensors() const override { return planner_->reads_tensors(); }
  [[nodiscard]] const PlannerInputs* inputs() const override { return &inputs_; }

 private:
  std::unique_ptr<Planner> planner_;
  PlannerInputs inputs_;
};

}  // namespace

std::unique_ptr<Planner> make_planner(const SparsityParameters& asked, DocumentInfo document,
                                      std::shared_ptr<const BoundaryPredictor> predictor) {
  check_parameters(asked);
  const SparsityParameters parameters = resolved(asked, predictor != nullptr);
  PlannerInputs inputs{parameters, document, predictor};
  std::unique_ptr<Planner> planner;
  switch (parameters.method) {
    case Method::kDense:
      planner = std::make_unique<DensePlanner>();
      break;
    case Method::kWindowSinks:
      planner = std::make_unique<WindowPlanner>(parameters);
      break;
    case Method::kBlockSparse:
      planner = make_block_sparse_planner(parameters);
      break;
    case Method::kVerticalSlash:
      planner = make_vertical_slash_planner(parameters);
      break;
    case Method::kTokenTopK:
      planner = make_token_topk_planner(parameters);
      break;
    case Method::kDhsa:
      planner = make_dhsa_planner(parameters, std::move(document), std::move(predictor));
      break;
  }
  if (parameters.share_masks && planner->reads_tensors()) planner = std::make_unique<SharedMasks>(std::move(planner));
  return std::make_unique<Checked>(std::move(planner), std::move(inputs));
}

}  // namespace dhsa
