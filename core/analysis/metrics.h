// What a mask is worth against dense attention on the same q, k, v. Streams over row blocks: memory O(block * L).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/planner.h"

namespace dhsa {

// The row step of reports. Prime to 8 and 16: methods that choose by every 8th or 16th row count back from the last row
// too, and a step that shares a factor with theirs would measure them on the very rows they asked.
inline constexpr std::int64_t kMetricsRows = 7;

struct MetricOptions {
  std::int64_t row_step = 1;   // every row_step-th row counted back from the last; 1: all rows
  std::int64_t row_begin = 0;  // only rows in [row_begin, row_end); row_end 0: to the end
  std::int64_t row_end = 0;
  bool oracle = true;  // of-oracle and IoU
  bool output_error = true;
  const CancelToken* cancel = nullptr;
};

// A = dense softmax with softcap, causality and window. Rows weigh the same.
struct MaskMetrics {
  double density = 0;              // kept / causal pairs of the whole mask
  double retained_mass = 0;        // mean over rows and query heads of sum of A over kept keys
  double worst_head_mass = 0;      // lowest head mean
  double worst_rows_mass = 0;      // mean of the lowest 1 % of (row, head) values
  double of_oracle = 0;            // retained mass / mass of each row's own top-k at the same number of keys
  double iou = 0;                  // with that oracle, over kept pairs: sum of intersections / sum of unions
  double output_error = 0;         // ||O_sparse - O_dense|| / ||O_dense||, mean over heads
  std::vector<double> head_mass;   // [H]
  std::vector<double> head_error;  // [H]
};
[[nodiscard]] MaskMetrics measure_mask(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                                       const LayerInfo& layer, const MetricOptions& options = {});
void to_json(nlohmann::json& json, const MaskMetrics& metrics);

// Agreement of two logit tables [rows, vocab], accumulated block by block.
class LogitAgreement {
 public:
  void add(std::span<const float> dense, std::span<const float> sparse, std::int64_t vocab);
  [[nodiscard]] double mean_kl() const;   // KL(dense || sparse) in nats, mean over positions
  [[nodiscard]] double same_top() const;  // share of positions with the same top token
  [[nodiscard]] std::int64_t positions() const noexcept { return positions_; }

 private:
  double kl_ = 0;
  std::int64_t same_ = 0;
  std::int64_t positions_ = 0;
};

// Dense attention probabilities of chosen rows of one query head: out [rows.size(), L] float32.
void dense_rows(const HeadsView& q, const HeadsView& k, std::int64_t head, std::span<const std::int64_t> rows,
                const LayerInfo& layer, float* out);

// Per key: attention mass received from all rows after it (dense), averaged over heads and, per query row that could
// see it; and in how many rows' masks it is kept, as a share. Both [L].
struct TokenImportance {
  std::vector<float> received_mass;
  std::vector<float> retention;
};
[[nodiscard]] TokenImportance token_importance(const HeadsView& q, const HeadsView& k, const KeyMask& mask,
                                               const LayerInfo& layer, std::int64_t row_step = 1,
                                               const CancelToken* cancel = nullptr);

}  // namespace dhsa
