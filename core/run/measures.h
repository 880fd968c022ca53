// The one table of what is measured: reports, JSON, CSV and panels list and label their numbers by it. A measure is
// computed where its key is set (core/analysis/metrics.cpp for masks, summarise() in run.cpp for runs) and described
// here; nothing else names it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/analysis/values.h"

namespace dhsa {

struct Measure {
  enum class Group : std::uint8_t { kCost, kChunks, kMask, kLogits, kAnswer };
  enum class Format : std::uint8_t { kShare, kReal, kSeconds, kBytes, kCount };
  enum class Over : std::uint8_t { kMean, kLowest };  // over layers, and over prompts
  enum class Better : std::uint8_t { kNeither, kLower, kHigher };

  std::string_view key;      // in JSON and CSV
  std::string_view label;    // "retained mass"
  std::string_view heading;  // of a narrow column
  std::string_view unit;     // "%" for shares, "s", "nats", ...; empty: none
  Group group = Group::kMask;
  Format format = Format::kShare;
  Better better = Better::kNeither;
  Over over = Over::kMean;  // means are weighted by Measured::weight
  bool may_be_sampled = false;
  bool part = false;  // of the measure before it, indented under it
  std::string_view help;
  bool of_runs_only = false;  // of several layers together: one layer has none
};

[[nodiscard]] std::span<const Measure> measures();
[[nodiscard]] const Measure& measure(std::string_view key);  // throws Error where there is none
// The key meant by one whose words are joined by "-", or by what files of before this table call some measures.
[[nodiscard]] std::string key_of(std::string_view written);
[[nodiscard]] std::vector<Measure> layer_measures();  // of one layer's mask

// Of several layers, or prompts, by their measures' rules; what one of them lacks is left out. Their draws of rows
// count as independent. The whole is sampled where a part is.
[[nodiscard]] Values combine(std::span<const Values> parts);
// The measures that any of them has, in the order of the table.
[[nodiscard]] std::vector<const Measure*> measured_in(std::span<const Values> all);

// Columns of measures in a table that is exported; a sampled one has its standard error and row step beside it.
class MeasureColumns {
 public:
  explicit MeasureColumns(std::span<const Measure> which);  // sampled: those that may be
  explicit MeasureColumns(std::span<const Values> all);     // what any of them has; sampled: what is in any of them
  [[nodiscard]] std::vector<std::string> headings() const;
  // Empty where a value was not measured, or its error is not known.
  [[nodiscard]] std::vector<std::string> cells(const Values& values) const;

 private:
  struct Column {
    std::string key;
    bool sampled = false;
  };
  std::vector<Column> columns_;
};

}  // namespace dhsa
