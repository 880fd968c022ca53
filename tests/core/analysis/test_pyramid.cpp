// Level of detail: nothing kept may vanish, and what a pixel says must be true of the cells it stands for.
#include "core/analysis/pyramid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <tuple>

namespace dhsa {
namespace {

using Cell = std::pair<std::int64_t, std::int64_t>;

// `cells` far from each other on top of the diagonal; each row of its own group.
std::vector<Cell> isolated_cells(std::int64_t tokens, int count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::set<std::int64_t> rows;
  while (static_cast<int>(rows.size()) < count)
    rows.insert(1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(tokens - 1)));
  std::vector<Cell> cells;
  for (const std::int64_t row : rows)
    cells.emplace_back(row, static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(row)));
  return cells;
}

KeyMask mask_of_cells(std::int64_t tokens, const std::vector<Cell>& cells) {
  std::set<std::int32_t> edges{0, static_cast<std::int32_t>(tokens)};
  for (const auto& [row, key] : cells) {
    edges.insert(static_cast<std::int32_t>(row));
    edges.insert(static_cast<std::int32_t>(row + 1));
  }
  // Groups of one row elsewhere would be many; short groups keep the diagonal thin.
  for (std::int32_t i = 0; i < tokens; i += 16) edges.insert(i);
  const std::vector<std::int32_t> group_rows(edges.begin(), edges.end());
  KeyMask::Builder builder(group_rows, 1, 0);
  std::size_t next = 0;
  for (std::size_t g = 0; g + 1 < group_rows.size(); ++g) {
    std::vector<KeyRange> ranges;
    if (next < cells.size() && cells[next].first == group_rows[g]) {
      const auto key = static_cast<std::int32_t>(cells[next++].second);
      ranges.push_back({key, key + 1});
    }
    builder.add(std::move(ranges));
  }
  return builder.finish();
}

KeyMask random_mask(std::int64_t tokens, std::int64_t window, unsigned seed, int heads = 1) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> edges{0};
  while (edges.back() < tokens)
    edges.push_back(static_cast<std::int32_t>(std::min<std::int64_t>(tokens, edges.back() + 1 + random() % 23)));
  KeyMask::Builder builder(edges, heads, window);
  for (int h = 0; h < heads; ++h) {
    for (std::size_t g = 0; g + 1 < edges.size(); ++g) {
      std::vector<KeyRange> ranges;
      for (auto r = random() % 6; r > 0; --r) {
        const auto begin = static_cast<std::int32_t>(random() % static_cast<unsigned>(edges[g + 1]));
        ranges.push_back({begin, begin + 1 + static_cast<std::int32_t>(random() % 9)});
      }
      builder.add(std::move(ranges));
    }
  }
  return builder.finish();
}

// Cells a pixel stands for, said independently of AxisPartition: centres inside (a, b], or the cell under the centre.
std::vector<std::int64_t> cells_of_pixel(double begin, double end, int pixels, int pixel, std::int64_t tokens) {
  const double step = (end - begin) / pixels;
  const double a = begin + pixel * step;
  const double b = begin + (pixel + 1) * step;
  std::vector<std::int64_t> cells;
  for (auto c = static_cast<std::int64_t>(std::floor(a)) - 1; c <= static_cast<std::int64_t>(std::ceil(b)); ++c)
    if (static_cast<double>(c) + 0.5 > a && static_cast<double>(c) + 0.5 <= b) cells.push_back(c);
  if (cells.empty()) cells.push_back(static_cast<std::int64_t>(std::floor((a + b) / 2)));
  std::erase_if(cells, [&](std::int64_t c) { return c < 0 || c >= tokens; });
  return cells;
}

// Compares a sampling with what at() says of every cell behind every pixel.
void expect_brute_force(const MatrixSource& source, const Viewport& view, int width, int height,
                        const SampleOptions& options, float tolerance) {
  SampleGrid grid;
  source.sample(view, width, height, options, grid);
  ASSERT_EQ(grid.max.size(), static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    const auto rows = cells_of_pixel(view.row_begin, view.row_end, height, y, source.tokens());
    for (int x = 0; x < width; ++x) {
      const auto keys = cells_of_pixel(view.key_begin, view.key_end, width, x, source.tokens());
      float most = NAN;
      double sum = 0;
      int count = 0;
      for (const auto i : rows) {
        for (const auto j : keys) {
          const float value = source.at(i, j);
          if (std::isnan(value) || j < options.skip_keys) continue;
          if (std::isnan(most) || std::abs(value) > std::abs(most)) most = value;
          sum += static_cast<double>(value);
          ++count;
        }
      }
      const auto at = static_cast<std::size_t>(y * width + x);
      ASSERT_EQ(grid.cells[at], static_cast<float>(count)) << y << ' ' << x;
      ASSERT_EQ(std::isnan(grid.max[at]), count == 0) << y << ' ' << x;
      if (count == 0) continue;
      ASSERT_NEAR(grid.max[at], most, tolerance) << y << ' ' << x;
      ASSERT_NEAR(grid.mean[at], sum / count, tolerance) << y << ' ' << x;
    }
  }
}

TEST(AxisPartition, EveryCellBelongsToOnePixelAndTheCellUnderThePointerIsShown) {
  for (const std::int64_t tokens : {1, 7, 300, 4096, 32768}) {
    for (const int pixels : {1, 3, 97, 640, 1000}) {
      for (const double zoom : {1.0, 1.7, 4.0, 33.3, 700.0}) {
        const double size = static_cast<double>(tokens) / zoom;
        const double begin = (static_cast<double>(tokens) - size) * 0.37;
        const AxisPartition axis(begin, begin + size, pixels, 0, tokens);
        for (int s = 1; s < axis.spans(); ++s) ASSERT_EQ(axis.begin(s), axis.end(s - 1));
        for (int p = 0; p < pixels; ++p) {
          const auto under = static_cast<std::int64_t>(std::floor(begin + (p + 0.5) * size / pixels));
          if (under < 0 || under >= tokens) continue;
          const int span = axis.span_of_pixel(p);
          ASSERT_GE(span, 0);
          ASSERT_LE(axis.begin(span), under);
          ASSERT_GT(axis.end(span), under);
          ASSERT_EQ(axis.span_of_cell(under), span);
        }
        if (size >= pixels && zoom == 1.0) {
          ASSERT_EQ(axis.first(), 0);
          ASSERT_EQ(axis.last(), tokens);
        }
      }
    }
  }
}

TEST(CausalCells, AgreesWithCounting) {
  for (const std::int64_t window : {0, 1, 5, 40}) {
    for (const auto& [r0, r1, k0, k1] :
         std::vector<std::tuple<int, int, int, int>>{{0, 30, 0, 30}, {3, 9, 2, 17}, {10, 12, 0, 4}, {0, 4, 8, 12}}) {
      std::int64_t count = 0;
      for (int i = r0; i < r1; ++i)
        for (int j = k0; j < k1; ++j) count += j <= i && (window == 0 || j > i - window) ? 1 : 0;
      EXPECT_EQ(causal_cells(r0, r1, k0, k1, window), count);
    }
  }
}

class ManyTokens : public testing::TestWithParam<std::int64_t> {};

TEST_P(ManyTokens, IsolatedCellsShowAtEveryZoom) {
  const std::int64_t tokens = GetParam();
  const auto cells = isolated_cells(tokens, 300, 7);
  const MaskSource source(std::make_shared<KeyMask>(mask_of_cells(tokens, cells)));
  SampleGrid grid;
  for (const int pixels : {100, 333, 800, 1000}) {
    for (double zoom = 1; zoom <= static_cast<double>(tokens) / 16; zoom *= 5.3) {
      const double size = static_cast<double>(tokens) / zoom;
      int seen = 0;
      for (const auto& [row, key] : cells) {
        // At each zoom a view that holds the cell, at a place that is not its middle.
        const double limit = static_cast<double>(tokens) - size;
        const double r0 = std::clamp(static_cast<double>(row) - 0.31 * size, 0.0, limit);
        const double k0 = std::clamp(static_cast<double>(key) - 0.77 * size, 0.0, limit);
        const int side = zoom == 1 ? pixels : 40;
        if (zoom != 1 || seen == 0) source.sample({r0, r0 + size, k0, k0 + size}, side, side, {}, grid);
        const auto y = static_cast<std::size_t>((static_cast<double>(row) + 0.5 - r0) / size * side);
        const auto x = static_cast<std::size_t>((static_cast<double>(key) + 0.5 - k0) / size * side);
        const std::size_t at = y * static_cast<std::size_t>(side) + x;
        ASSERT_EQ(grid.max[at], 1.0F) << "cell " << row << ' ' << key << " at zoom " << zoom;
        ASSERT_GT(grid.mean[at], 0.0F);
        ++seen;
      }
      ASSERT_EQ(seen, 300);
    }
  }
}

TEST_P(ManyTokens, OneTokenLinesShowAtEveryZoom) {
  const std::int64_t tokens = GetParam();
  std::vector<KeyRange> lines;
  for (std::int32_t n = 0; n < 100; ++n) {
    const auto key = static_cast<std::int32_t>(n * (tokens / 101) + n % 7);
    lines.push_back({key, key + 1});
  }
  const auto group_rows = fixed_groups(tokens, 32);
  KeyMask::Builder builder(group_rows, 1, 0);
  for (std::size_t g = 0; g + 1 < group_rows.size(); ++g) {
    std::vector<KeyRange> ranges;
    for (const KeyRange line : lines)
      if (line.begin < group_rows[g + 1]) ranges.push_back(line);
    builder.add(std::move(ranges));
  }
  const MaskSource source(std::make_shared<KeyMask>(builder.finish()));
  SampleGrid grid;
  for (const int pixels : {64, 200, 777, 1000}) {
    const auto size = static_cast<double>(tokens);
    source.sample({0, size, 0, size}, pixels, pixels, {}, grid);
    for (const KeyRange line : lines) {
      const auto x = static_cast<std::size_t>((line.begin + 0.5) / size * pixels);
      for (std::size_t y = 0; y < static_cast<std::size_t>(pixels); ++y) {
        const float value = grid.max[y * static_cast<std::size_t>(pixels) + x];
        const bool line_began = (static_cast<double>(y) + 1) / pixels * size > line.begin + 33;
        if (line_began) {
          ASSERT_EQ(value, 1.0F) << line.begin << ' ' << y;
        }
      }
    }
    // Not everything is painted: a long way from lines and diagonal the map stays empty.
    const auto empty = std::count(grid.max.begin(), grid.max.end(), 0.0F);
    if (pixels >= 777) {
      EXPECT_GT(empty, static_cast<std::int64_t>(pixels) * pixels / 4);
    }
  }
}

TEST_P(ManyTokens, DensityIsPreserved) {
  const std::int64_t tokens = GetParam();
  for (const std::int64_t window : {std::int64_t{0}, tokens / 8 + 3}) {
    const auto mask = std::make_shared<KeyMask>(random_mask(tokens, window, 3));
    const MaskSource source(mask);
    SampleGrid grid;
    for (const int pixels : {63, 512, 1000}) {
      const auto size = static_cast<double>(tokens);
      source.sample({0, size, 0, size}, pixels, pixels - 13, {}, grid);
      double kept = 0;
      double causal = 0;
      for (std::size_t i = 0; i < grid.mean.size(); ++i) {
        causal += static_cast<double>(grid.cells[i]);
        if (grid.cells[i] > 0)
          kept += std::round(static_cast<double>(grid.mean[i]) * static_cast<double>(grid.cells[i]));
      }
      EXPECT_EQ(static_cast<std::int64_t>(kept), mask->kept_pairs());
      EXPECT_EQ(static_cast<std::int64_t>(causal), mask->causal_pairs());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ManyTokens, testing::Values(4096, 32768));

TEST(MaskSource, AgreesWithBruteForce) {
  for (const std::int64_t window : {0, 1, 6, 50}) {
    const auto mask = std::make_shared<KeyMask>(random_mask(131, window, 11, 2));
    for (const int head : {0, 1}) {
      const MaskSource source(mask, head);
      for (const std::int64_t skip : {0, 5}) {
        const SampleOptions options{.skip_keys = skip};
        expect_brute_force(source, {0, 131, 0, 131}, 131, 131, options, 1e-6F);
        expect_brute_force(source, {0, 131, 0, 131}, 40, 27, options, 1e-6F);
        expect_brute_force(source, {10.3, 77.9, 3.4, 41.2}, 33, 200, options, 1e-6F);
        expect_brute_force(source, {-4.5, 20, 100, 140.25}, 19, 19, options, 1e-6F);
      }
    }
  }
}

TEST(MaskSource, AMaskOfVeryManyRangesShowsAllCellsAtFirstGlanceAndExactlyAfterRefining) {
  const auto mask = std::make_shared<KeyMask>(random_mask(3000, 0, 5));
  const MaskSource exact(mask);
  const MaskSource hasty(mask, 0, 100);
  SampleGrid a, b;
  const Viewport view{200, 2200, 100, 2100};
  EXPECT_TRUE(hasty.refines(view, 1500, 1500));
  exact.sample(view, 300, 300, {}, a);
  hasty.sample(view, 300, 300, {}, b);
  EXPECT_FALSE(b.exact);
  for (std::size_t i = 0; i < a.max.size(); ++i) {
    ASSERT_EQ(std::isnan(a.max[i]), std::isnan(b.max[i]));
    if (a.max[i] > 0) {
      ASSERT_EQ(b.max[i], 1.0F);
    }
  }
  hasty.sample(view, 300, 300, {.refine = true}, b);
  EXPECT_TRUE(b.exact);
  for (std::size_t i = 0; i < a.max.size(); ++i)
    if (!std::isnan(a.max[i])) {
      ASSERT_EQ(a.mean[i], b.mean[i]);
    }
}

TEST(ScoreSource, UpsamplesByGroupsAndChunks) {
  const std::vector<std::int32_t> group_rows{0, 30, 60, 100};
  const std::vector<std::int32_t> boundaries{0, 7, 33, 50, 81, 100};
  std::vector<float> scores;
  for (int g = 0; g < 3; ++g)
    for (int c = 0; c < 5; ++c)
      scores.push_back(boundaries[static_cast<std::size_t>(c)] < group_rows[static_cast<std::size_t>(g) + 1]
                           ? static_cast<float>(10 * g + c + 1)
                           : NAN);
  for (const std::int64_t window : {0, 20}) {
    const ScoreSource tokens(scores, group_rows, boundaries, true, window);
    EXPECT_EQ(tokens.at(45, 40), 13.0F);
    EXPECT_TRUE(std::isnan(tokens.at(45, 46)));
    EXPECT_EQ(std::isnan(tokens.at(45, 20)), window > 0);
    // One cell per pixel or finer: exact values.
    expect_brute_force(tokens, {0, 100, 0, 100}, 100, 100, {}, 1e-5F);
    expect_brute_force(tokens, {20, 45, 3, 40}, 150, 90, {.skip_keys = 4}, 1e-5F);
  }
  const ScoreSource chunks(scores, group_rows, boundaries, false);
  EXPECT_EQ(chunks.at(31, 55), 14.0F);  // above the diagonal, inside the block of its group
  EXPECT_TRUE(std::isnan(chunks.at(10, 99)));
  EXPECT_THROW(ScoreSource(std::span(scores).first(4), group_rows, boundaries, true), Error);
}

TEST(PredictedImportance, IsTheSoftmaxOfTheScoresSpreadOverAChunksTokens) {
  Plan plan;
  plan.mask = KeyMask::dense(10, 0, 5);
  plan.trace.boundaries = {0, 3, 10};
  plan.trace.chunk_scores = {1, NAN, 4, -2, 7, 8, 5, 9};  // two mask heads, two groups, two chunks
  const auto first_of_two = [](double a, double b) { return 1 / (1 + std::exp(b - a)); };
  const double first = (1 + first_of_two(4, -2) + first_of_two(7, 8) + first_of_two(5, 9)) / 4;
  const std::vector<float> importance = predicted_importance(plan);
  ASSERT_EQ(importance.size(), 10U);
  for (std::size_t j = 0; j < 10; ++j) {
    EXPECT_NEAR(importance[j], 10 * (j < 3 ? first / 3 : (1 - first) / 7), 1e-5) << j;
  }
  EXPECT_EQ(score_source(plan, 1, true)->at(7, 2), 5.0F);
  plan.trace.chunk_scores.clear();
  EXPECT_TRUE(predicted_importance(plan).empty());
}

struct Attention {
  std::int64_t tokens, dim;
  int heads, kv_heads;
  std::vector<float> q, k;
  Attention(std::int64_t l, std::int64_t d, int h, int hkv) : tokens(l), dim(d), heads(h), kv_heads(hkv) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < h * l * d; ++i) q.push_back(normal(random));
    for (std::int64_t i = 0; i < hkv * l * d; ++i) k.push_back(normal(random));
  }
  [[nodiscard]] AttentionInput input(std::vector<int> shown, LayerInfo layer, std::shared_ptr<const KeyMask> mask) {
    return {heads_view(q.data(), heads, tokens, dim),
            heads_view(k.data(), kv_heads, tokens, dim),
            std::move(shown),
            layer,
            std::move(mask),
            nullptr};
  }
  // Plain softmax in double precision.
  [[nodiscard]] double probability(int head, std::int64_t row, std::int64_t key, const LayerInfo& layer,
                                   const KeyMask* mask) const {
    double sum = 0;
    double own = 0;
    for (std::int64_t j = 0; j <= row; ++j) {
      if (layer.window > 0 && j <= row - layer.window) continue;
      if (mask != nullptr && !mask->kept(mask->mask_head(head, heads), row, j)) continue;
      double s = 0;
      for (std::int64_t d = 0; d < dim; ++d)
        s += static_cast<double>(q[static_cast<std::size_t>((head * tokens + row) * dim + d)]) *
             static_cast<double>(k[static_cast<std::size_t>((head / (heads / kv_heads) * tokens + j) * dim + d)]);
      s *= static_cast<double>(layer.scale);
      if (layer.softcap > 0) s = static_cast<double>(layer.softcap) * std::tanh(s / static_cast<double>(layer.softcap));
      const double e = std::exp(s);
      sum += e;
      if (j == key) own = e;
    }
    return own / sum;
  }
};

TEST(AttentionLevels, ExactValuesAreTheSoftmaxOverAllOrKeptKeys) {
  Attention data(75, 8, 4, 2);
  for (const std::int64_t window : {0, 30}) {
    const LayerInfo layer{0, window, 0.4F, 5.0F};
    const auto mask = std::make_shared<KeyMask>(random_mask(75, window, 2, 2));
    const std::vector<int> heads{1, 2};
    const auto levels = AttentionLevels::build(data.input(heads, layer, mask));
    using What = AttentionLevels::What;
    for (const std::int64_t row : {0, 13, 44, 74}) {
      for (std::int64_t key = std::max<std::int64_t>(0, window > 0 ? row - window + 1 : 0); key <= row; ++key) {
        double dense = 0;
        double sparse = 0;
        double dropped = 0;
        for (const int h : heads) {
          dense += data.probability(h, row, key, layer, nullptr) / 2;
          if (!mask->kept(mask->mask_head(h, data.heads), row, key))
            dropped += data.probability(h, row, key, layer, nullptr) / 2;
          sparse += data.probability(h, row, key, layer, mask.get()) / 2;
        }
        ASSERT_NEAR(levels->at(What::kDense, row, key), dense, 1e-5);
        ASSERT_NEAR(levels->at(What::kSparse, row, key), sparse, 1e-5);
        ASSERT_NEAR(levels->at(What::kDifference, row, key), dense - sparse, 1e-5);
        ASSERT_NEAR(levels->at(What::kDropped, row, key), dropped, 1e-5);
      }
    }
    EXPECT_TRUE(std::isnan(levels->at(What::kDense, 3, 4)));
    for (const What what : {What::kDense, What::kSparse, What::kDifference, What::kDropped}) {
      const auto source = attention_source(levels, what);
      EXPECT_FALSE(source->refines({0, 75, 0, 75}, 200, 200));  // blocks of one cell are exact as they are
      expect_brute_force(*source, {0, 75, 0, 75}, 75, 75, {}, 1e-5F);
      expect_brute_force(*source, {10, 40, 5, 35}, 60, 60, {.skip_keys = 8}, 1e-5F);
    }
  }
}

TEST(AttentionLevels, BlocksHoldTheLargestAndTheMeanOfTheirCellsAndTilesAreExact) {
  Attention data(203, 8, 2, 1);
  const LayerInfo layer{0, 0, 0.5F, 0.0F};
  const auto mask = std::make_shared<KeyMask>(random_mask(203, 0, 9));
  AttentionLevels::Options options;
  options.blocks = 29;  // blocks of 7 cells
  options.fine_keys = 10;
  double done = 0;
  options.progress = [&](double share) { done = share; };
  const auto levels = AttentionLevels::build(data.input({1}, layer, mask), options);
  EXPECT_DOUBLE_EQ(done, 1.0);
  for (const auto what : {AttentionLevels::What::kDense, AttentionLevels::What::kSparse,
                          AttentionLevels::What::kDifference, AttentionLevels::What::kDropped}) {
    const auto source = attention_source(levels, what);
    // Pixels of whole blocks: as good as brute force (the first 10 keys fill blocks of their own).
    SampleGrid grid;
    source->sample({0, 203, 0, 203}, 29, 29, {}, grid);
    EXPECT_FALSE(grid.exact);
    for (int y = 0; y < 29; ++y) {
      for (int x = 0; x < 29; ++x) {
        if (x == 1) continue;  // keys 7 to 13 share a pixel with fine columns: checked below
        float most = NAN;
        double sum = 0;
        int count = 0;
        for (int i = 7 * y; i < 7 * y + 7; ++i)
          for (int j = 7 * x; j < 7 * x + 7; ++j) {
            const float p = source->at(i, j);
            if (std::isnan(p)) continue;
            if (std::isnan(most) || std::abs(p) > std::abs(most)) most = p;
            sum += static_cast<double>(p);
            ++count;
          }
        const auto at = static_cast<std::size_t>(y * 29 + x);
        ASSERT_EQ(std::isnan(grid.max[at]), count == 0);
        if (count == 0) continue;
        ASSERT_NEAR(grid.max[at], most, 1e-5);
        ASSERT_NEAR(grid.mean[at], sum / count, 1e-5);
      }
    }
    const Viewport close{20, 60, 4, 50};
    EXPECT_TRUE(source->refines(close, 100, 100));
    expect_brute_force(*source, close, 100, 100, {.refine = true}, 1e-5F);
    expect_brute_force(*source, close, 17, 13, {.skip_keys = 9, .refine = true}, 1e-5F);
  }
  // Leaving out the first keys takes sinks out of the picture.
  const auto dense = attention_source(levels, AttentionLevels::What::kDense);
  SampleGrid grid;
  dense->sample({0, 203, 0, 203}, 203, 29, {.skip_keys = 5}, grid);
  for (int x = 0; x < 5; ++x) EXPECT_TRUE(std::isnan(grid.max[static_cast<std::size_t>(28 * 203 + x)]));
  EXPECT_FALSE(std::isnan(grid.max[28 * 203 + 5]));
}

TEST(AttentionLevels, StopsWhenCancelledAndRefusesWhatDoesNotFit) {
  Attention data(40, 8, 2, 1);
  const LayerInfo layer{};
  CancelToken cancel;
  cancel.cancel();
  AttentionLevels::Options options;
  options.cancel = &cancel;
  EXPECT_THROW((void)AttentionLevels::build(data.input({0}, layer, nullptr), options), Cancelled);
  EXPECT_THROW((void)AttentionLevels::build(data.input({2}, layer, nullptr)), Error);
  EXPECT_THROW((void)AttentionLevels::build(data.input({0}, layer, std::make_shared<KeyMask>(KeyMask::dense(41)))),
               Error);
  const auto dense_only = AttentionLevels::build(data.input({0}, layer, nullptr));
  EXPECT_THROW((void)attention_source(dense_only, AttentionLevels::What::kSparse), Error);
}

TEST(Glance, LooksAtAllRowsOfAShortTextAndAtSomeOfEveryBlockOfALongOne) {
  using What = AttentionLevels::What;
  for (const std::int64_t window : {0, 37}) {
    Attention data(101, 8, 4, 2);
    const LayerInfo layer{2, window, 0.4F, 5.0F};
    const auto mask = std::make_shared<KeyMask>(random_mask(101, window, 2, 2));
    const AttentionInput input = data.input({3}, layer, mask);
    const auto levels = AttentionLevels::build(input);
    for (const What what : {What::kDense, What::kDropped}) {
      const auto largest = [&](std::int64_t row_begin, std::int64_t row_end, std::int64_t begin, std::int64_t end) {
        float most = NAN;
        for (std::int64_t row = row_begin; row < row_end; ++row)
          for (std::int64_t key = begin; key < end; ++key) most = std::fmax(most, levels->at(what, row, key));
        return most;
      };
      // Blocks of one or two rows: nothing is left out.
      const ReducedMatrix whole = glance(input, what, 60, nullptr);
      ASSERT_EQ(whole.rows(), 60);
      double sum = 0;
      for (std::size_t at = 0; at < whole.max.size(); ++at) {
        const std::size_t r = at / 60;
        const std::size_t c = at % 60;
        const float most =
            largest(whole.row_edges[r], whole.row_edges[r + 1], whole.key_edges[c], whole.key_edges[c + 1]);
        if (std::isnan(most)) {
          ASSERT_TRUE(std::isnan(whole.max[at]));
          continue;
        }
        ASSERT_NEAR(whole.max[at], most, 1e-5) << r << " " << c;
        sum += static_cast<double>(whole.mean[at] * whole.cells[at]);
      }
      double expected = 0;
      for (std::int64_t row = 0; row < 101; ++row)
        for (std::int64_t key = 0; key <= row; ++key) {
          const float p = levels->at(what, row, key);
          expected += std::isnan(p) ? 0.0 : static_cast<double>(p);
        }
      EXPECT_NEAR(sum, expected, 1e-3);
      // Blocks of ten rows: of those looked at, and of no others.
      const ReducedMatrix some = glance(input, what, 10, nullptr);
      for (std::size_t r = 0; r < 10; ++r) {
        const float most = largest(some.row_edges[r], some.row_edges[r + 1], some.key_edges[r], some.key_edges[r + 1]);
        EXPECT_LE(some.max[r * 10 + r], most + 1e-5F);
        EXPECT_FALSE(std::isnan(some.max[r * 10 + r]));
      }
    }
  }
  Attention data(20, 4, 2, 1);
  EXPECT_THROW((void)glance(data.input({0}, {}, nullptr), What::kDropped, 5, nullptr), Error);
  EXPECT_THROW((void)glance(data.input({0, 1}, {}, nullptr), What::kDense, 5, nullptr), Error);
}

TEST(DescribeReducer, NamesWhatAPixelStandsFor) {
  EXPECT_EQ(describe_reducer(Reducer::kMax, MatrixSource::Kind::kMask, 16, 16), "max of 16×16 pairs");
  EXPECT_EQ(describe_reducer(Reducer::kMean, MatrixSource::Kind::kMask, 16, 8), "share kept of 16×8 pairs");
  EXPECT_EQ(describe_reducer(Reducer::kMean, MatrixSource::Kind::kScore, 2, 2), "mean of 2×2 pairs");
  EXPECT_EQ(describe_reducer(Reducer::kMax, MatrixSource::Kind::kDifference, 4, 4), "largest magnitude of 4×4 pairs");
  EXPECT_EQ(describe_reducer(Reducer::kMax, MatrixSource::Kind::kMask, 1, 1), "every pair");
}

}  // namespace
}  // namespace dhsa
