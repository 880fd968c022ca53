#include "core/analysis/metrics.h"

#include <ATen/ops/addmm.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/analysis/dense_weights_internal.h"
#include "core/analysis/importance_internal.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

using namespace dense;

constexpr std::int64_t kStripes = 16;  // partial sums of column totals; fixed, so that threads do not change them

struct RowValues {
  double mass = 1;
  double oracle_mass = 1;
  std::int64_t intersection = 0;
  std::int64_t united = 0;
  double error = 0;  // squared norms
  double norm = 0;
};

// Against the `kept` largest weights of the row. Among equal weights the oracle takes those the mask kept.
void compare_with_oracle(const float* weights, std::int64_t count, std::int64_t kept,
                         const std::vector<KeyRange>& ranges, std::int64_t offset, double total,
                         std::vector<float>& sorted, RowValues& value) {
  sorted.assign(weights, weights + count);
  std::nth_element(sorted.begin(), sorted.begin() + (kept - 1), sorted.end(), std::greater<>());
  const float least = sorted[static_cast<std::size_t>(kept - 1)];
  value.oracle_mass = sum_of(sorted.data(), kept) / total;
  const std::int64_t above = std::count_if(sorted.begin(), sorted.begin() + kept, [&](float w) { return w > least; });
  std::int64_t kept_above = 0;
  std::int64_t kept_equal = 0;
  for (const KeyRange& range : ranges) {
    for (std::int64_t j = range.begin - offset; j < range.end - offset; ++j) {
      kept_above += weights[j] > least ? 1 : 0;
      kept_equal += weights[j] == least ? 1 : 0;
    }
  }
  value.intersection = kept_above + std::min(kept_equal, kept - above);
  value.united = 2 * kept - value.intersection;
}

// What the mask does to one block of rows of one head; values [rows of the block]. The block has as many spare rows
// where the output error is asked for.
void compare_block(const HeadsView& q, const HeadsView& v, const KeyMask& mask, const LayerInfo& layer,
                   const MetricOptions& options, std::int64_t head, std::span<const std::int64_t> rows,
                   WeightBlock& block, RowValues* values) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const int mask_head = mask.mask_head(head, q.heads);
  std::vector<KeyRange> ranges;
  std::vector<float> sorted;
  std::vector<double> kept_totals(static_cast<std::size_t>(count));
  for (std::int64_t r = 0; r < count; ++r) {
    RowValues& value = values[r];
    const float* weights = block.weights(r);
    mask.row_ranges(mask_head, rows[static_cast<std::size_t>(r)], ranges);
    const std::int64_t from = block.visible_begin(layer, r);
    const std::int64_t visible = block.visible_end(r) - from;
    std::int64_t kept = 0;
    double kept_total = 0;
    for (const KeyRange& range : ranges) {
      kept += range.size();
      kept_total += sum_of(weights + (range.begin - block.begin()), range.size());
    }
    if (kept == visible) kept_total = block.total(r);  // not a rounding below 1
    kept_totals[static_cast<std::size_t>(r)] = kept_total;
    value.mass = kept_total / block.total(r);
    value.intersection = value.united = kept;
    if (kept == 0) {
      value.oracle_mass = 0;
    } else if (options.oracle && kept < visible) {
      compare_with_oracle(weights + from, visible, kept, ranges, block.begin() + from, block.total(r), sorted, value);
    }
    if (options.output_error) {
      float* masked = block.weights(count + r);
      std::fill(masked, masked + block.width(), 0.0F);
      for (const KeyRange& range : ranges) {
        std::copy(weights + (range.begin - block.begin()), weights + (range.end - block.begin()),
                  masked + (range.begin - block.begin()));
      }
    }
  }
  if (!options.output_error) return;

  // Dense and masked weights lie under each other: one product gives both outputs.
  std::vector<float> output(static_cast<std::size_t>(2 * count * v.dim), 0.0F);
  at::Tensor out = matrix(output.data(), 2 * count, v.dim, v.dim);
  const std::int64_t kv_head = head / (q.heads / v.heads);
  std::vector<float> widened;
  for (std::int64_t at = 0; at < block.width(); at += kTileKeys) {
    const std::int64_t keys = std::min(kTileKeys, block.width() - at);
    at::addmm_out(out, out, matrix(block.weights(0) + at, 2 * count, keys, block.width()),
                  float_rows(v, kv_head, block.begin() + at, keys, widened));
  }
  for (std::int64_t r = 0; r < count; ++r) {
    const float* dense = output.data() + r * v.dim;
    const float* sparse = dense + count * v.dim;
    const double kept_total = kept_totals[static_cast<std::size_t>(r)];
    for (std::int64_t d = 0; d < v.dim; ++d) {
      const double is = kept_total > 0 ? sparse[d] / kept_total : 0.0;
      const double should = dense[d] / block.total(r);
      values[r].error += (is - should) * (is - should);
      values[r].norm += should * should;
    }
  }
}

// One pass over the dense rows for all that is asked for. Rows' values [heads][rows of the sample]; empty where the
// mask is not compared.
class Pass {
 public:
  Pass(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask, const LayerInfo& layer,
       const MetricOptions& options, const RowSample& sample, bool compare)
      : values(compare ? static_cast<std::size_t>(q.heads * sample.size()) : 0), received(q.rows) {
    const std::int64_t blocks = (sample.size() + kBlockRows - 1) / kBlockRows;
    const std::int64_t units = q.heads * blocks;
    std::vector<ReceivedMass> parts(options.importance ? kStripes : 0, received);
    const auto look = [&](std::int64_t unit, ReceivedMass* part) {
      const std::int64_t head = unit % q.heads;
      const std::int64_t block = blocks - 1 - unit / q.heads;  // longest rows first: all threads end together
      const std::span<const std::int64_t> rows = block_of(sample.rows, block);
      const bool spare = compare && options.output_error;
      WeightBlock weights(q, k, layer, head, rows, spare ? static_cast<std::int64_t>(rows.size()) : 0);
      if (compare) {
        compare_block(q, v, mask, layer, options, head, rows, weights,
                      values.data() + head * sample.size() + block * kBlockRows);
      }
      if (part == nullptr) return;
      for (std::int64_t r = 0; r < static_cast<std::int64_t>(rows.size()); ++r) {
        part->add(sample, static_cast<std::size_t>(block * kBlockRows + r), weights.weights(r), weights.begin(),
                  weights.begin() + weights.visible_begin(layer, r), weights.total(r));
      }
    };
    if (!options.importance) {
      parallel_for(
          units, [&](std::int64_t unit) { look(unit, nullptr); }, options.cancel);
      return;
    }
    parallel_for(
        kStripes,
        [&](std::int64_t stripe) {
          for (std::int64_t unit = stripe; unit < units; unit += kStripes) {
            if (options.cancel != nullptr) options.cancel->check();
            look(unit, &parts[static_cast<std::size_t>(stripe)]);
          }
        },
        options.cancel);
    for (const ReceivedMass& part : parts) received.add(part);
  }

  std::vector<RowValues> values;
  ReceivedMass received;
};

constexpr std::size_t kTailRows = 10;

// Values of rows and heads, and the means, ratios and tails of them with their errors.
class Figures {
 public:
  Figures(const std::vector<RowValues>& values, std::int64_t heads, const RowSample& sample)
      : values_(values), heads_(heads), sample_(sample) {}

  // Mean over rows of heads [begin, end).
  template <class Get>
  [[nodiscard]] Measured mean(std::int64_t begin, std::int64_t end, const Get& get) const {
    return sampled_mean(by_row(begin, end, get), sample_);
  }
  // Sum of `above` over sum of `below`, both over rows and heads; its error to first order.
  template <class Above, class Below>
  [[nodiscard]] Measured ratio(const Above& above, const Below& below) const {
    return ratio(0, heads_, above, below).first;
  }
  // Root of the same of one head, mean over heads [begin, end).
  template <class Above, class Below>
  [[nodiscard]] Measured root_ratio(std::int64_t begin, std::int64_t end, const Above& above,
                                    const Below& below) const {
    Measured mean;
    mean.value = 0;
    std::vector<double> influence(sample_.rows.size(), 0.0);
    const double share = 1.0 / static_cast<double>(end - begin);
    for (std::int64_t head = begin; head < end; ++head) {
      const auto [squared, influences] = ratio(head, head + 1, above, below);
      const double root = squared.value > 0 ? std::sqrt(squared.value) : 0;
      mean.value += share * root;
      if (root <= 0) continue;
      for (std::size_t r = 0; r < influence.size(); ++r) influence[r] += share * influences[r] / (2 * root);
    }
    return with_error(mean, influence);
  }
  // Mean of the lowest 1 % of all rows' and heads' values, at least one. No error is told where fewer than kTailRows of
  // the rows drawn hold it: the worst may well lie between them.
  template <class Get>
  [[nodiscard]] Measured lowest_hundredth(const Get& get) const {
    struct Entry {
      double value;
      double weight;
      std::size_t row;
      bool operator<(const Entry& other) const { return value < other.value; }
    };
    std::vector<Entry> lowest;
    double all = 0;
    for (std::int64_t head = 0; head < heads_; ++head) {
      for (std::size_t r = 0; r < sample_.rows.size(); ++r) {
        lowest.push_back({get(at(head, r)), sample_.weight(r), r});
        all += sample_.weight(r);
      }
    }
    const double wanted = std::max(1.0, std::floor(all / 100));
    const auto enough =
        std::min<std::size_t>(lowest.size(), static_cast<std::size_t>(wanted));  // weights are 1 or more
    std::partial_sort(lowest.begin(), lowest.begin() + static_cast<std::ptrdiff_t>(enough), lowest.end());
    double taken = 0;
    double sum = 0;
    double limit = 0;
    std::set<std::size_t> rows;
    for (std::size_t i = 0; i < enough && taken < wanted; ++i) {
      const double weight = std::min(lowest[i].weight, wanted - taken);
      limit = lowest[i].value;
      rows.insert(lowest[i].row);
      sum += weight * limit;
      taken += weight;
    }
    Measured tail;
    tail.value = sum / taken;
    tail = with_error(tail, by_row(0, heads_, [&](const RowValues& value) {
                        return std::min(0.0, get(value) - limit) * all / wanted;
                      }));
    if (tail.sampled() && rows.size() < kTailRows) tail.standard_error = std::numeric_limits<double>::quiet_NaN();
    return tail;
  }

 private:
  [[nodiscard]] const RowValues& at(std::int64_t head, std::size_t row) const {
    return values_[static_cast<std::size_t>(head * sample_.size()) + row];
  }
  template <class Get>
  [[nodiscard]] std::vector<double> by_row(std::int64_t begin, std::int64_t end, const Get& get) const {
    std::vector<double> rows(sample_.rows.size(), 0.0);
    for (std::int64_t head = begin; head < end; ++head) {
      for (std::size_t r = 0; r < rows.size(); ++r) rows[r] += get(at(head, r));
    }
    for (double& row : rows) row /= static_cast<double>(end - begin);
    return rows;
  }
  // With each row's influence on it. 1 where there is nothing to divide by.
  template <class Above, class Below>
  [[nodiscard]] std::pair<Measured, std::vector<double>> ratio(std::int64_t begin, std::int64_t end, const Above& above,
                                                               const Below& below) const {
    std::vector<double> influence = by_row(begin, end, above);
    const std::vector<double> divisors = by_row(begin, end, below);
    const double over = sampled_mean(influence, sample_).value;
    const double under = sampled_mean(divisors, sample_).value;
    Measured ratio;
    ratio.value = under > 0 ? over / under : 1.0;
    for (std::size_t r = 0; r < influence.size(); ++r) {
      influence[r] = under > 0 ? (influence[r] - ratio.value * divisors[r]) / under : 0.0;
    }
    return {with_error(ratio, influence), influence};
  }
  [[nodiscard]] Measured with_error(Measured value, std::span<const double> influence) const {
    value.row_step = sample_.step;
    value.rows = sample_.size();
    value.standard_error = standard_error(influence, sample_);
    return value;
  }

  const std::vector<RowValues>& values_;
  std::int64_t heads_;
  const RowSample& sample_;
};

// Texts and layers draw their rows independently of each other; all that looks at one layer of a text draws the same.
// At least four, if there are as many: from one no error can be told.
RowSample rows_of(std::int64_t begin, std::int64_t end, std::int64_t step, const LayerInfo& layer) {
  const std::int64_t most = std::max<std::int64_t>(1, (end - begin) / 4);
  return draw_rows(begin, end, std::min(step, most), layer.text + static_cast<std::uint64_t>(layer.index) + 1);
}

MaskMetrics figures_of(const std::vector<RowValues>& values, const KeyMask& mask, std::int64_t heads,
                       const RowSample& sample, const MetricOptions& options) {
  const Figures figures(values, heads, sample);
  const auto mass = [](const RowValues& value) { return value.mass; };
  const auto error = [](const RowValues& value) { return value.error; };
  const auto norm = [](const RowValues& value) { return value.norm; };
  MaskMetrics metrics;
  for (std::int64_t head = 0; head < heads; ++head) {
    Values& own = metrics.heads.emplace_back();
    own.set("retained_mass", figures.mean(head, head + 1, mass));
    if (options.output_error) own.set("output_error", figures.root_ratio(head, head + 1, error, norm));
  }
  std::vector<Measured> masses;
  for (const Values& head : metrics.heads) masses.push_back(head.at("retained_mass"));
  Measured density;
  density.value = mask.density();
  density.weight = static_cast<double>(mask.causal_pairs()) / mask.heads();
  metrics.values.set("density", density);
  metrics.values.set("retained_mass", figures.mean(0, heads, mass));
  metrics.values.set("worst_head_mass", lowest_of(masses));
  metrics.values.set("worst_rows_mass", figures.lowest_hundredth(mass));
  if (options.oracle) {
    metrics.values.set("of_oracle", figures.ratio(mass, [](const RowValues& value) { return value.oracle_mass; }));
    metrics.values.set("iou",
                       figures.ratio([](const RowValues& value) { return static_cast<double>(value.intersection); },
                                     [](const RowValues& value) { return static_cast<double>(value.united); }));
  }
  if (options.output_error) metrics.values.set("output_error", figures.root_ratio(0, heads, error, norm));
  return metrics;
}

// The dropped key of each of these rows that has most of its dense attention.
void find_lost_keys(const HeadsView& q, const HeadsView& k, const KeyMask& mask, const LayerInfo& layer,
                    std::span<LostRow> lost) {
  if (lost.empty()) return;
  std::vector<std::int64_t> rows;
  for (const LostRow& row : lost) rows.push_back(row.row);
  const int head = lost.front().head;
  WeightBlock block(q, k, layer, head, rows);
  std::vector<KeyRange> ranges;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto at = static_cast<std::int64_t>(r);
    const float* weights = block.weights(at);
    float most = -1;
    const auto look = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) {
        if (weights[j] <= most) continue;
        most = weights[j];
        lost[r].key = block.begin() + j;
      }
    };
    mask.row_ranges(mask.mask_head(head, q.heads), rows[r], ranges);
    std::int64_t dropped_from = block.visible_begin(layer, at);
    for (const KeyRange& range : ranges) {
      look(dropped_from, range.begin - block.begin());
      dropped_from = range.end - block.begin();
    }
    look(dropped_from, block.visible_end(at));
    lost[r].key_mass = static_cast<double>(most) / block.total(at);
  }
}

std::vector<LostRow> find_lost_rows(const HeadsView& q, const HeadsView& k, const KeyMask& mask, const LayerInfo& layer,
                                    const std::vector<RowValues>& values, const RowSample& sample,
                                    const MetricOptions& options) {
  const auto most =
      static_cast<std::size_t>(std::min(options.lost_rows, std::max<std::int64_t>(1, sample.size() / kBlockRows)));
  std::vector<std::vector<LostRow>> heads(static_cast<std::size_t>(q.heads));
  parallel_for(
      q.heads,
      [&](std::int64_t head) {
        std::vector<LostRow>& lost = heads[static_cast<std::size_t>(head)];
        for (std::size_t r = 0; r < sample.rows.size(); ++r) {
          const double dropped = 1 - values[static_cast<std::size_t>(head * sample.size()) + r].mass;
          if (dropped > 0) lost.push_back({static_cast<int>(head), sample.rows[r], dropped, 0, 0});
        }
        const auto end = lost.begin() + static_cast<std::ptrdiff_t>(std::min(most, lost.size()));
        std::partial_sort(lost.begin(), end, lost.end(), [](const LostRow& a, const LostRow& b) {
          return a.dropped_mass != b.dropped_mass ? a.dropped_mass > b.dropped_mass : a.row < b.row;
        });
        lost.erase(end, lost.end());
        find_lost_keys(q, k, mask, layer, lost);
      },
      options.cancel);
  std::vector<LostRow> all;
  for (const std::vector<LostRow>& lost : heads) all.insert(all.end(), lost.begin(), lost.end());
  return all;
}

}  // namespace

MaskMetrics measure_mask(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                         const LayerInfo& layer, const MetricOptions& options) {
  check_shapes(q, k, layer);
  if (mask.rows() != q.rows || q.heads % mask.heads() != 0) {
    throw Error(fmt::format("Layer {}: a mask of {} rows and {} heads does not fit queries of {} rows and {} heads.",
                            layer.index, mask.rows(), mask.heads(), q.rows, q.heads));
  }
  const std::int64_t row_end = options.row_end > 0 ? std::min(options.row_end, q.rows) : q.rows;
  const std::int64_t row_begin = std::max<std::int64_t>(0, options.row_begin);
  if (options.row_step < 1 || row_begin >= row_end) {
    throw Error(
        fmt::format("Mask metrics need a row step of at least 1 and rows inside 0..{}; got step {}, rows {}..{}.",
                    q.rows, options.row_step, options.row_begin, options.row_end));
  }
  if (options.importance && row_end - row_begin < q.rows) {
    throw Error(fmt::format("Layer {}: the importance of tokens is of all rows.", layer.index));
  }
  const RowSample sample = rows_of(row_begin, row_end, options.row_step, layer);
  const Pass pass(q, k, v, mask, layer, options, sample, true);
  MaskMetrics metrics = figures_of(pass.values, mask, q.heads, sample, options);
  if (options.importance) {
    metrics.importance = {pass.received.mean(q.heads, layer.window), retention_of(mask), sample.step};
  }
  if (options.lost_rows > 0) {
    metrics.lost_rows = find_lost_rows(q, k, mask, layer, pass.values, sample, options);
  }
  return metrics;
}

TokenImportance token_importance(const HeadsView& q, const HeadsView& k, const KeyMask& mask, const LayerInfo& layer,
                                 std::int64_t row_step, const CancelToken* cancel) {
  check_shapes(q, k, layer);
  if (mask.rows() != q.rows || row_step < 1) {
    throw Error(fmt::format("Layer {}: token importance needs a mask of {} rows (got {}) and a row step of at least 1.",
                            layer.index, q.rows, mask.rows()));
  }
  MetricOptions options;
  options.importance = true;
  options.cancel = cancel;
  const RowSample sample = rows_of(0, q.rows, row_step, layer);
  const Pass pass(q, k, k, mask, layer, options, sample, false);
  return {pass.received.mean(q.heads, layer.window), retention_of(mask), sample.step};
}

MaskMetrics metrics_of_dense(std::int64_t heads) {
  MaskMetrics metrics;
  for (const char* share : {"density", "retained_mass", "worst_head_mass", "worst_rows_mass", "of_oracle", "iou"}) {
    metrics.values.set(share, 1.0);
  }
  metrics.values.set("output_error", 0.0);
  Values head;
  head.set("retained_mass", 1.0);
  head.set("output_error", 0.0);
  metrics.heads.assign(static_cast<std::size_t>(heads), head);
  return metrics;
}

void to_json(nlohmann::json& json, const MaskMetrics& metrics) {
  to_json(json, metrics.values);
  json["heads"] = metrics.heads;
}

void LogitAgreement::add(std::span<const float> dense, std::span<const float> sparse, std::int64_t vocab) {
  const auto width = static_cast<std::size_t>(vocab);
  if (vocab < 1 || dense.size() != sparse.size() || dense.size() % width != 0) {
    throw Error(fmt::format("Logit tables of {} and {} values over a vocabulary of {} cannot be compared.",
                            dense.size(), sparse.size(), vocab));
  }
  const auto rows = static_cast<std::int64_t>(dense.size() / width);
  std::vector<double> divergence(static_cast<std::size_t>(rows));
  std::vector<char> same(static_cast<std::size_t>(rows));
  parallel_for(rows, [&](std::int64_t row) {
    const float* p = dense.data() + row * vocab;
    const float* s = sparse.data() + row * vocab;
    const float p_top = largest_of(p, vocab);
    const float s_top = largest_of(s, vocab);
    double p_sum = 0;
    double s_sum = 0;
    double weighted = 0;  // sum of exp(p - top) ((p - top) - (s - top))
    for (std::int64_t t = 0; t < vocab; ++t) {
      const double a = static_cast<double>(p[t]) - p_top;
      const double b = static_cast<double>(s[t]) - s_top;
      const double e = std::exp(a);
      p_sum += e;
      s_sum += std::exp(b);
      if (e > 0) weighted += e * (a - b);
    }
    divergence[static_cast<std::size_t>(row)] = weighted / p_sum - std::log(p_sum) + std::log(s_sum);
    same[static_cast<std::size_t>(row)] =
        std::max_element(p, p + vocab) - p == std::max_element(s, s + vocab) - s ? 1 : 0;
  });
  for (std::size_t row = 0; row < divergence.size(); ++row) {
    kl_.push_back(std::max(0.0, divergence[row]));  // a rounding below zero is none
    same_.push_back(same[row]);
  }
}

double LogitAgreement::mean_kl() const {
  return kl_.empty() ? 0.0 : std::accumulate(kl_.begin(), kl_.end(), 0.0) / static_cast<double>(kl_.size());
}

double LogitAgreement::same_top() const {
  return same_.empty() ? 1.0 : std::accumulate(same_.begin(), same_.end(), 0.0) / static_cast<double>(same_.size());
}

}  // namespace dhsa
