#include "tests/core/sparsity/twin.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "tests/core/sparsity/twin_layer.h"

namespace dhsa::twin {
namespace {

struct Group {
  int begin = 0;
  int end = 0;
  bool dense = false;  // rows of the instruction
};

class Twin : private TwinLayer {
 public:
  using TwinLayer::TwinLayer;

  Mask run(const PredictorWeights* predictor, const Boundaries* shared) {
    budget_ = capped(p_.budget);
    if (p_.method == Method::kDhsa) mask_.boundaries = shared != nullptr ? *shared : boundaries(predictor);
    make_groups();
    const bool one = p_.method == Method::kDense || p_.method == Method::kWindowSinks ||
                     p_.method == Method::kBlockSparse || p_.mask_heads == MaskHeads::kShared;
    heads_ = one ? 1 : p_.mask_heads == MaskHeads::kPerKvHead ? text_.kv_heads : text_.heads;
    per_mask_ = text_.heads / heads_;
    mask_.kept.assign(heads_, std::vector<Marks>(L_, Marks(L_, false)));
    mask_.open.assign(heads_, Marks(L_, false));
    for (int m = 0; m < heads_; ++m) {
      prepare(m);
      for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
        group_ = groups_[g];
        open_ = false;
        const Marks keys = group_.dense || p_.method == Method::kDense ? Marks(L_, true) : keys_of(g);
        for (int i = group_.begin; i < group_.end; ++i) {
          mask_.open[m][i] = open_;
          for (int j = 0; j <= i; ++j) mask_.kept[m][i][j] = sees(i, j) && (keys[j] || j >= group_.begin);
        }
      }
    }
    return mask_;
  }

 private:
  // --- groups and what they may choose from --------------------------------------------------------------------------

  void make_groups() {
    const int sparse = std::max(0, L_ - static_cast<int>(p_.instruction_tokens));
    Marks starts(L_ + 1, false);
    const int block = static_cast<int>(p_.method == Method::kTokenTopK ? p_.oracle_rows : p_.query_block);
    for (int i = 0; i < sparse; i += block) starts[i] = true;
    if (p_.method == Method::kDhsa && p_.query_grouping == QueryGrouping::kChunks) {
      starts.assign(L_ + 1, false);
      for (const std::int32_t edge : mask_.boundaries.edges) {
        if (edge < sparse) starts[edge] = true;
      }
    }
    for (int i = sparse; i < L_; i += block) starts[i] = true;
    starts[L_] = true;
    for (int i = 0, begin = 0; i < L_; ++i) {
      if (!starts[i + 1]) continue;
      groups_.push_back({begin, i + 1, begin >= sparse});
      begin = i + 1;
    }
  }

  [[nodiscard]] int capped(std::int64_t budget) const {
    return static_cast<int>(std::min<std::int64_t>(budget, 1 << 20));
  }
  // A budget that covers the window leaves nothing to choose: all that some row of the group sees is allowed.
  [[nodiscard]] bool covers_window(int budget) const { return W_ > 0 && budget >= W_; }
  [[nodiscard]] int allowed_begin(int budget) const {
    if (W_ == 0) return 0;
    return std::max(0, covers_window(budget) ? group_.begin - W_ + 1 : group_.end - W_);
  }

  // The rule of every budget: the group's own rows and the sinks whatever they cost, then local keys, the most recent
  // first, as far as the budget goes.
  [[nodiscard]] Marks always(int begin, int budget, std::int64_t sinks, std::int64_t local) const {
    Marks kept(L_, false);
    for (int j = group_.begin; j < group_.end; ++j) kept[j] = true;
    for (int j = begin; j < group_.end && j < begin + sinks; ++j) kept[j] = true;
    for (int j = group_.end - 1; j >= begin && j >= group_.end - local; --j) {
      if (!kept[j] && count(kept) >= budget) break;
      kept[j] = true;
    }
    return kept;
  }

  // --- chunks --------------------------------------------------------------------------------------------------------

  [[nodiscard]] static int chunk_of(const std::vector<std::int32_t>& edges, int j) {
    int c = 0;
    while (edges[c + 1] <= j) ++c;
    return c;
  }

  [[nodiscard]] Values mean_of(bool keys, int head_begin, int head_end, int begin, int end) const {
    Values mean(text_.dim, 0.0);
    for (int h = head_begin; h < head_end; ++h) {
      for (int i = begin; i < end; ++i) {
        for (int d = 0; d < text_.dim; ++d) {
          mean[d] += (keys ? k(h, i, d) : q(h, i, d)) / ((head_end - head_begin) * static_cast<double>(end - begin));
        }
      }
    }
    return mean;
  }

  [[nodiscard]] double similarity(int m, const Group& group, int begin, int end, bool root_of_length) const {
    const int first = m * per_mask_;
    const Values of_q = mean_of(false, first, first + per_mask_, group.begin, group.end);
    const Values of_k = mean_of(true, kv_of(first), kv_of(first + per_mask_ - 1) + 1, begin, end);
    const double factor =
        root_of_length ? std::sqrt(static_cast<double>(end - begin) * static_cast<double>(group.end - group.begin)) : 1;
    return factor * std::inner_product(of_q.begin(), of_q.end(), of_k.begin(), 0.0);
  }

  // The rows that are asked: every n-th, counted back from the last of the group, and the last of the text.
  [[nodiscard]] std::vector<int> asked(const Group& group) const {
    std::vector<int> rows;
    for (int i = group.begin; i < group.end && p_.score_rows > 0; ++i) {
      if ((group.end - 1 - i) % p_.score_rows == 0 || i >= L_ - p_.score_last_rows) rows.push_back(i);
    }
    return rows;
  }

  // The logit of one query and one chunk; bands have two, the fast and the slow half of the rotated pairs.
  [[nodiscard]] double chunk_logit(int kv, const Values& query, int begin, int end, int part) const {
    const auto s = static_cast<double>(layer_.scale);
    const double n = end - begin;
    double z = 0, of_keys = 0, of_mean = 0;
    for (int d = 0; d < text_.dim; ++d) {
      if (p_.scores == ChunkScoring::kBands && (d % (text_.dim / 2) < text_.dim / 4) != (part == 0)) continue;
      double mean = 0, square = 0, low = k(kv, begin, d), high = low;
      for (int j = begin; j < end; ++j) {
        mean += k(kv, j, d) / n;
        square += k(kv, j, d) * k(kv, j, d) / n;
        low = std::min(low, k(kv, j, d));
        high = std::max(high, k(kv, j, d));
      }
      of_keys += square;
      of_mean += mean * mean;
      if (p_.scores == ChunkScoring::kBounds) {
        z += std::max(s * query[d] * low, s * query[d] * high);
      } else {
        z += s * query[d] * mean;
      }
      if (p_.scores == ChunkScoring::kMoments) z += s * s / 2 * query[d] * query[d] * (square - mean * mean);
    }
    if (p_.scores == ChunkScoring::kBands) z *= std::sqrt(of_keys / of_mean);
    return capped_logit(z) - (p_.scores == ChunkScoring::kBounds ? std::log(n) : 0.0);
  }

  // Estimated probability of one token of each chunk: per query a softmax over the chunks, each as often as it has
  // tokens that the row sees.
  [[nodiscard]] Values masses(int m, const Group& group, const std::vector<std::int32_t>& edges) const {
    const int chunks = static_cast<int>(edges.size()) - 1;
    const int parts = p_.scores == ChunkScoring::kBands ? 2 : 1;
    Values values(chunks, 0.0);
    std::vector<int> rows = asked(group);
    const bool mean_query = rows.empty();
    if (mean_query) rows.push_back(group.end - 1);
    for (int h = m * per_mask_; h < (m + 1) * per_mask_; ++h) {
      for (const int i : rows) {
        const Values speaks = mean_query ? mean_of(false, h, h + 1, group.begin, group.end) : query(h, i);
        for (int part = 0; part < parts; ++part) {
          Values e(chunks, 0.0);
          double total = 0;
          for (int c = 0; c < chunks; ++c) {
            int seen = 0;
            for (int j = edges[c]; j < edges[c + 1]; ++j) seen += sees(i, j) ? 1 : 0;
            if (seen == 0) continue;
            e[c] = std::exp(chunk_logit(kv_of(h), speaks, edges[c], edges[c + 1], part));
            total += e[c] * seen;
          }
          for (int c = 0; c < chunks; ++c) {
            values[c] += e[c] / total / static_cast<double>(rows.size()) / per_mask_ / parts;
          }
        }
      }
    }
    return values;
  }

  void score_chunks(int m) {
    const auto& edges = mask_.boundaries.edges;
    mass_scores_ = p_.method == Method::kDhsa && (p_.scores != ChunkScoring::kMean || p_.score_rows > 0);
    std::vector<Values> table;
    for (const Group& group : groups_) {
      Values values(edges.size() - 1, kUndefined);
      if (mass_scores_) values = masses(m, group, edges);
      for (std::size_t c = 0; c + 1 < edges.size(); ++c) {
        if (edges[c] >= group.end) {
          values[c] = kUndefined;
        } else if (!mass_scores_) {
          const bool root = p_.method == Method::kDhsa && p_.pooling == Pooling::kSqrtMean;
          values[c] = similarity(m, group, edges[c], edges[c + 1], root);
        }
      }
      table.push_back(values);
    }
    mask_.chunk_scores.push_back(table);
  }

  // Adds whole chunks by descending score until `enough`; the last is cut to its most recent tokens.
  void fill(Marks& kept, const Values& scores, int begin, int budget, const std::function<bool()>& enough) {
    const auto& edges = mask_.boundaries.edges;
    const double size = mass_scores_ ? 0 : largest_size(scores);
    const auto alike = [&](int a, int b) {
      return close(scores[a], scores[b], mass_scores_ ? std::max(scores[a], scores[b]) : size);
    };
    int before = -1, last = -1;
    for (const int c : descending(scores)) {
      std::vector<int> free;
      for (int j = std::min(edges[c + 1], group_.end) - 1; j >= std::max(begin, edges[c]); --j) {
        if (!kept[j]) free.push_back(j);
      }
      if (free.empty()) continue;
      if (count(kept) >= budget || enough()) {
        if (last >= 0 && alike(last, c)) open_ = true;
        break;
      }
      for (const int j : free) {
        if (count(kept) < budget) kept[j] = true;
      }
      before = last;
      last = c;
      if (before >= 0 && count(kept) >= budget && alike(before, last)) open_ = true;
    }
  }

  [[nodiscard]] Marks chunks(int m, int g, int begin, int budget) {
    Marks kept = always(begin, budget, p_.sink_tokens, p_.local_tokens);
    const Values& scores = mask_.chunk_scores[m][g];
    if (p_.selection == Selection::kBudget) {
      fill(kept, scores, begin, budget, [] { return false; });
      return kept;
    }
    // What each key stands for: its chunk's share of the softmax (or of the estimated mass), spread evenly.
    const auto& edges = mask_.boundaries.edges;
    const int chunk_count = static_cast<int>(scores.size());
    double highest = -std::numeric_limits<double>::infinity();
    std::vector<int> allowed(chunk_count, 0);
    for (int j = begin; j < group_.end; ++j) ++allowed[chunk_of(edges, j)];
    for (int c = 0; c < chunk_count; ++c) highest = allowed[c] > 0 ? std::max(highest, scores[c]) : highest;
    Values weight(chunk_count, 0.0);
    double total = 0;
    for (int c = 0; c < chunk_count; ++c) {
      if (allowed[c] == 0) continue;
      weight[c] = mass_scores_ ? scores[c] * allowed[c] : std::exp(scores[c] - highest);
      total += weight[c];
    }
    fill(kept, scores, begin, budget, [&] {
      double mass = 0;
      int keys = 0;
      for (int j = begin; j < group_.end; ++j) {
        if (!kept[j]) continue;
        const int c = chunk_of(edges, j);
        mass += weight[c] / total / allowed[c];
        ++keys;
      }
      if (keys < p_.min_budget) return false;
      if (std::abs(mass - p_.mass) < kRounding) open_ = true;
      return mass >= p_.mass;
    });
    return kept;
  }

  // --- the methods ---------------------------------------------------------------------------------------------------

  // What one mask head's groups have in common.
  void prepare(int m) {
    head_ = m;
    switch (p_.method) {
      case Method::kBlockSparse:
        if (m == 0) {
          for (int edge = 0; edge < L_; edge += static_cast<int>(p_.block_size)) {
            mask_.boundaries.edges.push_back(edge);
          }
          mask_.boundaries.edges.push_back(L_);
        }
        score_chunks(m);
        break;
      case Method::kDhsa:
        score_chunks(m);
        estimates_.clear();
        break;
      case Method::kVerticalSlash:
        columns_.assign(L_, 0.0);
        diagonals_.assign(L_, 0.0);
        for (int h = m * per_mask_; h < (m + 1) * per_mask_; ++h) {
          for (int i = std::max(0, L_ - 64); i < L_; ++i) {
            const Values row = attention_row(h, i);
            for (int j = 0; j <= i; ++j) {
              columns_[j] += row[j];
              diagonals_[i - j] += row[j];
            }
          }
        }
        break;
      default:
        break;
    }
  }

  [[nodiscard]] Marks keys_of(int g) {
    switch (p_.method) {
      case Method::kDense:
        break;
      case Method::kWindowSinks:
        return window_sinks();
      case Method::kBlockSparse:
        return blocks(g);
      case Method::kVerticalSlash:
        return lines();
      case Method::kTokenTopK:
        return best_tokens();
      case Method::kDhsa:
        return dhsa(g);
    }
    return Marks(L_, true);
  }

  // The first tokens of the text, where the window lets them be seen, and the most recent ones.
  [[nodiscard]] Marks window_sinks() const {
    if (covers_window(budget_)) return Marks(L_, true);
    const int begin = allowed_begin(budget_);
    return always(begin, budget_, std::max<std::int64_t>(0, p_.sink_tokens - begin), budget_);
  }

  // Whole blocks: those of the group's own rows, then the best others for what is left of the budget's blocks.
  [[nodiscard]] Marks blocks(int g) {
    if (covers_window(budget_) || budget_ >= group_.end) return Marks(L_, true);
    const int block = static_cast<int>(p_.block_size);
    const int begin = allowed_begin(budget_);
    const int own_begin = group_.begin / block * block;
    const int own = (group_.end - 1) / block - group_.begin / block + 1;
    const int others = std::max(0, std::max(1, budget_ / block) - own) * block;
    Marks kept(L_, false);
    for (int j = std::max(begin, own_begin); j < group_.end; ++j) kept[j] = true;
    fill(kept, mask_.chunk_scores[0][g], begin, count(kept) + others, [] { return false; });
    return kept;
  }

  // Sinks and local keys; half of what is left for diagonals, the rest for columns; then diagonals again, until the
  // budget is full.
  [[nodiscard]] Marks lines() {
    if (covers_window(budget_)) return Marks(L_, true);
    const int begin = allowed_begin(budget_);
    if (budget_ >= group_.end) return Marks(L_, true);
    Marks kept = always(begin, budget_, p_.sink_tokens, p_.local_tokens);
    const int for_columns = std::max(0, budget_ - count(kept)) / 2;
    const auto ranked = [&](Values scores) {
      for (double& score : scores) score = score > 0 ? score : kUndefined;
      return descending(scores);
    };
    int last = -1;
    for (const int offset : ranked(diagonals_)) {
      if (last >= 0 && close(diagonals_[last], diagonals_[offset], diagonals_[last])) open_ = true;
      std::vector<int> added;
      for (int i = group_.begin; i < group_.end; ++i) {
        if (i - offset >= begin && !kept[i - offset]) added.push_back(i - offset);
      }
      if (added.empty()) continue;
      last = offset;
      if (budget_ - count(kept) - static_cast<int>(added.size()) < for_columns) break;
      for (const int j : added) kept[j] = true;
    }
    last = -1;
    for (const int j : ranked(columns_)) {
      if (j < begin || j >= group_.end || kept[j]) continue;
      if (count(kept) >= budget_) {
        if (last >= 0 && close(columns_[last], columns_[j], columns_[last])) open_ = true;
        break;
      }
      kept[j] = true;
      last = j;
    }
    last = -1;
    for (const int offset : ranked(diagonals_)) {
      std::vector<int> free;
      for (int i = group_.end - 1; i >= group_.begin; --i) {
        if (i - offset >= begin && !kept[i - offset]) free.push_back(i - offset);
      }
      if (free.empty()) continue;
      if (last >= 0 && close(diagonals_[last], diagonals_[offset], diagonals_[last])) open_ = true;
      if (count(kept) >= budget_) break;
      for (const int j : free) kept[j] = kept[j] || count(kept) < budget_;
      last = offset;
    }
    return kept;
  }

  // The `n` best of the keys with a score.
  void take(Marks& kept, const Values& scores, int n) {
    const std::vector<int> order = descending(scores);
    const int taken = std::clamp(n, 0, static_cast<int>(order.size()));
    for (int at = 0; at < taken; ++at) kept[order[at]] = true;
    if (taken > 0 && taken < static_cast<int>(order.size())) {
      const double least = scores[order[taken - 1]];
      if (close(least, scores[order[taken]], least)) open_ = true;
    }
  }

  // The earlier keys that dense attention of the group's rows gives most.
  [[nodiscard]] Marks best_tokens() {
    if (covers_window(budget_)) return Marks(L_, true);
    Values sums(L_, kUndefined);
    for (int j = 0; j < group_.begin; ++j) {
      if (sees(group_.begin, j)) sums[j] = 0;
    }
    for (int h = head_ * per_mask_; h < (head_ + 1) * per_mask_; ++h) {
      for (int i = group_.begin; i < group_.end; ++i) {
        const Values row = attention_row(h, i);
        for (int j = 0; j < L_; ++j) sums[j] += row[j];
      }
    }
    Marks kept(L_, false);
    take(kept, sums, budget_ - (group_.end - group_.begin));
    return kept;
  }

  [[nodiscard]] Marks dhsa(int g) {
    const bool threshold = p_.selection == Selection::kThreshold;
    const int budget = threshold ? capped(p_.max_budget) : budget_;
    const int begin = allowed_begin(budget);
    if (!threshold && (covers_window(budget) || budget >= group_.end)) return Marks(L_, true);
    if (threshold || p_.candidates == 0) return chunks(head_, g, begin, budget);

    // Chunks worth several budgets, thinned to the tokens that the asked rows attend to.
    Marks candidates;
    if (p_.score_rows > 0 && group_.end > L_ - p_.score_last_rows) {
      candidates.assign(L_, false);
      for (int j = begin; j < group_.end; ++j) candidates[j] = true;
    } else {
      candidates = chunks(head_, g, begin, static_cast<int>(budget * p_.candidates));
    }
    for (int j = 0; j < begin; ++j) candidates[j] = false;
    const Values estimates = token_estimates(g, candidates);
    Marks kept = always(begin, budget, p_.sink_tokens, p_.local_tokens);
    Values scores(L_, kUndefined);
    for (int j = begin; j < group_.end; ++j) {
      if (candidates[j] && !kept[j]) scores[j] = estimates[j];
    }
    take(kept, scores, budget - count(kept));
    return kept;
  }

  // The mean attention of the asked rows to the candidates, widened to whole tiles of 16 keys, plus a quarter of what
  // this gave for the group before. Groups come in runs of eight: at the start of a run the group before adds what it
  // gave by itself.
  [[nodiscard]] Values token_estimates(int g, const Marks& candidates) {
    Marks span(L_, false);
    for (int j = 0; j < L_; ++j) {
      for (int t = j / 16 * 16; t < std::min(L_, j / 16 * 16 + 16); ++t) span[j] = span[j] || candidates[t];
    }
    std::vector<int> rows = asked(group_);
    const bool mean_query = rows.empty();
    if (mean_query) rows.push_back(group_.end - 1);
    Values own(L_, 0.0);
    for (int h = head_ * per_mask_; h < (head_ + 1) * per_mask_; ++h) {
      for (const int i : rows) {
        const Values speaks = mean_query ? mean_of(false, h, h + 1, group_.begin, group_.end) : query(h, i);
        const Values row = attention(h, speaks, [&](int j) { return sees(i, j) && span[j]; });
        for (int j = 0; j < L_; ++j) own[j] += row[j] / static_cast<double>(rows.size()) / per_mask_;
      }
    }
    Values sum = own;
    const auto before = estimates_.find(g - 1);
    if (before != estimates_.end()) {
      const Values& given = g % 8 == 0 ? before->second.first : before->second.second;
      for (int j = 0; j < L_; ++j) sum[j] += span[j] ? given[j] / 4 : 0.0;
    }
    estimates_[g] = {own, sum};
    return sum;
  }

  int budget_ = 0;
  int heads_ = 1;
  int per_mask_ = 1;
  int head_ = 0;
  bool mass_scores_ = false;
  std::vector<Group> groups_;
  Group group_;
  bool open_ = false;
  Values columns_, diagonals_;
  std::map<int, std::pair<Values, Values>> estimates_;  // by group: by itself, with those before
  Mask mask_;
};

}  // namespace

Mask mask_of(const SparsityParameters& parameters, const Text& text, const LayerInfo& layer,
             const PredictorWeights* predictor, const Boundaries* shared) {
  return Twin(parameters, text, layer).run(predictor, shared);
}

}  // namespace dhsa::twin
