// What a mask is worth against dense attention on the same q, k, v. Streams over row blocks: memory O(block * L).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "core/analysis/values.h"
#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/planner.h"

namespace dhsa {

// The row step of reports.
inline constexpr std::int64_t kMetricsRows = 7;

struct MetricOptions {
  std::int64_t row_step = 1;   // one row in row_step, drawn at random (draw_rows, by text and layer); 1: all rows
  std::int64_t row_begin = 0;  // only rows in [row_begin, row_end); row_end 0: to the end
  std::int64_t row_end = 0;
  bool oracle = true;  // of-oracle and IoU
  bool output_error = true;
  bool importance = false;  // of all rows only
  // Most LostRows of each head; no more than a sixteenth of the rows that are looked at, so that they cost little.
  std::int64_t lost_rows = 0;
  const CancelToken* cancel = nullptr;
};

// Per key, both [L].
struct TokenImportance {
  // Dense attention mass that it receives, mean over heads and the query rows that see it. While sampled, what it gets
  // from the rows just after it is taken from the row drawn there, at the same distance: keys whose own row was drawn
  // would stand out otherwise. Sums over keys are unbiased.
  std::vector<float> received_mass;
  std::vector<float> retention;  // share of the query rows that see it and keep it, mean over mask heads; always exact
  std::int64_t row_step = 1;     // of received_mass
};

// A row of one head that the mask takes dense attention from. Exact, whatever rows were looked at.
struct LostRow {
  int head = 0;  // query head
  std::int64_t row = 0;
  double dropped_mass = 0;  // of the row's dense attention
  std::int64_t key = 0;     // the dropped key with most of it
  double key_mass = 0;
};

// A = dense softmax with softcap, causality and window. Rows weigh the same. Values by measure (core/run/measures.cpp):
//   density           kept / causal pairs of the whole mask, always exact; weighs its causal pairs
//   retained_mass     mean over rows and query heads of sum of A over kept keys
//   worst_head_mass   lowest head mean
//   worst_rows_mass   mean of the lowest 1 % of (row, head) values
//   of_oracle         retained mass / mass of each row's own top-k at the same number of keys
//   iou               with that oracle, over kept pairs: sum of intersections / sum of unions
//   output_error      ||O_sparse - O_dense|| / ||O_dense||, mean over heads
struct MaskMetrics {
  Values values;
  std::vector<Values> heads;   // [H] retained_mass, output_error
  TokenImportance importance;  // where asked for
  // Where asked for, head by head: of the rows looked at those that lose most, the worst first.
  std::vector<LostRow> lost_rows;
  [[nodiscard]] double value(std::string_view key) const { return values.value(key); }
};
[[nodiscard]] MaskMetrics measure_mask(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                                       const LayerInfo& layer, const MetricOptions& options = {});
// What measure_mask finds where the mask keeps everything, without looking.
[[nodiscard]] MaskMetrics metrics_of_dense(std::int64_t heads);
// `values`, and those of each head as "heads" [H].
void to_json(nlohmann::json& json, const MaskMetrics& metrics);

// Agreement of two logit tables [rows, vocab], accumulated block by block.
class LogitAgreement {
 public:
  void add(std::span<const float> dense, std::span<const float> sparse, std::int64_t vocab);
  [[nodiscard]] double mean_kl() const;   // KL(dense || sparse) in nats, mean over positions
  [[nodiscard]] double same_top() const;  // share of positions with the same top token
  [[nodiscard]] std::int64_t positions() const noexcept { return static_cast<std::int64_t>(kl_.size()); }
  // By position, in the order added.
  [[nodiscard]] std::span<const double> kl() const noexcept { return kl_; }
  [[nodiscard]] std::span<const double> same() const noexcept { return same_; }  // 1 or 0

 private:
  std::vector<double> kl_;
  std::vector<double> same_;
};

// Dense attention probabilities of chosen rows of one query head: out [rows.size(), L] float32.
void dense_rows(const HeadsView& q, const HeadsView& k, std::int64_t head, std::span<const std::int64_t> rows,
                const LayerInfo& layer, float* out);

// Importance alone.
[[nodiscard]] TokenImportance token_importance(const HeadsView& q, const HeadsView& k, const KeyMask& mask,
                                               const LayerInfo& layer, std::int64_t row_step = 1,
                                               const CancelToken* cancel = nullptr);

}  // namespace dhsa
