#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>

#include "core/base/parallel.h"
#include "core/files/safetensors.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/verify/reference_parity.h"
#include "tests/support/slow_predictor.h"

namespace dhsa {
namespace {

std::string report(const ParityRow& row) {
  return row.name + ": error " + std::to_string(row.max_error) + ", " + std::to_string(row.mismatches) +
         " mismatches of " + std::to_string(row.compared) + ", " + row.note;
}

class ReferenceParity : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceParity, EveryStageAgrees) {
  set_compute_threads(0);
  const auto rows = compare_with_reference(std::filesystem::path(DHSA_FIXTURES) / GetParam());
  EXPECT_EQ(rows.size(), 8U);
  for (const ParityRow& row : rows) {
    EXPECT_TRUE(row.passed) << report(row);
    EXPECT_GT(row.compared, 0) << row.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ReferenceParity,
                         testing::Values("reference_dhsa_global.safetensors", "reference_dhsa_small.safetensors"));

// The method once more, as slowly and plainly as it can be said, in double precision and with L x L tables, to make
// fixtures of cases that the stored ones do not have: sliding windows, blocks larger than the local tokens, no
// instruction.
using Table = std::vector<std::vector<double>>;

struct Slow {
  int L, H, Hkv, D, Bq, budget, W, m, chunks, w, nms, G, local, predictor_heads, hidden;
  bool gate;
  std::vector<float> q, k, v;
  PredictorWeights weights;

  [[nodiscard]] double at(const std::vector<float>& x, int head, int row, int d) const {
    return static_cast<double>(x[static_cast<std::size_t>((head * L + row) * D + d)]);
  }
  [[nodiscard]] double dot(int head, int i, int j) const {
    double sum = 0;
    for (int d = 0; d < D; ++d) sum += at(q, head, i, d) * at(k, head / (H / Hkv), j, d);
    return sum;
  }

  void fill(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](int n, float spread) {
      std::vector<float> values(static_cast<std::size_t>(n));
      for (float& value : values) value = spread * normal(random);
      return values;
    };
    q = draw(H * L * D, 1.0F);
    k = draw(Hkv * L * D, 1.0F);
    v = draw(Hkv * L * D, 1.0F);
    weights = drawn_predictor(random, Hkv * D, hidden, predictor_heads, w, gate);
  }

  // -100 is the fixtures' mark of a position that cannot be a boundary.
  [[nodiscard]] std::vector<double> predictor_logits() const {
    std::vector<double> logits = slow_predictor_logits(weights, k, L, D);
    for (double& logit : logits) logit = std::isnan(logit) ? -100.0 : logit;
    return logits;
  }

  [[nodiscard]] std::vector<double> label_ratios() const {
    Table a(static_cast<std::size_t>(L), std::vector<double>(static_cast<std::size_t>(L), 0.0));
    for (int h = 0; h < H; ++h) {
      for (int i = 0; i < L; ++i) {
        const int first = W > 0 ? std::max(0, i - W + 1) : 0;
        double total = 0;
        std::vector<double> p(static_cast<std::size_t>(L), 0.0);
        for (int j = first; j <= i; ++j) {
          p[static_cast<std::size_t>(j)] = std::exp(dot(h, i, j) / std::sqrt(static_cast<double>(D)));
          total += p[static_cast<std::size_t>(j)];
        }
        for (int j = first; j <= i; ++j) {
          a[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] += p[static_cast<std::size_t>(j)] / total / H;
        }
      }
    }
    std::vector<double> ratios(static_cast<std::size_t>(L), 0.0);
    for (int j = 2 * w - 1; j < L - 2 * w; ++j) {
      double past = 0, future = 0;
      const int end = W > 0 ? std::min(j + w + W, L) : L;
      for (int i = j + w; i < end; ++i) {
        for (int c = j - w + 1; c <= j; ++c) past += a[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
        for (int c = j + 1; c <= j + w; ++c) future += a[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
      }
      ratios[static_cast<std::size_t>(j)] = (std::max(past, future) + 1e-6) / (std::min(past, future) + 1e-6);
    }
    return ratios;
  }

  [[nodiscard]] std::vector<std::int32_t> boundaries(const std::vector<double>& scores, double threshold) const {
    std::vector<int> order;
    for (int j = 0; j < L; ++j) {
      if (scores[static_cast<std::size_t>(j)] > threshold) order.push_back(j);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
    });
    std::vector<int> accepted;
    if (m > 0) accepted.push_back(L - m);
    for (const int j : order) {
      if (static_cast<int>(accepted.size()) >= chunks) break;
      if (m > 0 && j > L - m) continue;
      bool clear = true;
      for (const int other : accepted) clear = clear && std::abs(other - j) > nms;
      if (clear) accepted.push_back(j);
    }
    std::set<std::int32_t> edges{0, L};
    for (const int j : accepted) edges.insert(j + 1);
    return {edges.begin(), edges.end()};
  }

  [[nodiscard]] int groups() const { return (L - m + Bq - 1) / Bq; }
  [[nodiscard]] int kept() const { return std::min({budget, W > 0 ? W : L, L}); }

  // [groups][kept], ascending.
  [[nodiscard]] std::vector<std::vector<std::int32_t>> selection(const std::vector<std::int32_t>& edges,
                                                                 bool normalised) const {
    std::vector<std::vector<std::int32_t>> rows;
    for (int g = 0; g < groups(); ++g) {
      std::vector<double> score(static_cast<std::size_t>(L));
      const int row_end = std::min(L - m, (g + 1) * Bq);
      for (std::size_t c = 0; c + 1 < edges.size(); ++c) {
        const double n = edges[c + 1] - edges[c];
        double s = 0;
        for (int d = 0; d < D; ++d) {
          double of_q = 0, of_k = 0;
          for (int h = 0; h < H; ++h) {
            for (int i = g * Bq; i < row_end; ++i) of_q += at(q, h, i, d) / H;
          }
          for (int h = 0; h < Hkv; ++h) {
            for (int j = edges[c]; j < edges[c + 1]; ++j) of_k += at(k, h, j, d) / Hkv;
          }
          s += of_q * of_k / n * (normalised ? std::sqrt(n) : 1.0);
        }
        for (int j = edges[c]; j < edges[c + 1]; ++j) score[static_cast<std::size_t>(j)] = s;
      }
      const int bound = (g + 1) * Bq;
      std::vector<std::int32_t> allowed;
      for (int j = 0; j < std::min(bound, L); ++j) {
        if (W == 0 || j >= bound - W) allowed.push_back(j);
      }
      const auto recent = static_cast<std::size_t>(std::min({local, kept(), static_cast<int>(allowed.size())}));
      std::vector<std::int32_t> row(allowed.end() - static_cast<std::ptrdiff_t>(recent), allowed.end());
      allowed.resize(allowed.size() - recent);
      std::stable_sort(allowed.begin(), allowed.end(), [&](std::int32_t a, std::int32_t b) {
        return score[static_cast<std::size_t>(a)] > score[static_cast<std::size_t>(b)];
      });
      for (const std::int32_t j : allowed) {
        if (static_cast<int>(row.size()) < kept()) row.push_back(j);
      }
      while (static_cast<int>(row.size()) < kept()) row.push_back(L - 1);
      std::sort(row.begin(), row.end());
      rows.push_back(row);
    }
    return rows;
  }

  void attend(const std::vector<std::int32_t>& list, int row_begin, int row_end, std::vector<float>& out) const {
    for (int h = 0; h < H; ++h) {
      for (int i = row_begin; i < row_end; ++i) {
        double total = 0;
        std::vector<double> mixed(static_cast<std::size_t>(D), 0.0);
        for (const std::int32_t j : list) {
          if (j > i || (W > 0 && j < i - W)) continue;
          const double p = std::exp(dot(h, i, j) / std::sqrt(static_cast<double>(D)));
          total += p;
          for (int d = 0; d < D; ++d) mixed[static_cast<std::size_t>(d)] += p * at(v, h / (H / Hkv), j, d);
        }
        for (int d = 0; d < D; ++d) {
          out[static_cast<std::size_t>((h * L + i) * D + d)] =
              static_cast<float>(mixed[static_cast<std::size_t>(d)] / total);
        }
      }
    }
  }

  [[nodiscard]] std::vector<float> dhsa_output(const std::vector<std::vector<std::int32_t>>& rows) const {
    std::vector<float> out(q.size());
    for (int g = 0; g < groups(); ++g) {
      std::vector<std::int32_t> list = rows[static_cast<std::size_t>(g)];
      const int first = W > 0 ? std::max(0, g * Bq - W) : 0;
      for (int n = 0; n < G; ++n)
        list[static_cast<std::size_t>(n)] = std::min(first + n, std::min(L, (g + 1) * Bq) - 1);
      attend(list, g * Bq, std::min(L - m, (g + 1) * Bq), out);
    }
    std::vector<std::int32_t> all(static_cast<std::size_t>(L));
    std::iota(all.begin(), all.end(), 0);
    attend(all, L - m, L, out);
    return out;
  }

  [[nodiscard]] std::vector<float> block_sparse_output() const {
    std::vector<float> out(q.size());
    const int blocks = (L + Bq - 1) / Bq;
    const int wanted = std::min({budget / Bq, W > 0 ? W / Bq : blocks, blocks});
    for (int g = 0; g < blocks; ++g) {
      std::vector<std::pair<double, int>> scored;
      for (int b = W > 0 ? std::max(0, g + 1 - W / Bq) : 0; b < g; ++b) {
        double s = 0;
        for (int d = 0; d < D; ++d) {
          double of_q = 0, of_k = 0;
          for (int i = g * Bq; i < std::min(L, (g + 1) * Bq); ++i) {
            for (int h = 0; h < H; ++h) of_q += at(q, h, i, d) / H;
          }
          for (int j = b * Bq; j < (b + 1) * Bq; ++j) {
            for (int h = 0; h < Hkv; ++h) of_k += at(k, h, j, d) / Hkv;
          }
          s += of_q * of_k;
        }
        scored.emplace_back(-s, b);
      }
      std::sort(scored.begin(), scored.end());
      std::vector<std::int32_t> list;
      for (int j = g * Bq; j < std::min(L, (g + 1) * Bq); ++j) list.push_back(j);
      for (int n = 0; n < std::min(wanted - 1, static_cast<int>(scored.size())); ++n) {
        for (int j = 0; j < Bq; ++j) list.push_back(scored[static_cast<std::size_t>(n)].second * Bq + j);
      }
      attend(list, g * Bq, std::min(L, (g + 1) * Bq), out);
    }
    return out;
  }

  void write(const std::filesystem::path& path) const {
    std::vector<TensorToWrite> tensors;
    std::vector<std::vector<float>> kept_floats;
    std::vector<std::vector<std::int32_t>> kept_ints;
    kept_floats.reserve(32);
    kept_ints.reserve(32);
    const auto put = [&](const std::string& name, std::vector<std::int64_t> shape, std::vector<float> values) {
      kept_floats.push_back(std::move(values));
      tensors.push_back({name, "F32", std::move(shape), std::as_bytes(std::span<const float>(kept_floats.back()))});
    };
    const auto put_ints = [&](const std::string& name, std::vector<std::int64_t> shape,
                              std::vector<std::int32_t> values) {
      kept_ints.push_back(std::move(values));
      tensors.push_back(
          {name, "I32", std::move(shape), std::as_bytes(std::span<const std::int32_t>(kept_ints.back()))});
    };
    const auto narrow = [](const std::vector<double>& x) { return std::vector<float>(x.begin(), x.end()); };
    const auto flat = [](const std::vector<std::vector<std::int32_t>>& rows) {
      std::vector<std::int32_t> all;
      for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
      return all;
    };
    const int C = Hkv * D;
    put("q", {H, L, D}, q);
    put("k", {Hkv, L, D}, k);
    put("v", {Hkv, L, D}, v);
    put("predictor.enc.mha.in_proj_weight", {3 * C, C}, weights.in_proj_weight);
    put("predictor.enc.mha.in_proj_bias", {3 * C}, weights.in_proj_bias);
    put("predictor.enc.mha.out_proj.weight", {C, C}, weights.out_proj_weight);
    put("predictor.enc.mha.out_proj.bias", {C}, weights.out_proj_bias);
    put("predictor.enc.norm.weight", {C}, weights.norm_weight);
    put("predictor.enc.norm.bias", {C}, weights.norm_bias);
    if (gate) put("predictor.pool.gate.weight", {1, C}, weights.gate_weight);
    put("predictor.mlp.0.weight", {hidden, 4 * C + 1}, weights.mlp0_weight);
    put("predictor.mlp.0.bias", {hidden}, weights.mlp0_bias);
    put("predictor.mlp.2.weight", {1, hidden}, weights.mlp2_weight);
    put("predictor.mlp.2.bias", {1}, weights.mlp2_bias);
    const auto logits = predictor_logits();
    const auto ratios = label_ratios();
    const auto edges = boundaries(logits, -99.0);
    const auto label_edges = boundaries(ratios, 1.1);
    put("predictor_logits", {L}, narrow(logits));
    put("label_ratios", {L}, narrow(ratios));
    put_ints("predicted_boundaries", {static_cast<std::int64_t>(edges.size())}, edges);
    put_ints("label_boundaries", {static_cast<std::int64_t>(label_edges.size())}, label_edges);
    const auto plain = selection(edges, false);
    const auto normalised = selection(edges, true);
    put_ints("topk_avgpool", {groups(), kept()}, flat(plain));
    put_ints("topk_avgpool_norm", {groups(), kept()}, flat(normalised));
    put("dhsa_output", {H, L, D}, dhsa_output(normalised));
    put("block_sparse_output", {H, L, D}, block_sparse_output());
    nlohmann::json parameters = {{"L", L},
                                 {"heads", H},
                                 {"kv_heads", Hkv},
                                 {"head_dim", D},
                                 {"query_block", Bq},
                                 {"budget", budget},
                                 {"num_chunks", chunks},
                                 {"boundary_window", w},
                                 {"nms_window", nms},
                                 {"theta_label", 1.1},
                                 {"global_tokens", G},
                                 {"local_tokens", local},
                                 {"predictor_hidden", hidden},
                                 {"predictor_heads", predictor_heads},
                                 {"window_pool", gate},
                                 {"scale", 1.0 / std::sqrt(static_cast<double>(D))}};
    parameters["sliding_window"] = W > 0 ? nlohmann::json(W) : nlohmann::json(nullptr);
    parameters["instruction_tokens"] = m > 0 ? nlohmann::json(m) : nlohmann::json(nullptr);
    write_safetensors(path, tensors, {{"parameters", parameters.dump()}});
  }
};

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("dhsa_parity_" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

TEST(ReferenceParityOwn, EveryStageAgreesWithTheSlowMethod) {
  set_compute_threads(0);
  const Folder folder;
  //  L, H, Hkv, D, Bq, budget, W, m, chunks, w, nms, G, local, predictor heads, hidden, gate
  const std::vector<Slow> cases = {
      {211, 4, 2, 8, 16, 48, 0, 19, 14, 4, 8, 8, 16, 4, 12, true, {}, {}, {}, {}},
      {211, 4, 2, 8, 16, 48, 80, 19, 14, 4, 8, 8, 16, 4, 12, true, {}, {}, {}, {}},    // window
      {190, 2, 1, 16, 32, 128, 64, 24, 9, 3, 5, 16, 32, 2, 9, false, {}, {}, {}, {}},  // window below the budget
      {150, 2, 2, 8, 16, 64, 50, 0, 10, 4, 8, 8, 16, 4, 12, true, {}, {}, {}, {}},     // window, no instruction
      {170, 2, 2, 8, 32, 64, 0, 10, 12, 4, 8, 8, 8, 8, 16, true, {}, {}, {}, {}},      // blocks above the local tokens
      {170, 2, 2, 8, 8, 40, 60, 10, 12, 2, 3, 24, 8, 8, 16, false, {}, {}, {}, {}},    // sinks above the block
  };
  unsigned seed = 5;
  for (Slow slow : cases) {
    slow.fill(++seed);
    const auto path = folder.path / "case.safetensors";
    slow.write(path);
    const auto rows = compare_with_reference(path);
    EXPECT_EQ(rows.size(), 8U);
    for (const ParityRow& row : rows) EXPECT_TRUE(row.passed) << "case " << seed << ": " << report(row);
  }
}

TEST(ReferenceParityOwn, EveryFaultIsFound) {
  const Folder folder;
  Slow slow{211, 4, 2, 8, 16, 48, 80, 19, 14, 4, 8, 8, 16, 4, 12, true, {}, {}, {}, {}};
  slow.fill(3);
  const auto path = folder.path / "case.safetensors";
  slow.write(path);
  const auto file = SafetensorsFile::open(path);
  for (const char* const name : {"predictor_logits", "label_ratios", "predicted_boundaries", "label_boundaries",
                                 "topk_avgpool", "topk_avgpool_norm", "dhsa_output", "block_sparse_output"}) {
    std::vector<std::vector<std::byte>> copies;
    copies.reserve(file->tensors().size());
    std::vector<TensorToWrite> tensors;
    for (const auto& [key, info] : file->tensors()) {
      const auto bytes = file->bytes(key);
      copies.emplace_back(bytes.begin(), bytes.end());
      if (key == name) {
        // One number in the middle moves a little; of a selection the most recent key of a group, which is forced.
        const bool selection = key.starts_with("topk");
        const std::int64_t element = info.elements() / 2 - (selection ? 1 : 0);
        std::byte* const middle = copies.back().data() + static_cast<std::size_t>(element) * 4;
        if (info.dtype == "F32") {
          float value;
          std::memcpy(&value, middle, sizeof value);
          value += 0.01F;
          std::memcpy(middle, &value, sizeof value);
        } else {
          std::int32_t value;
          std::memcpy(&value, middle, sizeof value);
          value += selection ? 1 : -1;
          std::memcpy(middle, &value, sizeof value);
        }
      }
      tensors.push_back({key, info.dtype, info.shape, copies.back()});
    }
    const auto broken = folder.path / "broken.safetensors";
    write_safetensors(broken, tensors, file->metadata());
    const auto rows = compare_with_reference(broken);
    const auto at = std::find_if(rows.begin(), rows.end(), [&](const ParityRow& row) { return row.name == name; });
    ASSERT_NE(at, rows.end());
    EXPECT_FALSE(at->passed) << report(*at);
  }
}

TEST(ReferenceParityOwn, FilesOfAnotherKindAreRefused) {
  const Folder folder;
  const auto path = folder.path / "other.safetensors";
  const std::vector<float> values(4, 1.0F);
  write_safetensors(path, {{"q", "F32", {4}, std::as_bytes(std::span(values))}});
  EXPECT_THROW(static_cast<void>(compare_with_reference(path)), Error);
  write_safetensors(path, {{"q", "F32", {4}, std::as_bytes(std::span(values))}},
                    {{"parameters", R"({"L": 2, "heads": 1, "kv_heads": 1, "head_dim": 4})"}});
  EXPECT_THROW(static_cast<void>(compare_with_reference(path)), Error);
  EXPECT_THROW(static_cast<void>(compare_with_reference(folder.path / "absent.safetensors")), Error);
}

}  // namespace
}  // namespace dhsa
