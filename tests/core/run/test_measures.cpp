#include "core/run/measures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/error.h"
#include "tests/core/run/tiny_model.h"

namespace dhsa {
namespace {

Measured sampled(double value, double error, double weight = 1) {
  Measured measured;
  measured.value = value;
  measured.row_step = 5;
  measured.rows = 10;
  measured.standard_error = error;
  measured.weight = weight;
  return measured;
}

// Whatever a run measures is in the table, and of what is said there to be exact nothing is sampled.
TEST(Measures, DescribeAllThatARunMeasures) {
  std::set<std::string_view> keys;
  for (const Measure& measure : measures()) {
    EXPECT_TRUE(keys.insert(measure.key).second) << measure.key;
    EXPECT_FALSE(measure.label.empty() || measure.help.empty()) << measure.key;
    EXPECT_EQ(&dhsa::measure(measure.key), &measure);
  }
  const std::vector<std::int32_t> ids = random_ids(97);
  CompareOptions options;
  options.metrics_rows = 3;
  options.logit_positions = 40;
  options.max_new_tokens = 0;
  const Comparison comparison =
      compare_methods(*tiny_model(), ids, {97, {}},
                      std::vector<MethodChoice>{small_choice(Method::kDense), small_choice(Method::kDhsa)}, options);
  const Values values = summarise(comparison.runs[1]);
  const auto of_answers = std::count_if(measures().begin(), measures().end(), [](const Measure& measure) {
    return measure.group == Measure::Group::kAnswer;  // those of the experiments
  });
  EXPECT_EQ(values.entries().size(), measures().size() - static_cast<std::size_t>(of_answers));
  for (const auto& [key, value] : values.entries()) {
    EXPECT_EQ(value.sampled(), measure(key).may_be_sampled) << key;
    EXPECT_TRUE(std::isfinite(value.value)) << key;
    if (key == "worst_rows_mass") continue;  // so few rows tell nothing of its error
    EXPECT_TRUE(std::isfinite(value.standard_error)) << key;
  }
  EXPECT_FALSE(summarise(comparison.runs[0]).sampled());  // dense keeps everything: nothing to estimate
  EXPECT_THROW(static_cast<void>(measure("speed")), Error);
}

TEST(Measures, CombineByTheirOwnRules) {
  std::vector<Values> layers(2);
  layers[0].set("retained_mass", sampled(0.8, 0.03));
  layers[1].set("retained_mass", sampled(0.6, 0.04));
  layers[0].set("worst_rows_mass", sampled(0.5, 0.01));
  layers[1].set("worst_rows_mass", 0.2);
  Measured density;
  density.value = 1;
  density.weight = 100;
  layers[0].set("density", density);
  density.value = 0.5;
  density.weight = 300;
  layers[1].set("density", density);
  layers[0].set("iou", 0.5);  // not of both
  const Values whole = combine(layers);
  EXPECT_DOUBLE_EQ(whole.value("retained_mass"), 0.7);
  EXPECT_DOUBLE_EQ(whole.at("retained_mass").standard_error, 0.025);
  EXPECT_EQ(whole.at("retained_mass").rows, 10);
  EXPECT_EQ(whole.value("worst_rows_mass"), 0.2);
  EXPECT_TRUE(whole.at("worst_rows_mass").sampled());  // another layer's might be the lowest
  EXPECT_DOUBLE_EQ(whole.value("density"), 250.0 / 400);
  EXPECT_FALSE(whole.at("density").sampled());
  EXPECT_EQ(whole.find("iou"), nullptr);
}

TEST(Measures, ATableToExportHasTheErrorsBesideTheValues) {
  Values values;
  values.set("density", 0.25);
  values.set("retained_mass", sampled(0.8, 0.03));
  values.set("iou", sampled(0.5, std::nan("")));
  const MeasureColumns masks(layer_measures());
  const std::vector<std::string> columns = masks.headings();
  const std::vector<std::string> cells = masks.cells(values);
  ASSERT_EQ(columns.size(), cells.size());
  const auto cell = [&](const char* column) {
    const auto at = std::find(columns.begin(), columns.end(), column);
    return at == columns.end() ? "no such column" : cells[static_cast<std::size_t>(at - columns.begin())];
  };
  EXPECT_EQ(cell("retained_mass_global"), "no such column");  // of runs only
  EXPECT_EQ(cell("density"), "0.25");
  EXPECT_EQ(cell("density_row_step"), "no such column");  // always exact
  EXPECT_EQ(cell("retained_mass"), "0.8");
  EXPECT_EQ(cell("retained_mass_row_step"), "5");
  EXPECT_EQ(cell("retained_mass_standard_error"), "0.03");
  EXPECT_EQ(cell("iou_standard_error"), "");  // not known
  EXPECT_EQ(cell("output_error"), "");        // not measured

  // Of what is there: no column for what nobody measured, errors where something was sampled.
  const MeasureColumns found(std::span<const Values>(&values, 1));
  EXPECT_EQ(found.headings(),
            (std::vector<std::string>{"density", "retained_mass", "retained_mass_standard_error",
                                      "retained_mass_row_step", "iou", "iou_standard_error", "iou_row_step"}));
  EXPECT_EQ(found.cells(values), (std::vector<std::string>{"0.25", "0.8", "0.03", "5", "0.5", "", "5"}));
}

}  // namespace
}  // namespace dhsa
