#include "core/sparsity/token_refinement.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace dhsa {
TokenRefinement::TokenRefinement(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t heads,
                                 const ScoredRows& rows)
    : q_(q), layer_(layer), per_mask_(q.heads / heads), per_kv_(q.heads / k.heads), rows_(rows) {
  for (std::int64_t h = 0; h < k.heads; ++h) keys_.push_back(PackedRows::of(k, h));
}

TokenRefinement::Pass::Pass(const TokenRefinement& owner, std::int64_t mask_head)
    : owner_(owner),
      mask_head_(mask_head),
      estimates_(static_cast<std::size_t>(padded_columns(owner.q_.rows)), 0.0F),
      before_(estimates_.size(), 0.0F) {}

void TokenRefinement::Pass::estimate(std::int64_t row_begin, std::int64_t row_end,
                                     std::span<const KeyRange> candidates) {
  const RowKernels& kernels = row_kernels();
  const HeadsView& q = owner_.q_;
  for (const KeyRange& span : before_spans_) std::fill_n(before_.begin() + span.begin, span.size(), 0.0F);
  std::swap(before_, estimates_);
  std::swap(before_spans_, spans_);
  candidates_.assign(candidates.begin(), candidates.end());
  spans_.clear();
  std::int64_t width = 0;
  for (const KeyRange& range : candidates) {
    const auto begin = static_cast<std::int32_t>(range.begin / kTileColumns * kTileColumns);
    const auto end = static_cast<std::int32_t>(padded_columns(range.end));
    if (!spans_.empty() && begin <= spans_.back().end) {
      spans_.back().end = std::max(spans_.back().end, end);
    } else {
      spans_.push_back({begin, end});
    }
  }
  for (const KeyRange& span : spans_) width += span.size();

  std::vector<std::int64_t> rows = owner_.rows_.of_group(row_begin, row_end, q.rows);
  const bool mean_query = rows.empty();
  if (mean_query) rows.push_back(row_end - 1);  // it sees what the last row sees
  const auto count = static_cast<std::int64_t>(rows.size());
  const float share = 1.0F / static_cast<float>(count * owner_.per_mask_);
  constexpr std::int64_t kRows = 16;  // at a time
  logits_.resize(static_cast<std::size_t>(std::min(count, kRows) * width));
  queries_.resize(static_cast<std::size_t>(std::min(count, kRows) * q.dim));
  for (std::int64_t h = mask_head_ * owner_.per_mask_; h < (mask_head_ + 1) * owner_.per_mask_; ++h) {
    for (std::int64_t first_row = 0; first_row < count; first_row += kRows) {
      const std::int64_t n = std::min(kRows, count - first_row);
      if (mean_query) {
        std::vector<float> row(static_cast<std::size_t>(q.dim));
        std::fill(queries_.begin(), queries_.end(), 0.0F);
        for (std::int64_t i = row_begin; i < row_end; ++i) {
          q.load_row(h, i, row.data());
          kernels.add_scaled(queries_.data(), row.data(), q.dim, 1.0F / static_cast<float>(row_end - row_begin));
        }
      } else {
        for (std::int64_t r = 0; r < n; ++r) {
          q.load_row(h, rows[static_cast<std::size_t>(first_row + r)], queries_.data() + r * q.dim);
        }
      }
      std::int64_t at = 0;
      for (const KeyRange& span : spans_) {
        owner_.keys_[static_cast<std::size_t>(h / owner_.per_kv_)].multiply(queries_.data(), n, q.dim, span.begin,
                                                                            span.end, logits_.data() + at, width);
        at += span.size();
      }
      for (std::int64_t r = 0; r < n; ++r) {
        add_softmax(rows[static_cast<std::size_t>(first_row + r)], logits_.data() + r * width, width, share);
      }
    }
  }
  for (const KeyRange& span : spans_) {
    kernels.add_scaled(estimates_.data() + span.begin, before_.data() + span.begin, span.size(), kCarry);
  }
}

// One row's logits over the spans become its share of the estimates.
void TokenRefinement::Pass::add_softmax(std::int64_t row, float* z, std::int64_t width, float share) {
  const RowKernels& kernels = row_kernels();
  const LayerInfo& layer = owner_.layer_;
  const std::int64_t see = layer.window > 0 ? std::max<std::int64_t>(0, row - layer.window + 1) : 0;
  kernels.scale_softcap(z, width, layer.scale, layer.softcap);
  // What the row does not see lies at both ends of the spans.
  std::int64_t first = 0;
  std::int64_t last = 0;
  for (const KeyRange& span : spans_) {
    first += std::clamp<std::int64_t>(see - span.begin, 0, span.size());
    last += std::clamp<std::int64_t>(row + 1 - span.begin, 0, span.size());
  }
  std::fill(z, z + first, 0.0F);
  std::fill(z + last, z + width, 0.0F);
  if (last <= first) return;
  const float sum = kernels.exp_sum(z + first, last - first, kernels.largest(z + first, last - first));
  std::int64_t from = 0;
  for (const KeyRange& span : spans_) {
    kernels.add_scaled(estimates_.data() + span.begin, z + from, span.size(), share / sum);
    from += span.size();
  }
}

namespace {

// The n-th largest of values >= 0, and how many are larger. By the upper bits first: few values are left to sort.
struct Bar {
  float value = -1.0F;
  std::int64_t above = 0;
};
Bar nth_largest(std::vector<float>& values, std::int64_t n) {
  constexpr int kShift = 20;  // exponent and three bits of the mantissa: bits of floats >= 0 are in their order
  const auto bin = [](float value) { return std::bit_cast<std::uint32_t>(value) >> kShift; };
  std::array<std::int32_t, 1U << (31 - kShift)> counts{};
  for (const float value : values) ++counts[bin(value)];
  std::uint32_t at = static_cast<std::uint32_t>(counts.size()) - 1;
  Bar bar;
  for (; bar.above + counts[at] < n; --at) bar.above += counts[at];
  values.erase(std::remove_if(values.begin(), values.end(), [&](float value) { return bin(value) != at; }),
               values.end());
  const auto nth = values.begin() + (n - bar.above - 1);
  std::nth_element(values.begin(), nth, values.end(), std::greater<>());
  bar.value = *nth;
  bar.above += std::count_if(values.begin(), nth, [&](float value) { return value > bar.value; });
  return bar;
}

}  // namespace

void TokenRefinement::Pass::take_best(std::int64_t key_begin, std::int64_t key_end, std::int64_t keys,
                                      std::vector<KeyRange>& ranges) const {
  const auto each = [&](const auto& visit) {
    for (const KeyRange& range : candidates_) {
      const std::int64_t end = std::min<std::int64_t>(range.end, key_end);
      for (std::int64_t j = std::max<std::int64_t>(range.begin, key_begin); j < end; ++j) visit(j);
    }
  };
  std::vector<float> values;
  values.reserve(estimates_.size());
  for (const KeyRange& range : candidates_) {
    const std::int64_t begin = std::max<std::int64_t>(range.begin, key_begin);
    const std::int64_t end = std::min<std::int64_t>(range.end, key_end);
    for (std::int64_t j = begin; j < end; ++j) values.push_back(estimate_of(j));
  }
  const auto all = static_cast<std::int64_t>(values.size());
  if (keys <= 0 || all == 0) return;
  const Bar bar = keys < all ? nth_largest(values, keys) : Bar{};
  std::int64_t of_least = keys - bar.above;  // how many with exactly the least estimate are taken
  each([&](std::int64_t j) {
    const float value = estimate_of(j);
    if (value < bar.value || (value == bar.value && of_least-- <= 0)) return;
    const auto key = static_cast<std::int32_t>(j);
    if (!ranges.empty() && ranges.back().end == key) {
      ++ranges.back().end;
    } else {
      ranges.push_back({key, key + 1});
    }
  });
}

}  // namespace dhsa
