// Dense and sparse attention as matrices to look at: one streaming pass over row blocks, then exact tiles on demand.
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/analysis/pyramid.h"
#include "core/analysis/pyramid_internal.h"
#include "core/base/parallel.h"

namespace dhsa {

namespace {

constexpr std::int64_t kBatchRows = 128;
constexpr std::int64_t kTileCells = 6'000'000;  // largest view that is computed exactly: some tens of MB

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// Contiguous float32 copy of rows [begin, end) of one head.
std::vector<float> load_rows(const HeadsView& view, std::int64_t head, std::int64_t begin, std::int64_t end) {
  std::vector<float> rows(index((end - begin) * view.dim));
  for (std::int64_t i = begin; i < end; ++i) view.load_row(head, i, rows.data() + (i - begin) * view.dim);
  return rows;
}

// Scores after scale and softcap, [rows, keys].
at::Tensor scores(std::vector<float>& q, std::int64_t rows, float* k, std::int64_t keys, std::int64_t dim,
                  const LayerInfo& layer) {
  const at::Tensor queries = at::from_blob(q.data(), {rows, dim});
  const at::Tensor columns = at::from_blob(k, {keys, dim});
  at::Tensor s = at::matmul(queries, columns.t());
  if (layer.softcap > 0) {
    s.mul_(layer.scale / layer.softcap).tanh_().mul_(layer.softcap);
  } else {
    s.mul_(layer.scale);
  }
  return s;
}

// Largest score and log of the sum of exponentials over [begin, end).
struct LogSum {
  float most = -std::numeric_limits<float>::infinity();
  double sum = 0;
  void meet(const float* begin, const float* end) {
    for (const float* s = begin; s < end; ++s) most = std::max(most, *s);
  }
  void add(const float* begin, const float* end) {
    for (const float* s = begin; s < end; ++s) sum += std::exp(*s - most);
  }
  [[nodiscard]] float value() const { return most + static_cast<float>(std::log(sum)); }
};

std::vector<std::int64_t> block_edges(std::int64_t tokens, std::int64_t block, std::int64_t fine) {
  std::vector<std::int64_t> edges;
  for (std::int64_t i = 0; i < std::min(fine, tokens); ++i) edges.push_back(i);
  for (std::int64_t i = std::min(fine, tokens); i < tokens; i = (i / block + 1) * block) edges.push_back(i);
  edges.push_back(tokens);
  return edges;
}

}  // namespace

class AttentionLevels::Builder {
 public:
  Builder(AttentionLevels& levels, const Options& options) : levels_(levels), input_(levels.input_), options_(options) {
    const std::int64_t tokens = input_.q.rows;
    block_ = std::max<std::int64_t>(1, (tokens + options.blocks - 1) / options.blocks);
    const bool sparse = input_.mask != nullptr;
    const auto heads = static_cast<std::int64_t>(input_.heads.size());
    levels_.dense_log_sum_.resize(index(heads * tokens));
    if (sparse) levels_.sparse_log_sum_.resize(index(heads * tokens));
    prepare(levels_.dense_);
    if (sparse) {
      prepare(levels_.sparse_);
      prepare(levels_.difference_);
      prepare(levels_.dropped_);
      levels_.difference_.signed_values = true;
    }
  }

  void run() {
    const std::int64_t tokens = input_.q.rows;
    const std::int64_t window = input_.layer.window;
    // Whole blocks per batch, so that batches never meet in a block.
    const std::int64_t batch = std::max<std::int64_t>(1, kBatchRows / block_) * block_;
    std::vector<float> dense, sparse, dropped;
    for (std::int64_t begin = 0; begin < tokens; begin += batch) {
      if (options_.cancel != nullptr) options_.cancel->check();
      const std::int64_t end = std::min(begin + batch, tokens);
      const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, begin - window + 1) : 0;
      const std::int64_t keys = end - first;
      dense.assign(index((end - begin) * keys), 0.0F);
      sparse.assign(input_.mask ? dense.size() : 0, 0.0F);
      dropped.assign(sparse.size(), 0.0F);
      for (std::size_t h = 0; h < input_.heads.size(); ++h) add_head(h, begin, end, first, dense, sparse, dropped);
      reduce(begin, end, first, dense, sparse, dropped);
      // A row's work grows with its place.
      const double share = static_cast<double>(end) / static_cast<double>(tokens);
      if (options_.progress) options_.progress(window > 0 ? share : share * share);
    }
  }

 private:
  void prepare(ReducedMatrix& matrix) const {
    const std::int64_t tokens = input_.q.rows;
    matrix.row_edges = block_edges(tokens, block_, 0);
    matrix.key_edges = block_edges(tokens, block_, block_ > 1 ? options_.fine_keys : 0);
    matrix.window = input_.layer.window;
    const std::size_t size = index(matrix.rows() * matrix.keys());
    matrix.max.assign(size, kNotCausal);
    matrix.mean.assign(size, kNotCausal);
    matrix.cells.assign(size, 0.0F);
  }

  // Probabilities of one head, over the number of heads, added to all three [end - begin, end - first].
  void add_head(std::size_t h, std::int64_t begin, std::int64_t end, std::int64_t first, std::vector<float>& dense,
                std::vector<float>& sparse, std::vector<float>& dropped) {
    const int head = input_.heads[h];
    const std::int64_t kv_head = head / (input_.q.heads / input_.k.heads);
    if (kv_head != loaded_) {
      keys_ = load_rows(input_.k, kv_head, 0, input_.k.rows);
      loaded_ = kv_head;
    }
    const std::int64_t keys = end - first;
    std::vector<float> q = load_rows(input_.q, head, begin, end);
    const at::Tensor s = scores(q, end - begin, keys_.data() + first * input_.k.dim, keys, input_.k.dim, input_.layer);
    const float* data = s.data_ptr<float>();
    const float weight = 1.0F / static_cast<float>(input_.heads.size());
    const std::int64_t tokens = input_.q.rows;
    float* dense_sums = levels_.dense_log_sum_.data() + static_cast<std::int64_t>(h) * tokens;
    float* sparse_sums = input_.mask ? levels_.sparse_log_sum_.data() + static_cast<std::int64_t>(h) * tokens : nullptr;
    parallel_for(
        end - begin,
        [&](std::int64_t r) {
          const std::int64_t row = begin + r;
          const float* line = data + r * keys;  // line[j - first]
          const std::int64_t low = visible(row);
          LogSum all;
          all.meet(line + (low - first), line + (row + 1 - first));
          all.add(line + (low - first), line + (row + 1 - first));
          dense_sums[row] = all.value();
          float* out = dense.data() + r * keys;
          std::int64_t at = low - first;
          const auto add_until = [&](std::int64_t stop, float* also) {
            for (; at < stop; ++at) {
              const float p = weight * std::exp(line[at] - dense_sums[row]);
              out[at] += p;
              if (also != nullptr) also[at] += p;
            }
          };
          if (sparse_sums == nullptr) {
            add_until(row + 1 - first, nullptr);
            return;
          }
          std::vector<KeyRange> ranges;
          input_.mask->row_ranges(input_.mask->mask_head(head, input_.q.heads), row, ranges);
          float* lost = dropped.data() + r * keys;
          for (const KeyRange& range : ranges) {
            add_until(range.begin - first, lost);
            add_until(range.end - first, nullptr);
          }
          add_until(row + 1 - first, lost);
          LogSum kept;
          for (const KeyRange& range : ranges) kept.meet(line + (range.begin - first), line + (range.end - first));
          for (const KeyRange& range : ranges) kept.add(line + (range.begin - first), line + (range.end - first));
          sparse_sums[row] = kept.value();
          out = sparse.data() + r * keys;
          for (const KeyRange& range : ranges)
            for (std::int64_t j = range.begin - first; j < range.end - first; ++j)
              out[j] += weight * std::exp(line[j] - sparse_sums[row]);
        },
        options_.cancel);
  }

  void reduce(std::int64_t begin, std::int64_t end, std::int64_t first, const std::vector<float>& dense,
              const std::vector<float>& sparse, const std::vector<float>& dropped) {
    const std::int64_t keys = end - first;
    const std::int64_t columns = levels_.dense_.keys();
    const auto& key_edges = levels_.dense_.key_edges;
    const std::int64_t first_column =
        std::upper_bound(key_edges.begin(), key_edges.end(), first) - key_edges.begin() - 1;
    parallel_for((end - begin + block_ - 1) / block_, [&](std::int64_t b) {
      const std::int64_t from = begin + b * block_;
      const std::int64_t to = std::min(from + block_, end);
      std::vector<double> dense_sum(index(columns)), sparse_sum(index(columns)), dropped_sum(index(columns));
      const std::int64_t base = from / block_ * columns;
      for (std::int64_t row = from; row < to; ++row) {
        const float* p = dense.data() + (row - begin) * keys;
        const float* s = input_.mask ? sparse.data() + (row - begin) * keys : nullptr;
        const float* lost = input_.mask ? dropped.data() + (row - begin) * keys : nullptr;
        for (std::int64_t c = first_column; c < columns && key_edges[index(c)] <= row; ++c) {
          const std::int64_t low = std::max(key_edges[index(c)], visible(row));
          const std::int64_t high = std::min(key_edges[index(c) + 1], row + 1);
          if (low >= high) continue;
          float most = 0;
          float sparse_most = 0;
          float difference = 0;
          float most_lost = 0;
          for (std::int64_t j = low - first; j < high - first; ++j) {
            most = std::max(most, p[j]);
            dense_sum[index(c)] += static_cast<double>(p[j]);
            if (s == nullptr) continue;
            sparse_most = std::max(sparse_most, s[j]);
            sparse_sum[index(c)] += static_cast<double>(s[j]);
            const float d = p[j] - s[j];
            if (std::abs(d) > std::abs(difference)) difference = d;
            most_lost = std::max(most_lost, lost[j]);
            dropped_sum[index(c)] += static_cast<double>(lost[j]);
          }
          const std::size_t at = index(base + c);
          levels_.dense_.max[at] = std::fmax(levels_.dense_.max[at], most);
          levels_.dense_.cells[at] += static_cast<float>(high - low);
          if (s == nullptr) continue;
          levels_.sparse_.max[at] = std::fmax(levels_.sparse_.max[at], sparse_most);
          levels_.dropped_.max[at] = std::fmax(levels_.dropped_.max[at], most_lost);
          float& extreme = levels_.difference_.max[at];
          if (std::isnan(extreme) || std::abs(difference) > std::abs(extreme)) extreme = difference;
        }
      }
      for (std::int64_t c = first_column; c < columns; ++c) {
        const std::size_t at = index(base + c);
        const float cells = levels_.dense_.cells[at];
        if (cells <= 0) continue;
        levels_.dense_.mean[at] = static_cast<float>(dense_sum[index(c)] / static_cast<double>(cells));
        if (!input_.mask) continue;
        levels_.sparse_.cells[at] = levels_.difference_.cells[at] = levels_.dropped_.cells[at] = cells;
        levels_.dropped_.mean[at] = static_cast<float>(dropped_sum[index(c)] / static_cast<double>(cells));
        levels_.sparse_.mean[at] = static_cast<float>(sparse_sum[index(c)] / static_cast<double>(cells));
        levels_.difference_.mean[at] = levels_.dense_.mean[at] - levels_.sparse_.mean[at];
      }
    });
  }

  [[nodiscard]] std::int64_t visible(std::int64_t row) const {
    const std::int64_t window = input_.layer.window;
    return window > 0 ? std::max<std::int64_t>(0, row - window + 1) : 0;
  }

  AttentionLevels& levels_;
  const AttentionInput& input_;
  const Options& options_;
  std::int64_t block_ = 1;
  std::vector<float> keys_;  // [L, D] of kv head loaded_
  std::int64_t loaded_ = -1;
};

std::shared_ptr<const AttentionLevels> AttentionLevels::build(AttentionInput input) {
  return build(std::move(input), Options{});
}

std::shared_ptr<const AttentionLevels> AttentionLevels::build(AttentionInput input, const Options& options) {
  if (input.q.rows <= 0 || input.k.rows != input.q.rows || input.q.dim != input.k.dim || input.k.heads <= 0 ||
      input.q.heads % input.k.heads != 0)
    throw Error("Queries and keys do not fit each other, so their attention cannot be shown.");
  if (input.heads.empty()) throw Error("Choose at least one head to show the attention of.");
  for (const int head : input.heads)
    if (head < 0 || head >= input.q.heads)
      throw Error(fmt::format("There is no head {}: the layer has {} query heads.", head, input.q.heads));
  if (input.mask && (input.mask->rows() != input.q.rows || input.mask->window() != input.layer.window))
    throw Error("The mask was made for another document or layer than the attention.");
  const c10::InferenceMode no_autograd;
  auto levels = std::make_shared<AttentionLevels>();
  levels->input_ = std::move(input);
  Builder(*levels, options).run();
  return levels;
}

const ReducedMatrix& AttentionLevels::reduced(What what) const {
  return what == What::kDense     ? dense_
         : what == What::kSparse  ? sparse_
         : what == What::kDropped ? dropped_
                                  : difference_;
}

std::int64_t AttentionLevels::bytes() const noexcept {
  std::size_t floats = dense_log_sum_.size() + sparse_log_sum_.size();
  for (const ReducedMatrix* m : {&dense_, &sparse_, &difference_, &dropped_}) floats += 3 * m->max.size();
  return static_cast<std::int64_t>(floats * sizeof(float));
}

float AttentionLevels::at(What what, std::int64_t row, std::int64_t key) const {
  const std::int64_t window = input_.layer.window;
  if (row < 0 || row >= tokens() || key < 0 || key > row || (window > 0 && key <= row - window)) return kNotCausal;
  std::vector<float> q(index(input_.q.dim)), k(index(input_.q.dim));
  double value = 0;
  for (std::size_t h = 0; h < input_.heads.size(); ++h) {
    const int head = input_.heads[h];
    input_.q.load_row(head, row, q.data());
    input_.k.load_row(head / (input_.q.heads / input_.k.heads), key, k.data());
    double s = 0;
    for (std::size_t d = 0; d < q.size(); ++d) s += static_cast<double>(q[d]) * static_cast<double>(k[d]);
    s *= static_cast<double>(input_.layer.scale);
    const auto cap = static_cast<double>(input_.layer.softcap);
    if (cap > 0) s = cap * std::tanh(s / cap);
    const std::size_t at = h * index(tokens()) + index(row);
    const bool kept = what != What::kDense && input_.mask->kept(input_.mask->mask_head(head, input_.q.heads), row, key);
    if (what != What::kSparse && !(kept && what == What::kDropped))
      value += std::exp(s - static_cast<double>(dense_log_sum_[at]));
    if (kept && what != What::kDropped)
      value += (what == What::kSparse ? 1 : -1) * std::exp(s - static_cast<double>(sparse_log_sum_[at]));
  }
  return static_cast<float>(value / static_cast<double>(input_.heads.size()));
}

void AttentionLevels::exact(What what, std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin,
                            std::int64_t key_end, float* out, const CancelToken* cancel) const {
  const c10::InferenceMode no_autograd;
  const std::int64_t keys = key_end - key_begin;
  const std::int64_t window = input_.layer.window;
  std::fill_n(out, (row_end - row_begin) * keys, 0.0F);
  std::vector<float> k;
  std::int64_t loaded = -1;
  const float weight = 1.0F / static_cast<float>(input_.heads.size());
  for (std::size_t h = 0; h < input_.heads.size(); ++h) {
    const int head = input_.heads[h];
    const std::int64_t kv_head = head / (input_.q.heads / input_.k.heads);
    if (kv_head != loaded) k = load_rows(input_.k, kv_head, key_begin, key_end);
    loaded = kv_head;
    for (std::int64_t begin = row_begin; begin < row_end; begin += kBatchRows) {
      if (cancel != nullptr) cancel->check();
      const std::int64_t end = std::min(begin + kBatchRows, row_end);
      std::vector<float> q = load_rows(input_.q, head, begin, end);
      const at::Tensor s = scores(q, end - begin, k.data(), keys, input_.k.dim, input_.layer);
      const float* data = s.data_ptr<float>();
      parallel_for(end - begin, [&](std::int64_t r) {
        const std::int64_t row = begin + r;
        const float* line = data + r * keys;
        float* to = out + (row - row_begin) * keys;
        const std::int64_t low = window > 0 ? std::max(key_begin, row - window + 1) : key_begin;
        const std::size_t at = h * index(tokens()) + index(row);
        const auto add_dense = [&](std::int64_t from, std::int64_t to_key) {
          for (std::int64_t j = std::max(from, low); j < std::min(to_key, key_end); ++j)
            to[j - key_begin] += weight * std::exp(line[j - key_begin] - dense_log_sum_[at]);
        };
        std::vector<KeyRange> ranges;
        if (what != What::kDense) input_.mask->row_ranges(input_.mask->mask_head(head, input_.q.heads), row, ranges);
        if (what == What::kDropped) {
          std::int64_t from = low;
          for (const KeyRange& range : ranges) {
            add_dense(from, range.begin);
            from = range.end;
          }
          add_dense(from, row + 1);
        } else if (what != What::kSparse) {
          add_dense(low, row + 1);
        }
        if (what == What::kSparse || what == What::kDifference) {
          const float sign = what == What::kSparse ? weight : -weight;
          for (const KeyRange& range : ranges)
            for (std::int64_t j = std::max<std::int64_t>(range.begin, key_begin);
                 j < std::min<std::int64_t>(range.end, key_end); ++j)
              to[j - key_begin] += sign * std::exp(line[j - key_begin] - sparse_log_sum_[at]);
        }
        for (std::int64_t j = key_begin; j < key_end; ++j)
          if (j > row || (window > 0 && j <= row - window)) to[j - key_begin] = kNotCausal;
      });
    }
  }
}

namespace {

class AttentionSource : public MatrixSource {
 public:
  AttentionSource(std::shared_ptr<const AttentionLevels> levels, AttentionLevels::What what)
      : levels_(std::move(levels)), what_(what) {}
  [[nodiscard]] Kind kind() const noexcept override {
    return what_ == AttentionLevels::What::kDifference ? Kind::kDifference : Kind::kProbability;
  }
  [[nodiscard]] std::int64_t tokens() const noexcept override { return levels_->tokens(); }
  [[nodiscard]] float at(std::int64_t row, std::int64_t key) const override { return levels_->at(what_, row, key); }

  [[nodiscard]] bool refines(const Viewport& view, int width, int height) const override {
    const ReducedMatrix& blocks = levels_->reduced(what_);
    const auto block = static_cast<double>(blocks.row_edges.size() > 2 ? blocks.row_edges[1] : 1);
    if (block <= 1) return false;
    const double rows = view.row_end - view.row_begin;
    const double keys = view.key_end - view.key_begin;
    return (rows / height < block || keys / width < block) && rows * keys <= static_cast<double>(kTileCells);
  }

  void sample(const Viewport& view, int width, int height, const SampleOptions& options,
              SampleGrid& grid) const override {
    const ReducedMatrix& blocks = levels_->reduced(what_);
    if (!options.refine || !refines(view, width, height)) {
      blocks.sample(view, width, height, options.skip_keys, grid);
      grid.exact = blocks.row_edges.size() <= 2 || blocks.row_edges[1] == 1;
      return;
    }
    start_grid(view, width, height, grid);
    const AxisPartition rows(view.row_begin, view.row_end, height, 0, tokens());
    const AxisPartition columns(view.key_begin, view.key_end, width, options.skip_keys, tokens());
    const std::int64_t keys = columns.last() - columns.first();
    std::vector<float> tile(index(std::max<std::int64_t>(0, (rows.last() - rows.first()) * keys)));
    if (!tile.empty())
      levels_->exact(what_, rows.first(), rows.last(), columns.first(), columns.last(), tile.data(), options.cancel);
    fill_grid(rows, columns, grid, options.cancel, [&](int span, float* max, float* mean, float* cells) {
      count_causal(columns, rows.begin(span), rows.end(span), levels_->input().layer.window, cells);
      for (int c = 0; c < columns.spans(); ++c) {
        float most = kNotCausal;
        double sum = 0;
        for (std::int64_t i = rows.begin(span); i < rows.end(span); ++i) {
          const float* line = tile.data() + (i - rows.first()) * keys - columns.first();
          for (std::int64_t j = columns.begin(c); j < columns.end(c); ++j) {
            if (std::isnan(line[j])) continue;
            if (std::isnan(most) || std::abs(line[j]) > std::abs(most)) most = line[j];
            sum += static_cast<double>(line[j]);
          }
        }
        max[c] = most;
        mean[c] = cells[c] > 0 ? static_cast<float>(sum / static_cast<double>(cells[c])) : kNotCausal;
      }
    });
  }

 private:
  std::shared_ptr<const AttentionLevels> levels_;
  AttentionLevels::What what_;
};

}  // namespace

std::shared_ptr<const MatrixSource> attention_source(std::shared_ptr<const AttentionLevels> levels,
                                                     AttentionLevels::What what) {
  if (!levels) throw Error("There is no attention to show yet.");
  if (what != AttentionLevels::What::kDense && !levels->input().mask)
    throw Error("Sparse attention and dropped mass need a mask, and none was given.");
  return std::make_shared<AttentionSource>(std::move(levels), what);
}

}  // namespace dhsa
