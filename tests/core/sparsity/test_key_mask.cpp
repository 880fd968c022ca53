#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
#include <vector>

#include "core/base/error.h"
#include "core/sparsity/key_mask.h"

namespace dhsa {
namespace {

// The same mask as a boolean matrix per head.
using Matrix = std::vector<std::vector<std::vector<bool>>>;

struct Case {
  KeyMask mask;
  Matrix truth;
};

Case random_case(std::mt19937& random, std::int64_t rows, int heads, std::int64_t window) {
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(std::uniform_int_distribution<std::int64_t>(low, high)(random));
  };
  std::vector<std::int32_t> groups{0};
  while (groups.back() < rows) {
    groups.push_back(static_cast<std::int32_t>(std::min<std::int64_t>(rows, groups.back() + pick(1, 9))));
  }
  Case made;
  made.truth.assign(static_cast<std::size_t>(heads),
                    std::vector<std::vector<bool>>(static_cast<std::size_t>(rows),
                                                   std::vector<bool>(static_cast<std::size_t>(rows), false)));
  KeyMask::Builder builder(groups, heads, window);
  for (std::size_t head = 0; head < static_cast<std::size_t>(heads); ++head) {
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      std::vector<KeyRange> ranges;
      std::vector<bool> keys(static_cast<std::size_t>(rows), false);
      for (int n = pick(0, 5); n > 0; --n) {
        const std::int32_t begin = pick(0, rows - 1);
        const std::int32_t end = pick(begin, rows);
        ranges.push_back({begin, end});
        for (std::int32_t j = begin; j < end; ++j) keys[static_cast<std::size_t>(j)] = true;
      }
      builder.add(ranges);
      for (std::int32_t j = groups[g]; j < groups[g + 1]; ++j) keys[static_cast<std::size_t>(j)] = true;
      for (std::int32_t i = groups[g]; i < groups[g + 1]; ++i) {
        for (std::int32_t j = 0; j <= i; ++j) {
          if (window > 0 && j <= i - window) continue;
          made.truth[head][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
              keys[static_cast<std::size_t>(j)];
        }
      }
    }
  }
  made.mask = builder.finish();
  return made;
}

void expect_matches(const KeyMask& mask, const Matrix& truth) {
  std::int64_t pairs = 0;
  std::int64_t visible = 0;
  for (int head = 0; head < mask.heads(); ++head) {
    for (std::int64_t i = 0; i < mask.rows(); ++i) {
      std::int64_t in_row = 0;
      std::vector<bool> from_ranges(static_cast<std::size_t>(mask.rows()), false);
      std::vector<KeyRange> ranges{{5, 6}};
      mask.row_ranges(head, i, ranges);
      std::int32_t last = -1;
      for (const KeyRange range : ranges) {
        ASSERT_GT(range.begin, last);
        ASSERT_GT(range.end, range.begin);
        last = range.end;
        for (std::int32_t j = range.begin; j < range.end; ++j) from_ranges[static_cast<std::size_t>(j)] = true;
      }
      for (std::int64_t j = 0; j < mask.rows(); ++j) {
        const bool kept =
            truth[static_cast<std::size_t>(head)][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
        ASSERT_EQ(mask.kept(head, i, j), kept) << "head " << head << " row " << i << " key " << j;
        ASSERT_EQ(from_ranges[static_cast<std::size_t>(j)], kept);
        in_row += kept ? 1 : 0;
        visible += j <= i && (mask.window() == 0 || j > i - mask.window()) ? 1 : 0;
      }
      ASSERT_EQ(mask.kept_keys(head, i), in_row);
      pairs += in_row;
    }
  }
  EXPECT_EQ(mask.kept_pairs(), pairs);
  EXPECT_EQ(mask.causal_pairs(), visible);
  EXPECT_DOUBLE_EQ(mask.density(), static_cast<double>(pairs) / static_cast<double>(visible));
}

Matrix combine(const Matrix& a, const Matrix& b, bool (*rule)(bool, bool)) {
  Matrix out = a;
  for (std::size_t h = 0; h < a.size(); ++h) {
    for (std::size_t i = 0; i < a[h].size(); ++i) {
      for (std::size_t j = 0; j < a[h][i].size(); ++j) out[h][i][j] = rule(a[h][i][j], b[h][i][j]);
    }
  }
  return out;
}

TEST(KeyMask, AgreesWithABooleanMatrix) {
  std::mt19937 random(7);
  for (const std::int64_t rows : {1, 2, 3, 17, 41, 64}) {
    for (const int heads : {1, 3}) {
      for (const std::int64_t window : {0, 1, 5, 16, 100}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << heads << " heads, window " << window);
        const Case one = random_case(random, rows, heads, window);
        const Case two = random_case(random, rows, heads, window);
        expect_matches(one.mask, one.truth);
        const Matrix both = combine(one.truth, two.truth, [](bool a, bool b) { return a && b; });
        expect_matches(one.mask.intersected(two.mask), both);
        expect_matches(one.mask.subtracted(two.mask),
                       combine(one.truth, two.truth, [](bool a, bool b) { return a && !b; }));
        EXPECT_EQ(one.mask.intersected(one.mask), one.mask);
        EXPECT_EQ(one.mask.subtracted(one.mask).kept_pairs(), 0);
      }
    }
  }
}

TEST(KeyMask, DenseKeepsEveryVisiblePairWhateverTheBlock) {
  for (const std::int64_t window : {0, 1, 7, 300}) {
    const KeyMask mask = KeyMask::dense(133, window, 10);
    EXPECT_EQ(mask.kept_pairs(), mask.causal_pairs());
    EXPECT_EQ(mask.groups(), 14);
  }
  EXPECT_EQ(KeyMask::dense(0).rows(), 0);
  EXPECT_EQ(KeyMask().groups(), 0);
  EXPECT_EQ(KeyMask().kept_pairs(), 0);
}

TEST(KeyMask, GroupsAndHeadsAreFound) {
  KeyMask::Builder builder({0, 3, 4, 9}, 2, 0);
  for (int list = 0; list < 6; ++list) builder.add({});
  const KeyMask mask = builder.finish();
  EXPECT_EQ(mask.group_of(0), 0);
  EXPECT_EQ(mask.group_of(2), 0);
  EXPECT_EQ(mask.group_of(3), 1);
  EXPECT_EQ(mask.group_of(8), 2);
  EXPECT_EQ(mask.mask_head(3, 8), 0);
  EXPECT_EQ(mask.mask_head(4, 8), 1);
  EXPECT_EQ(mask.indptr().back(), 6);
}

TEST(KeyMask, CountsPairsBeyondThirtyTwoBits) {
  const std::int64_t rows = 200000;
  EXPECT_EQ(KeyMask::dense(rows).kept_pairs(), rows * (rows + 1) / 2);
}

TEST(KeyMask, BuilderRefusesBrokenPartitions) {
  EXPECT_THROW(KeyMask::Builder({1, 2}, 1, 0), std::logic_error);
  EXPECT_THROW(KeyMask::Builder({0, 2, 2}, 1, 0), std::logic_error);
  EXPECT_THROW(KeyMask::Builder({0, 2}, 0, 0), std::logic_error);
  KeyMask::Builder few({0, 2, 4}, 1, 0);
  few.add({});
  EXPECT_THROW(static_cast<void>(few.finish()), std::logic_error);
  few.add({});
  EXPECT_THROW(few.add({}), std::logic_error);
  EXPECT_THROW(static_cast<void>(fixed_groups(4, 0)), std::logic_error);
}

TEST(KeyMask, OperationsRefuseMasksOfOtherShape) {
  const KeyMask mask = KeyMask::dense(10);
  EXPECT_THROW(static_cast<void>(mask.intersected(KeyMask::dense(11))), Error);
  EXPECT_THROW(static_cast<void>(mask.subtracted(KeyMask::dense(10, 4))), Error);
}

}  // namespace
}  // namespace dhsa
