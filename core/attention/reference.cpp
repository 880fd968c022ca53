#include <algorithm>
#include <cmath>
#include <vector>

#include "core/attention/attend.h"
#include "core/attention/check_internal.h"

namespace dhsa {

void attend_reference(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                      const ScoreRule& rule, const MutableHeadsView& out) {
  check_attend_arguments(q, k, v, mask, rule, out);
  const auto dim = static_cast<std::size_t>(q.dim);
  const double scale = static_cast<double>(rule.scale);
  const double cap = static_cast<double>(rule.softcap);
  std::vector<float> query(dim);
  std::vector<float> row(dim);
  std::vector<double> scores;
  std::vector<double> sums(dim);
  std::vector<KeyRange> ranges;
  for (std::int64_t head = 0; head < q.heads; ++head) {
    const std::int64_t kv_head = head / (q.heads / k.heads);
    for (std::int64_t i = 0; i < q.rows; ++i) {
      q.load_row(head, i, query.data());
      mask.row_ranges(mask.mask_head(head, q.heads), i, ranges);
      scores.clear();
      for (const KeyRange& range : ranges) {
        for (std::int64_t j = range.begin; j < range.end; ++j) {
          k.load_row(kv_head, j, row.data());
          double score = 0.0;
          for (std::size_t d = 0; d < dim; ++d) score += static_cast<double>(query[d]) * static_cast<double>(row[d]);
          score *= scale;
          scores.push_back(cap > 0.0 ? cap * std::tanh(score / cap) : score);
        }
      }
      std::ranges::fill(sums, 0.0);
      double total = 0.0;
      const double highest = scores.empty() ? 0.0 : *std::ranges::max_element(scores);
      std::size_t at = 0;
      for (const KeyRange& range : ranges) {
        for (std::int64_t j = range.begin; j < range.end; ++j) {
          const double weight = std::exp(scores[at++] - highest);
          total += weight;
          v.load_row(kv_head, j, row.data());
          for (std::size_t d = 0; d < dim; ++d) sums[d] += weight * static_cast<double>(row[d]);
        }
      }
      const std::int64_t to = out.offset(head, i);
      for (std::size_t d = 0; d < dim; ++d) {
        const auto value = static_cast<float>(total > 0.0 ? sums[d] / total : 0.0);
        if (out.type == DType::kFloat32) {
          static_cast<float*>(out.data)[to + static_cast<std::int64_t>(d)] = value;
        } else {
          static_cast<std::uint16_t*>(out.data)[to + static_cast<std::int64_t>(d)] = float_to_bfloat16(value);
        }
      }
    }
  }
}

}  // namespace dhsa
