// The boundary predictor as slowly and plainly as it can be said, in double precision: what the fast one is held
// against. Shares no code with it.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/sparsity/boundary_predictor.h"

namespace dhsa {

inline PredictorWeights drawn_predictor(std::mt19937& random, int channels, int hidden, int heads, int boundary_window,
                                        bool gate) {
  std::normal_distribution<float> normal;
  const auto draw = [&](int n, float spread) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = spread * normal(random);
    return values;
  };
  PredictorWeights weights;
  weights.channels = channels;
  weights.hidden = hidden;
  weights.heads = heads;
  weights.boundary_window = boundary_window;
  weights.in_proj_weight = draw(3 * channels * channels, 0.3F);
  weights.in_proj_bias = draw(3 * channels, 0.3F);
  weights.out_proj_weight = draw(channels * channels, 0.3F);
  weights.out_proj_bias = draw(channels, 0.3F);
  weights.norm_weight = draw(channels, 1.0F);
  weights.norm_bias = draw(channels, 0.3F);
  if (gate) weights.gate_weight = draw(channels, 0.5F);
  weights.mlp0_weight = draw(hidden * (4 * channels + 1), 0.2F);
  weights.mlp0_bias = draw(hidden, 0.2F);
  weights.mlp2_weight = draw(hidden, 0.3F);
  weights.mlp2_bias = draw(1, 0.3F);
  return weights;
}

// Logits of keys k [kv_heads, tokens, dim]; NaN where a window leaves the text.
inline std::vector<double> slow_predictor_logits(const PredictorWeights& weights, const std::vector<float>& k,
                                                 int tokens, int dim) {
  using Table = std::vector<std::vector<double>>;
  const auto U = [](int i) { return static_cast<std::size_t>(i); };
  const auto weight = [&](const std::vector<float>& x, int i) { return static_cast<double>(x[U(i)]); };
  const int C = static_cast<int>(weights.channels);
  const int heads = static_cast<int>(weights.heads);
  const int hidden = static_cast<int>(weights.hidden);
  const int w = static_cast<int>(weights.boundary_window);
  const int head_dim = C / heads;
  std::vector<double> logits(U(tokens), std::numeric_limits<double>::quiet_NaN());
  for (int j = w - 1; j < tokens - w; ++j) {
    const int n = 2 * w;
    Table qkv(U(n), std::vector<double>(U(3 * C)));
    Table y(U(n), std::vector<double>(U(C)));
    for (int t = 0; t < n; ++t) {
      for (int o = 0; o < 3 * C; ++o) {
        qkv[U(t)][U(o)] = weight(weights.in_proj_bias, o);
        for (int c = 0; c < C; ++c) {
          qkv[U(t)][U(o)] +=
              weight(weights.in_proj_weight, o * C + c) * weight(k, (c / dim * tokens + j - w + 1 + t) * dim + c % dim);
        }
      }
    }
    for (int t = 0; t < n; ++t) {
      std::vector<double> mixed(U(C), 0.0);
      for (int h = 0; h < heads; ++h) {
        std::vector<double> p(U(n), 0.0);
        double total = 0;
        for (int u = 0; u < n; ++u) {
          double s = 0;
          for (int d = 0; d < head_dim; ++d) s += qkv[U(t)][U(h * head_dim + d)] * qkv[U(u)][U(C + h * head_dim + d)];
          p[U(u)] = std::exp(s / std::sqrt(static_cast<double>(head_dim)));
          total += p[U(u)];
        }
        for (int u = 0; u < n; ++u) {
          for (int d = 0; d < head_dim; ++d) {
            mixed[U(h * head_dim + d)] += p[U(u)] / total * qkv[U(u)][U(2 * C + h * head_dim + d)];
          }
        }
      }
      double mean = 0;
      for (int o = 0; o < C; ++o) {
        y[U(t)][U(o)] = weight(weights.out_proj_bias, o);
        for (int c = 0; c < C; ++c) y[U(t)][U(o)] += weight(weights.out_proj_weight, o * C + c) * mixed[U(c)];
        mean += y[U(t)][U(o)] / C;
      }
      double variance = 0;
      for (int o = 0; o < C; ++o) variance += (y[U(t)][U(o)] - mean) * (y[U(t)][U(o)] - mean) / C;
      for (int o = 0; o < C; ++o) {
        y[U(t)][U(o)] = (y[U(t)][U(o)] - mean) / std::sqrt(variance + 1e-5) * weight(weights.norm_weight, o) +
                        weight(weights.norm_bias, o);
      }
    }
    const bool gate = !weights.gate_weight.empty();
    Table side(2, std::vector<double>(U(C), 0.0));
    for (int s = 0; s < 2; ++s) {
      std::vector<double> share(U(w), 1.0);
      double total = 0;
      for (int t = 0; t < w; ++t) {
        double score = 0;
        for (int c = 0; gate && c < C; ++c) score += weight(weights.gate_weight, c) * y[U(s * w + t)][U(c)];
        share[U(t)] = std::exp(score);
        total += share[U(t)];
      }
      for (int t = 0; t < w; ++t) {
        for (int c = 0; c < C; ++c) side[U(s)][U(c)] += share[U(t)] / total * y[U(s * w + t)][U(c)];
      }
    }
    std::vector<double> f;
    double ll = 0, rr = 0, lr = 0;
    for (int c = 0; c < C; ++c) f.push_back(side[0][U(c)]);
    for (int c = 0; c < C; ++c) f.push_back(side[1][U(c)]);
    for (int c = 0; c < C; ++c) f.push_back(std::abs(side[0][U(c)] - side[1][U(c)]));
    for (int c = 0; c < C; ++c) f.push_back(side[0][U(c)] * side[1][U(c)]);
    for (int c = 0; c < C; ++c) {
      ll += side[0][U(c)] * side[0][U(c)];
      rr += side[1][U(c)] * side[1][U(c)];
      lr += side[0][U(c)] * side[1][U(c)];
    }
    f.push_back(lr / std::sqrt(ll * rr));
    double logit = weight(weights.mlp2_bias, 0);
    for (int o = 0; o < hidden; ++o) {
      double x = weight(weights.mlp0_bias, o);
      for (int c = 0; c <= 4 * C; ++c) x += weight(weights.mlp0_weight, o * (4 * C + 1) + c) * f[U(c)];
      logit += weight(weights.mlp2_weight, o) * std::max(0.0, x);
    }
    logits[U(j)] = logit;
  }
  return logits;
}

}  // namespace dhsa
