#include "core/analysis/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace dhsa {
namespace {

// The same numbers from the same seed on every machine, which the standard distributions do not promise.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

}  // namespace

void Values::set(std::string_view key, const Measured& value) {
  const auto same = [&](const Entry& entry) { return entry.first == key; };
  const auto known = std::find_if(entries_.begin(), entries_.end(), same);
  if (known != entries_.end()) {
    known->second = value;
  } else {
    entries_.emplace_back(key, value);
  }
}

void Values::set(std::string_view key, double exact) {
  Measured measured;
  measured.value = exact;
  set(key, measured);
}

const Measured* Values::find(std::string_view key) const noexcept {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.first == key; });
  return found == entries_.end() ? nullptr : &found->second;
}

const Measured& Values::at(std::string_view key) const {
  const Measured* found = find(key);
  if (found == nullptr) throw std::out_of_range(fmt::format("\"{}\" was not measured.", key));
  return *found;
}

bool Values::sampled() const noexcept {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.second.sampled(); });
}

void to_json(nlohmann::json& json, const Values& values) {
  json = nlohmann::json::object();
  for (const auto& [key, measured] : values.entries()) {
    json[key] = measured.value;
    if (!measured.sampled()) continue;
    const double error = measured.standard_error;
    json["standard_error"][key] = std::isnan(error) ? nlohmann::json(nullptr) : nlohmann::json(error);
    json["row_step"][key] = measured.row_step;
    json["rows"][key] = measured.rows;
  }
}

Measured lowest_of(std::span<const Measured> values) {
  Measured lowest = *std::min_element(
      values.begin(), values.end(), [](const Measured& one, const Measured& other) { return one.value < other.value; });
  const double reach = lowest.value + 2 * lowest.standard_error;
  for (const Measured& other : values) {
    if (other.value - 2 * other.standard_error > reach) continue;
    lowest.row_step = std::max(lowest.row_step, other.row_step);
    if (other.standard_error > lowest.standard_error) lowest.standard_error = other.standard_error;
  }
  return lowest;
}

RowSample draw_rows(std::int64_t begin, std::int64_t end, std::int64_t step, std::uint64_t seed) {
  RowSample sample;
  sample.step = step;
  const std::int64_t all = end - begin;
  const std::int64_t ranges = (all + step - 1) / step;
  for (std::int64_t i = 0; i <= ranges; ++i) sample.begins.push_back(begin + (ranges > 0 ? i * all / ranges : 0));
  for (std::int64_t i = 0; i < ranges; ++i) {
    const std::int64_t from = sample.begins[static_cast<std::size_t>(i)];
    const auto size = static_cast<std::uint64_t>(sample.begins[static_cast<std::size_t>(i) + 1] - from);
    sample.rows.push_back(from + static_cast<std::int64_t>(mixed(mixed(seed) + static_cast<std::uint64_t>(i)) % size));
  }
  return sample;
}

double standard_error(std::span<const double> residuals, const RowSample& sample) {
  const std::size_t rows = sample.rows.size();
  const auto all = static_cast<double>(sample.begins.back() - sample.begins.front());
  const double drawn = static_cast<double>(rows) / all;
  if (drawn >= 1) return 0;
  if (rows < 2) return std::numeric_limits<double>::quiet_NaN();
  double squares = 0;
  for (std::size_t r = 0; r + 1 < rows; ++r) {
    const double change = (sample.weight(r) * residuals[r] - sample.weight(r + 1) * residuals[r + 1]) / all;
    squares += change * change;
  }
  const auto n = static_cast<double>(rows);
  return std::sqrt((1 - drawn) * n / (n - 1) * squares / 2);
}

Measured sampled_mean(std::span<const double> values, const RowSample& sample) {
  Measured mean;
  mean.row_step = sample.step;
  mean.rows = sample.size();
  double sum = 0;
  double weights = 0;
  for (std::size_t r = 0; r < sample.rows.size(); ++r) {
    sum += sample.weight(r) * values[r];
    weights += sample.weight(r);
  }
  mean.value = sum / weights;
  std::vector<double> residuals(values.begin(), values.end());
  for (double& residual : residuals) residual -= mean.value;
  mean.standard_error = standard_error(residuals, sample);
  return mean;
}

}  // namespace dhsa
