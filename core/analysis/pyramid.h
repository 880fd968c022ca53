// Level of detail for L x L matrices that are never built: a source yields, for any viewport and any number of pixels,
// the maximum and the mean of the cells behind each pixel. Masks are read from their key ranges, so that one kept cell
// shows at every zoom; scores and attention are read from reduced matrices, and exactly once the view is small enough.
//
// Rows are queries, keys are columns. Every cell of the view belongs to exactly one line of pixels when pixels are
// coarser than cells, and the cell under a pixel's centre is always among those the pixel stands for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/planner.h"

namespace dhsa {

// Part of the matrix that is looked at, in tokens; fractions allowed, cell (i, j) covers [i, i+1) x [j, j+1).
struct Viewport {
  double row_begin = 0;
  double row_end = 0;
  double key_begin = 0;
  double key_end = 0;
  bool operator==(const Viewport&) const = default;
};

enum class Reducer : std::uint8_t { kMax, kMean };

// One axis of a viewport cut into pixels: pixel p stands for the cells of span pixel_span[p], [edges[s], edges[s+1]).
// Where cells are wider than pixels several pixels share a span; -1 marks pixels outside [first, cells).
class AxisPartition {
 public:
  AxisPartition(double begin, double end, int pixels, std::int64_t first, std::int64_t cells);
  [[nodiscard]] int pixels() const noexcept { return static_cast<int>(pixel_span_.size()); }
  [[nodiscard]] int spans() const noexcept { return static_cast<int>(edges_.size()) - 1; }
  [[nodiscard]] int span_of_pixel(int pixel) const noexcept { return pixel_span_[static_cast<std::size_t>(pixel)]; }
  [[nodiscard]] std::int64_t begin(int span) const noexcept { return edges_[static_cast<std::size_t>(span)]; }
  [[nodiscard]] std::int64_t end(int span) const noexcept { return edges_[static_cast<std::size_t>(span) + 1]; }
  [[nodiscard]] std::int64_t first() const noexcept { return edges_.front(); }
  [[nodiscard]] std::int64_t last() const noexcept { return edges_.back(); }  // one past the last cell
  [[nodiscard]] int span_of_cell(std::int64_t cell) const noexcept;           // cell in [first(), last())
  [[nodiscard]] int first_pixel() const noexcept { return first_pixel_; }     // first inside; pixels() where none is
  [[nodiscard]] bool one_to_one() const noexcept { return one_to_one_; }      // one pixel per span

 private:
  std::vector<std::int32_t> pixel_span_;
  std::vector<std::int64_t> edges_;
  double cells_per_span_ = 1;
  int first_pixel_ = 0;
  bool one_to_one_ = true;
};

// Pairs with row in [row_begin, row_end), key in [key_begin, key_end), key <= row and, with a window, key > row -
// window.
[[nodiscard]] std::int64_t causal_cells(std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin,
                                        std::int64_t key_end, std::int64_t window) noexcept;

// Result of one sampling; all arrays [height, width], row-major. NaN: the pixel stands for no causal cell.
struct SampleGrid {
  int width = 0;
  int height = 0;
  std::vector<float> max;    // of a difference: the value of largest magnitude
  std::vector<float> mean;   // over causal cells; of a mask: density
  std::vector<float> cells;  // causal cells the pixel stands for
  // Cells one value was reduced over: those of a pixel or, where `exact` is false, of the reduced matrix if larger.
  double rows_per_value = 1;
  double keys_per_value = 1;
  bool exact = true;  // false: made from a reduced matrix whose blocks pixels may share
};

struct SampleOptions {
  std::int64_t skip_keys = 0;  // leave out the first n keys: they count as not causal
  bool refine = false;         // take the slow exact way where there is one (see MatrixSource::refines)
  const CancelToken* cancel = nullptr;
};

// A matrix over (query, key) to look at. Immutable: may be sampled from any thread.
class MatrixSource {
 public:
  enum class Kind : std::uint8_t { kMask, kScore, kProbability, kDifference };
  virtual ~MatrixSource() = default;
  [[nodiscard]] virtual Kind kind() const noexcept = 0;
  [[nodiscard]] virtual std::int64_t tokens() const noexcept = 0;
  // Exact value of one cell from the data, NaN where not causal.
  [[nodiscard]] virtual float at(std::int64_t row, std::int64_t key) const = 0;
  // Reuses the grid's memory. Fast (a frame's time) unless options.refine.
  virtual void sample(const Viewport& view, int width, int height, const SampleOptions& options,
                      SampleGrid& grid) const = 0;
  // Whether sampling with options.refine would show more than without.
  [[nodiscard]] virtual bool refines(const Viewport&, int, int) const { return false; }
  // The mask itself where this is one, with the list that is shown: comparisons are made on the pairs then.
  [[nodiscard]] virtual const KeyMask* mask() const noexcept { return nullptr; }
  [[nodiscard]] virtual int mask_head() const noexcept { return 0; }
};

// A matrix of block values with any edges, for example S_c over query groups and chunks.
struct ReducedMatrix {
  std::vector<std::int64_t> row_edges;  // [R + 1], ascending
  std::vector<std::int64_t> key_edges;  // [K + 1], ascending
  std::vector<float> max;               // [R, K]; NaN: no cell of the block counts
  std::vector<float> mean;              // [R, K]
  std::vector<float> cells;             // [R, K] cells that count
  bool causal = true;                   // false: whole blocks count, even above the diagonal
  std::int64_t window = 0;
  bool signed_values = false;   // max means largest magnitude
  bool uniform_blocks = false;  // every cell of a block has the block's value
  [[nodiscard]] std::int64_t rows() const noexcept { return static_cast<std::int64_t>(row_edges.size()) - 1; }
  [[nodiscard]] std::int64_t keys() const noexcept { return static_cast<std::int64_t>(key_edges.size()) - 1; }
  void sample(const Viewport& view, int width, int height, std::int64_t skip_keys, SampleGrid& grid) const;
};

// One list of a mask: max = any kept, mean = kept share of the causal cells. Exact at every zoom, from the key ranges:
// O(rows in view + ranges in view + pixels). Masks of very many ranges also keep a reduced matrix for the first glance.
class MaskSource : public MatrixSource {
 public:
  explicit MaskSource(std::shared_ptr<const KeyMask> mask, int head = 0, std::int64_t many_ranges = 1'000'000);
  [[nodiscard]] Kind kind() const noexcept override { return Kind::kMask; }
  [[nodiscard]] std::int64_t tokens() const noexcept override { return mask_->rows(); }
  [[nodiscard]] float at(std::int64_t row, std::int64_t key) const override;
  void sample(const Viewport& view, int width, int height, const SampleOptions& options,
              SampleGrid& grid) const override;
  [[nodiscard]] bool refines(const Viewport& view, int width, int height) const override;
  [[nodiscard]] const KeyMask* mask() const noexcept override { return mask_.get(); }
  [[nodiscard]] int mask_head() const noexcept override { return head_; }

 private:
  void sample_ranges(const Viewport& view, int width, int height, const SampleOptions& options, SampleGrid& grid) const;
  [[nodiscard]] std::int64_t ranges_in_rows(double row_begin, double row_end) const;
  std::shared_ptr<const KeyMask> mask_;
  int head_;
  std::int64_t many_ranges_;
  ReducedMatrix overview_;  // empty unless the list has many ranges
};

// S_c of one mask head, over tokens: block (g, c) covers the rows of group g and the keys of chunk c. With
// `upsampled` it is S_t: causality and the window are applied token by token.
class ScoreSource : public MatrixSource {
 public:
  // chunk_scores [N_q, N_c]; throws Error where the sizes do not fit.
  ScoreSource(std::span<const float> chunk_scores, std::span<const std::int32_t> group_rows,
              std::span<const std::int32_t> boundaries, bool upsampled, std::int64_t window = 0);
  [[nodiscard]] Kind kind() const noexcept override { return Kind::kScore; }
  [[nodiscard]] std::int64_t tokens() const noexcept override { return blocks_.row_edges.back(); }
  [[nodiscard]] float at(std::int64_t row, std::int64_t key) const override;
  void sample(const Viewport& view, int width, int height, const SampleOptions& options,
              SampleGrid& grid) const override;

 private:
  ReducedMatrix blocks_;
};
[[nodiscard]] std::shared_ptr<const MatrixSource> score_source(const Plan& plan, int mask_head, bool upsampled);

// Per key, how much the chunk scores promise it before anything is chosen: softmax of S_c over the chunks a query group
// can see, spread evenly over a chunk's tokens, averaged over groups and mask heads. [L], scaled so that the mean over
// keys is 1; empty where the plan has no scores.
[[nodiscard]] std::vector<float> predicted_importance(const Plan& plan);

// Dense and sparse attention probabilities of one layer, averaged over chosen query heads.
struct AttentionInput {
  HeadsView q;             // [H, L, D]
  HeadsView k;             // [Hkv, L, D]
  std::vector<int> heads;  // query heads to average over; one: that head alone
  LayerInfo layer;
  std::shared_ptr<const KeyMask> mask;  // may be null: dense only
  std::shared_ptr<const void> owner;    // keeps the data of q and k alive
};

// Normalisers of every row and block maxima and means of dense attention, of sparse attention (renormalised over the
// kept keys), of dense - sparse, and of dropped mass (dense where the mask is 0). Made in one pass over row blocks;
// memory O(row block * L + blocks^2).
class AttentionLevels {
 public:
  struct Options {
    std::int64_t blocks = 1024;    // most block rows; block columns are as many and `fine_keys` more
    std::int64_t fine_keys = 256;  // the first keys get columns of their own, so that sinks can be left out
    const CancelToken* cancel = nullptr;
    std::function<void(double)> progress;  // share done, called on the working thread
  };
  [[nodiscard]] static std::shared_ptr<const AttentionLevels> build(AttentionInput input, const Options& options);
  [[nodiscard]] static std::shared_ptr<const AttentionLevels> build(AttentionInput input);

  enum class What : std::uint8_t { kDense, kSparse, kDifference, kDropped };
  [[nodiscard]] const AttentionInput& input() const noexcept { return input_; }
  [[nodiscard]] std::int64_t tokens() const noexcept { return input_.q.rows; }
  [[nodiscard]] const ReducedMatrix& reduced(What what) const;
  [[nodiscard]] float at(What what, std::int64_t row, std::int64_t key) const;
  // Exact values of a rectangle, out [rows, keys]; NaN where not causal.
  void exact(What what, std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin, std::int64_t key_end,
             float* out, const CancelToken* cancel) const;
  [[nodiscard]] std::int64_t bytes() const noexcept;

 private:
  class Builder;
  AttentionInput input_;
  std::vector<float> dense_log_sum_;   // [heads, L] log of the softmax denominator
  std::vector<float> sparse_log_sum_;  // [heads, L], over kept keys; empty without a mask
  ReducedMatrix dense_, sparse_, difference_, dropped_;
};

// Throws Error where `what` needs a mask and the levels have none.
[[nodiscard]] std::shared_ptr<const MatrixSource> attention_source(std::shared_ptr<const AttentionLevels> levels,
                                                                   AttentionLevels::What what);

// Blocks of one head's dense attention or dropped mass from a few rows of each, drawn at random: for a glance at many
// heads at once. O(blocks * L) pairs; texts of few rows are looked at whole. `what`: kDense or kDropped.
[[nodiscard]] ReducedMatrix glance(const AttentionInput& input, AttentionLevels::What what, std::int64_t blocks,
                                   const CancelToken* cancel);
inline constexpr std::int64_t kGlanceRows = 2;  // of each block

// "max of 16×16 pairs" (queries × keys), "every pair", "share kept of 32×32 pairs": for the status line and for
// exports.
[[nodiscard]] std::string describe_reducer(Reducer reducer, MatrixSource::Kind kind, double rows_per_value,
                                           double keys_per_value);

}  // namespace dhsa
