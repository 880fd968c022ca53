#include "core/analysis/values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace dhsa {
namespace {

TEST(DrawRows, OneFromEachOfEqualRanges) {
  for (const std::int64_t all : {1, 2, 7, 50, 51, 700}) {
    for (const std::int64_t step : {1, 2, 3, 7, 100, 1000}) {
      const RowSample sample = draw_rows(10, 10 + all, step, 3);
      ASSERT_EQ(sample.size(), (all + step - 1) / step) << all << " " << step;
      EXPECT_EQ(sample.begins.front(), 10);
      EXPECT_EQ(sample.begins.back(), 10 + all);
      for (std::size_t r = 0; r < sample.rows.size(); ++r) {
        EXPECT_GE(sample.rows[r], sample.begins[r]);
        EXPECT_LT(sample.rows[r], sample.begins[r + 1]);
        EXPECT_LE(sample.weight(r), static_cast<double>(step));
      }
    }
  }
}

TEST(DrawRows, EveryRowIsDrawnAlikeAndEverySeedDrawsOthers) {
  constexpr int kDraws = 4000;
  std::vector<int> drawn(21, 0);
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    for (const std::int64_t row : draw_rows(0, 21, 7, seed).rows) ++drawn[static_cast<std::size_t>(row)];
  }
  for (const int times : drawn) EXPECT_NEAR(times, kDraws / 7.0, 5 * std::sqrt(kDraws / 7.0));
  EXPECT_EQ(draw_rows(0, 100, 7, 5).rows, draw_rows(0, 100, 7, 5).rows);
  EXPECT_NE(draw_rows(0, 100, 7, 5).rows, draw_rows(0, 100, 7, 6).rows);
}

TEST(StandardError, IsNoughtOfAllRowsAndUnknownOfOne) {
  const std::vector<double> values = {1, 2, 3, 4};
  const Measured all = sampled_mean(values, draw_rows(0, 4, 1));
  EXPECT_FALSE(all.sampled());
  EXPECT_EQ(all.value, 2.5);
  EXPECT_EQ(all.standard_error, 0);
  const Measured one = sampled_mean(std::span(values).first(1), draw_rows(0, 4, 4));
  EXPECT_TRUE(one.sampled());
  EXPECT_TRUE(std::isnan(one.standard_error));
}

TEST(Values, SayWhatTheyRestOn) {
  Values values;
  values.set("density", 0.5);
  EXPECT_EQ(nlohmann::json(values), nlohmann::json({{"density", 0.5}}));
  Measured mass;
  mass.value = 0.9;
  mass.row_step = 7;
  mass.rows = 12;
  mass.standard_error = 0.01;
  values.set("retained_mass", mass);
  EXPECT_EQ(nlohmann::json(values), nlohmann::json({{"density", 0.5},
                                                    {"retained_mass", 0.9},
                                                    {"row_step", {{"retained_mass", 7}}},
                                                    {"rows", {{"retained_mass", 12}}},
                                                    {"standard_error", {{"retained_mass", 0.01}}}}));
  mass.row_step = 3;
  mass.standard_error = std::nan("");  // another step, and too few rows to tell
  values.set("iou", mass);
  const nlohmann::json both = values;
  EXPECT_EQ(both["row_step"], nlohmann::json({{"retained_mass", 7}, {"iou", 3}}));
  EXPECT_TRUE(both["standard_error"]["iou"].is_null());
  EXPECT_EQ(values.find("of_oracle"), nullptr);
  EXPECT_THROW(static_cast<void>(values.value("of_oracle")), std::out_of_range);
}

}  // namespace
}  // namespace dhsa
