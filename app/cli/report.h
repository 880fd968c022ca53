// Measured numbers as text, and the comparison of `dhsa run`.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/model/config.h"
#include "core/run/measures.h"
#include "core/run/run.h"

namespace dhsa::cli {

// "98.4 %", or "≈ 98.4 ± 0.1 %" where it is sampled; narrow, shares in percent with so many decimals: "≈98.4±0.1".
[[nodiscard]] std::string shown(const Measure& measure, const Measured& value);
[[nodiscard]] std::string narrow(const Measure& measure, const Measured& value, int places = 1);

[[nodiscard]] std::string legend(const Values& values);  // what its measures and these signs mean

// Rows of numbers with a column for every measure that any row has, between columns of its own.
class MeasureTable {
 public:
  struct Row {
    std::string group;                // a heading where it is another than that of the row before
    std::vector<std::string> before;  // as many as the headings
    Values values;
    std::vector<std::string> after;
  };
  MeasureTable(std::vector<std::string> before, std::vector<std::string> after, int places = 1)
      : before_(std::move(before)), after_(std::move(after)), places_(places) {}
  void add(Row row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text(std::size_t most = 140, std::vector<std::size_t> left = {0}) const;
  [[nodiscard]] std::string markdown() const;  // one table for each group
  [[nodiscard]] std::string legend() const;    // of all rows

 private:
  [[nodiscard]] std::vector<const Measure*> columns() const;
  [[nodiscard]] std::vector<std::string> headings() const;
  [[nodiscard]] std::vector<std::string> cells(const Row& row) const;

  std::vector<std::string> before_;
  std::vector<std::string> after_;
  int places_;
  std::vector<Row> rows_;
};

[[nodiscard]] std::string comparison_text(const Comparison& comparison, const Gemma2Config& config);

}  // namespace dhsa::cli
