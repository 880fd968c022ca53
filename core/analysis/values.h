// Numbers that say what they rest on, and values by measure. What the keys mean stands in core/run/measures.cpp.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dhsa {

struct Measured {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::int64_t row_step = 1;  // one row in so many was looked at; 1: all, the value is exact
  std::int64_t rows = 0;      // that were looked at; 0: no matter of rows
  // Of the value over draws of rows, see standard_error(); 0 where exact, NaN where too few rows were drawn to tell.
  double standard_error = 0;
  double weight = 1;  // in a mean over layers
  [[nodiscard]] bool sampled() const noexcept { return row_step > 1; }
};

// Values by measure, in the order they were set.
class Values {
 public:
  using Entry = std::pair<std::string, Measured>;
  void set(std::string_view key, const Measured& value);
  void set(std::string_view key, double exact);
  [[nodiscard]] const Measured* find(std::string_view key) const noexcept;  // null where it was not measured
  [[nodiscard]] const Measured& at(std::string_view key) const;             // throws std::out_of_range
  [[nodiscard]] double value(std::string_view key) const { return at(key).value; }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::span<const Entry> entries() const noexcept { return entries_; }
  [[nodiscard]] bool sampled() const noexcept;  // any of them

 private:
  std::vector<Entry> entries_;
};
// {key: value, ...}; of sampled ones also "row_step", "rows", "standard_error" (null: too few rows): {key: ..., ...}.
void to_json(nlohmann::json& json, const Values& values);

// Rows drawn at random, one from each of equal ranges of rows: unbiased whatever a method favours, and the same for
// every method and head.
struct RowSample {
  std::vector<std::int64_t> rows;    // ascending
  std::vector<std::int64_t> begins;  // [rows + 1] row r stands for rows [begins[r], begins[r + 1])
  std::int64_t step = 1;
  [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(rows.size()); }
  [[nodiscard]] double weight(std::size_t r) const { return static_cast<double>(begins[r + 1] - begins[r]); }
};
// At most `step` of [begin, end) in a range, so at most ceil((end - begin) / step) rows; step 1: all of them.
[[nodiscard]] RowSample draw_rows(std::int64_t begin, std::int64_t end, std::int64_t step, std::uint64_t seed = 0);

// Standard error of sum(weight * residual) / sum(weight) over draws of the rows: from differences of neighbours, as one
// row is drawn from each range; a trend within the ranges makes it a little high. For a value that is no mean of rows,
// `residuals` [rows] are the rows' influences on it.
[[nodiscard]] double standard_error(std::span<const double> residuals, const RowSample& sample);
[[nodiscard]] Measured sampled_mean(std::span<const double> values, const RowSample& sample);
// The lowest of them (not empty). Of sampled ones it lies a little too low, since noise takes part in the choice; its
// error is the largest of those that could as well be the lowest.
[[nodiscard]] Measured lowest_of(std::span<const Measured> values);

}  // namespace dhsa
