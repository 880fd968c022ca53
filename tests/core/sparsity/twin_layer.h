// A layer as the twins see it: attention in double precision, and where its chunks end.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/core/sparsity/twin.h"
#include "tests/support/slow_predictor.h"

namespace dhsa::twin {

using Values = std::vector<double>;
using Marks = std::vector<bool>;

inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kRounding = 5e-6;  // relative; float32 sums of some hundred terms stay below

inline bool close(double a, double b, double size) { return a != b && std::abs(a - b) <= kRounding * size; }

// Indices of what has a score, highest first; ties: the earlier first.
inline std::vector<int> descending(const Values& scores) {
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(scores.size()); ++i) {
    if (!std::isnan(scores[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  return order;
}

inline double largest_size(const Values& scores) {
  double most = 0;
  for (const double score : scores) most = std::isnan(score) ? most : std::max(most, std::abs(score));
  return most;
}

inline int count(const Marks& marks) { return static_cast<int>(std::count(marks.begin(), marks.end(), true)); }

class TwinLayer {
 public:
  TwinLayer(const SparsityParameters& parameters, const Text& text, const LayerInfo& layer)
      : p_(parameters), text_(text), layer_(layer), L_(text.tokens), W_(static_cast<int>(layer.window)) {}

 protected:
  // --- attention -----------------------------------------------------------------------------------------------------

  [[nodiscard]] bool sees(int i, int j) const { return j <= i && (W_ == 0 || j > i - W_); }
  [[nodiscard]] double q(int h, int i, int d) const {
    return static_cast<double>(text_.q[(h * L_ + i) * text_.dim + d]);
  }
  [[nodiscard]] double k(int h, int j, int d) const {
    return static_cast<double>(text_.k[(h * L_ + j) * text_.dim + d]);
  }
  [[nodiscard]] int kv_of(int h) const { return h / (text_.heads / text_.kv_heads); }
  [[nodiscard]] double scaled(double dot) const {
    const double z = dot * static_cast<double>(layer_.scale);
    const auto cap = static_cast<double>(layer_.softcap);
    return cap > 0 ? cap * std::tanh(z / cap) : z;
  }
  [[nodiscard]] double capped_logit(double z) const {
    const auto cap = static_cast<double>(layer_.softcap);
    return cap > 0 ? cap * std::tanh(z / cap) : z;
  }
  // The query's attention to the keys that `allowed` lets it see.
  [[nodiscard]] Values attention(int h, const Values& query, const std::function<bool(int)>& allowed) const {
    Values a(L_, 0.0);
    double total = 0;
    for (int j = 0; j < L_; ++j) {
      if (!allowed(j)) continue;
      double dot = 0;
      for (int d = 0; d < text_.dim; ++d) dot += query[d] * k(kv_of(h), j, d);
      a[j] = std::exp(scaled(dot));
      total += a[j];
    }
    for (double& value : a) value = total > 0 ? value / total : 0.0;
    return a;
  }
  [[nodiscard]] Values query(int h, int i) const {
    Values row(text_.dim);
    for (int d = 0; d < text_.dim; ++d) row[d] = q(h, i, d);
    return row;
  }
  [[nodiscard]] Values attention_row(int h, int i) const {
    return attention(h, query(h, i), [&](int j) { return sees(i, j); });
  }

  // --- boundaries ----------------------------------------------------------------------------------------------------

  [[nodiscard]] Boundaries boundaries(const PredictorWeights* predictor) const {
    const int m = static_cast<int>(p_.instruction_tokens);
    const bool instructed = m > 0 && m < L_;
    Boundaries found;
    found.scores.assign(L_, kUndefined);
    double most =
        std::max(1.0, std::floor(std::min<double>(
                          L_, static_cast<double>(L_) / static_cast<double>(p_.query_block) * p_.chunks_per_block)));
    double threshold = p_.boundary_threshold > 0 ? p_.boundary_threshold : -std::numeric_limits<double>::infinity();
    int distance = static_cast<int>(p_.nms_distance);
    switch (p_.boundaries) {
      case BoundarySource::kLearned:
        found.scores = slow_predictor_logits(*predictor, text_.k, L_, text_.dim);
        break;
      case BoundarySource::kAttentionMass:
        found.scores = mass_ratios();
        break;
      case BoundarySource::kAuto:
      case BoundarySource::kKeyShift:
        found.scores = key_shift();
        break;
      case BoundarySource::kSentence:
        found.scores.assign(L_, 0.0);
        for (const std::int32_t end : text_.sentence_ends) found.scores[end] = 1.0;
        most = L_;
        threshold = 0.5;
        break;
      case BoundarySource::kFixed: {
        // A chunk ends after every n-th token, and after token L - m; none after that.
        found.edges = {0};
        for (int j = 0; j < L_; ++j) {
          const bool last = instructed && j == L_ - m;
          const bool cut = (j + 1) % p_.chunk_length == 0 || last || j == L_ - 1;
          if (cut && (!instructed || j <= L_ - m || j == L_ - 1)) found.edges.push_back(j + 1);
        }
        found.scores.assign(L_, 0.0);
        for (const std::int32_t edge : found.edges) {
          if (edge > 0) found.scores[edge - 1] = 1.0;
        }
        return found;
      }
    }

    const std::vector<int> order = descending(found.scores);
    const double size = largest_size(found.scores);
    std::vector<int> accepted;
    if (instructed) accepted.push_back(L_ - m);
    double worst = std::numeric_limits<double>::infinity();
    bool full = false;
    for (const int j : order) {
      const double score = found.scores[j];
      if (close(score, threshold, size)) found.open = true;
      if (score <= threshold || (instructed && j > L_ - m)) continue;
      const bool clear =
          std::all_of(accepted.begin(), accepted.end(), [&](int other) { return std::abs(j - other) > distance; });
      if (!clear) continue;
      if (static_cast<double>(accepted.size()) >= most) {
        found.open = found.open || (!full && close(worst, score, size));
        full = true;
        continue;
      }
      accepted.push_back(j);
      worst = score;
    }
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t b = a + 1; b < order.size() && close(found.scores[order[a]], found.scores[order[b]], size);
           ++b) {
        if (std::abs(order[a] - order[b]) <= distance) found.open = true;
      }
    }
    found.edges = {0, L_};
    for (const int j : accepted) found.edges.push_back(j + 1);
    std::sort(found.edges.begin(), found.edges.end());
    found.edges.erase(std::unique(found.edges.begin(), found.edges.end()), found.edges.end());
    return found;
  }

  // 1 - cos between the means of the w keys before and after the cut, all heads joined.
  [[nodiscard]] Values key_shift() const {
    const int w = static_cast<int>(p_.boundary_window);
    Values scores(L_, kUndefined);
    for (int j = w - 1; j < L_ - w; ++j) {
      double ll = 0, rr = 0, lr = 0;
      for (int h = 0; h < text_.kv_heads; ++h) {
        for (int d = 0; d < text_.dim; ++d) {
          double left = 0, right = 0;
          for (int t = 0; t < w; ++t) {
            left += k(h, j - t, d) / w;
            right += k(h, j + 1 + t, d) / w;
          }
          ll += left * left;
          rr += right * right;
          lr += left * right;
        }
      }
      scores[j] = 1.0 - lr / std::sqrt(ll * rr);
    }
    return scores;
  }

  [[nodiscard]] Values mass_ratios() const {
    const int w = static_cast<int>(p_.boundary_window);
    std::vector<Values> a(L_, Values(L_, 0.0));
    for (int h = 0; h < text_.heads; ++h) {
      for (int i = 0; i < L_; ++i) {
        const Values row = attention_row(h, i);
        for (int j = 0; j < L_; ++j) a[i][j] += row[j] / text_.heads;
      }
    }
    Values scores(L_, kUndefined);
    for (int j = 2 * w - 1; j < L_ - 2 * w; ++j) {
      double past = 0, future = 0;
      for (int i = j + w; i < (W_ > 0 ? std::min(L_, j + w + W_) : L_); ++i) {
        for (int t = 0; t < w; ++t) {
          past += a[i][j - t];
          future += a[i][j + 1 + t];
        }
      }
      scores[j] = (std::max(past, future) + 1e-6) / (std::min(past, future) + 1e-6);
    }
    return scores;
  }

  const SparsityParameters& p_;
  const Text& text_;
  const LayerInfo& layer_;
  const int L_;
  const int W_;
};

}  // namespace dhsa::twin
