// Dynamic Hierarchical Sparse Attention: boundaries, chunk similarity, selection. Block-sparse attention is the same
// with chunks of fixed size, plain means and whole blocks.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "core/base/parallel.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/planner_parts.h"
#include "core/sparsity/selection.h"
#include "core/sparsity/token_refinement.h"

namespace dhsa {
namespace {

struct Boundaries {
  std::vector<float> scores;
  std::vector<std::int32_t> edges;
};

class DhsaPlanner : public ParameterPlanner {
 public:
  DhsaPlanner(const SparsityParameters& parameters, DocumentInfo document,
              std::shared_ptr<const BoundaryPredictor> predictor)
      : ParameterPlanner(parameters), document_(std::move(document)), predictor_(std::move(predictor)) {}

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    Plan plan;
    Stopwatch watch;
    if (!boundaries_ || !parameters_.share_boundaries || boundaries_->edges.back() != q.rows) {
      boundaries_ = find_boundaries(q, k, layer, cancel);
    }
    const std::vector<std::int32_t>& edges = boundaries_->edges;
    plan.seconds.boundaries = watch.lap();

    const bool by_chunks = parameters_.query_grouping == QueryGrouping::kChunks;
    const QueryGroups groups =
        query_groups(q.rows, parameters_.query_block, parameters_.instruction_tokens,
                     by_chunks ? std::span<const std::int32_t>(edges) : std::span<const std::int32_t>());
    const ChunkScoreRule rule{parameters_.scores, parameters_.pooling, parameters_.mask_heads,
                              scored_rows(),      layer.scale,         layer.softcap,
                              layer.window};
    ChunkScores scores = score_chunks(q, k, edges, groups.rows, rule, cancel);
    plan.seconds.similarity = watch.lap();

    // On a local layer whose window fits the budget there is nothing to thin.
    const bool refined = parameters_.candidates > 0 && parameters_.selection == Selection::kBudget &&
                         (!layer.local() || parameters_.budget < layer.window);
    const RangesOf chunks_of = [&](std::int64_t head, std::int64_t g) {
      return chunks(groups, g, layer, scores, head, 1);
    };
    std::vector<std::vector<KeyRange>> tokens;
    if (refined) tokens = best_tokens(q, k, layer, groups, scores, cancel);
    const RangesOf tokens_of = [&](std::int64_t head, std::int64_t g) {
      return std::move(tokens[static_cast<std::size_t>(head * groups.sparse + g)]);
    };
    plan.mask = build_mask(groups, scores.heads, layer.window, refined ? tokens_of : chunks_of, cancel);
    plan.seconds.selection = watch.lap();
    plan.trace = {boundaries_->scores, edges, std::move(scores.values)};
    return plan;
  }

 private:
  using RangesOf = std::function<std::vector<KeyRange>(std::int64_t, std::int64_t)>;

  [[nodiscard]] ScoredRows scored_rows() const noexcept {
    return {parameters_.score_rows, parameters_.score_last_rows};
  }

  // Whole chunks for one query group; `times` the budget.
  [[nodiscard]] std::vector<KeyRange> chunks(const QueryGroups& groups, std::int64_t g, const LayerInfo& layer,
                                             const ChunkScores& scores, std::int64_t head, double times) const {
    const auto [reach, rule] = chunk_choice(parameters_, groups.begin(g), groups.end(g), layer.window, times);
    if (reach.whole) return {key_range(reach.begin, reach.end)};
    return select_keys(boundaries_->edges, scores.row(head, g), scores.mass, reach.begin, reach.end, rule).ranges;
  }

  // [heads of the mask * sparse groups]: the chunks of several budgets, thinned to one budget of tokens.
  [[nodiscard]] std::vector<std::vector<KeyRange>> best_tokens(const HeadsView& q, const HeadsView& k,
                                                               const LayerInfo& layer, const QueryGroups& groups,
                                                               const ChunkScores& scores,
                                                               const CancelToken* cancel) const {
    const TokenRefinement refinement(q, k, layer, scores.heads, scored_rows());
    std::vector<std::vector<KeyRange>> lists(static_cast<std::size_t>(scores.heads * groups.sparse));
    constexpr std::int64_t kBatch = TokenRefinement::kBatch;
    const std::int64_t batches = (groups.sparse + kBatch - 1) / kBatch;
    parallel_for(
        scores.heads * batches,
        [&](std::int64_t task) {
          const std::int64_t head = task / batches;
          const std::int64_t first = (batches - 1 - task % batches) * kBatch;  // those that see most go first
          TokenRefinement::Pass pass(refinement, head);
          for (std::int64_t g = std::max<std::int64_t>(0, first - 1); g < std::min(groups.sparse, first + kBatch);
               ++g) {
            std::vector<KeyRange> ranges = thinned(groups, g, layer, scores, head, pass);
            if (g >= first) lists[static_cast<std::size_t>(head * groups.sparse + g)] = std::move(ranges);
          }
        },
        cancel);
    return lists;
  }

  [[nodiscard]] std::vector<KeyRange> thinned(const QueryGroups& groups, std::int64_t g, const LayerInfo& layer,
                                              const ChunkScores& scores, std::int64_t head,
                                              TokenRefinement::Pass& pass) const {
    const std::int64_t row_begin = groups.begin(g);
    const std::int64_t row_end = groups.end(g);
    const GroupReach reach = group_reach(row_begin, row_end, layer.window, parameters_.budget);
    if (reach.whole) return {key_range(reach.begin, reach.end)};
    // What the answer follows from is not to be lost by a chunk's score: the last rows are asked about every key.
    const bool last = parameters_.score_rows > 0 && row_end > groups.rows.back() - parameters_.score_last_rows;
    std::vector<KeyRange> ranges = last ? std::vector<KeyRange>{key_range(reach.begin, reach.end)}
                                        : chunks(groups, g, layer, scores, head, parameters_.candidates);
    std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) { return a.begin < b.begin; });
    pass.estimate(row_begin, row_end, ranges);
    const auto [sink_end, local_begin] =
        always_kept(reach.begin, reach.end, row_end - row_begin, parameters_.sink_tokens, parameters_.local_tokens,
                    parameters_.budget);
    std::vector<KeyRange> kept;
    if (sink_end > reach.begin) kept.push_back(key_range(reach.begin, sink_end));
    pass.take_best(sink_end, local_begin, parameters_.budget - (sink_end - reach.begin) - (reach.end - local_begin),
                   kept);
    kept.push_back(key_range(local_begin, reach.end));
    return kept;
  }

  [[nodiscard]] Boundaries find_boundaries(const HeadsView& q, const HeadsView& k, const LayerInfo& layer,
                                           const CancelToken* cancel) const {
    const std::int64_t tokens = q.rows;
    const std::int64_t instruction = parameters_.instruction_tokens;
    Boundaries found;
    BoundaryRule rule;
    rule.nms_distance = parameters_.nms_distance;
    rule.instruction_tokens = instruction;
    rule.most = target_chunks(parameters_, tokens);
    if (parameters_.boundary_threshold > 0) rule.threshold = parameters_.boundary_threshold;

    switch (parameters_.boundaries) {
      case BoundarySource::kLearned:
        found.scores = predictor_->logits(k, cancel);
        break;
      case BoundarySource::kAttentionMass:
        found.scores = attention_mass_ratios(
            q, k, {parameters_.boundary_window, layer.scale, layer.softcap, layer.window, layer.window}, cancel);
        break;
      case BoundarySource::kAuto:  // resolved by make_planner()
      case BoundarySource::kKeyShift:
        found.scores = key_shift_scores(k, parameters_.boundary_window, cancel);
        break;
      case BoundarySource::kSentence:
        found.scores = sentence_scores(document_, tokens);
        rule = sentence_rule(tokens, parameters_.nms_distance, instruction);
        break;
      case BoundarySource::kFixed:
        found.edges = fixed_boundaries(tokens, parameters_.chunk_length, instruction);
        found.scores = edge_scores(found.edges, tokens);
        return found;
    }
    found.edges = select_boundaries(found.scores, rule);
    return found;
  }

  DocumentInfo document_;
  std::shared_ptr<const BoundaryPredictor> predictor_;
  std::optional<Boundaries> boundaries_;
};

class BlockSparsePlanner : public ParameterPlanner {
 public:
  using ParameterPlanner::ParameterPlanner;

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    Plan plan;
    Stopwatch watch;
    const std::int64_t block = parameters_.block_size;
    const std::vector<std::int32_t> edges = fixed_boundaries(k.rows, block);
    const QueryGroups groups = query_groups(q.rows, parameters_.query_block, parameters_.instruction_tokens);
    ChunkScoreRule rule;
    rule.pooling = Pooling::kMean;
    ChunkScores scores = score_chunks(q, k, edges, groups.rows, rule, cancel);
    plan.seconds.similarity = watch.lap();
    plan.mask = build_mask(
        groups, scores.heads, layer.window,
        [&](std::int64_t head, std::int64_t g) -> std::vector<KeyRange> {
          const auto [reach, selection] = chunk_choice(parameters_, groups.begin(g), groups.end(g), layer.window);
          if (reach.whole) return {key_range(reach.begin, reach.end)};
          return select_keys(edges, scores.row(head, g), scores.mass, reach.begin, reach.end, selection).ranges;
        },
        cancel);
    plan.seconds.selection = watch.lap();
    plan.trace = {{}, edges, std::move(scores.values)};
    return plan;
  }
};

}  // namespace

std::int64_t target_chunks(const SparsityParameters& parameters, std::int64_t tokens) {
  const double target =
      static_cast<double>(tokens) / static_cast<double>(parameters.query_block) * parameters.chunks_per_block;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(target, static_cast<double>(tokens))));
}

std::unique_ptr<Planner> make_dhsa_planner(const SparsityParameters& parameters, DocumentInfo document,
                                           std::shared_ptr<const BoundaryPredictor> predictor) {
  if (parameters.boundaries == BoundarySource::kLearned && predictor == nullptr) {
    throw Error(
        "Learned boundaries need a predictor, and this model has none; give one with \"predictor\" or choose another "
        "boundary source.");
  }
  return std::make_unique<DhsaPlanner>(parameters, std::move(document), std::move(predictor));
}

std::unique_ptr<Planner> make_block_sparse_planner(const SparsityParameters& parameters) {
  return std::make_unique<BlockSparsePlanner>(parameters);
}

}  // namespace dhsa
