// What a sweep consists of: settings, points, means.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/sweep.h"

namespace dhsa {
namespace {

constexpr std::size_t kMostPoints = 100000;

bool is_dense(const MethodChoice& choice) { return choice.parameters.method == Method::kDense; }

std::vector<SparsityParameters> combinations(const SparsityParameters& method, const std::vector<SweepAxis>& axes) {
  std::vector<SparsityParameters> all = {method};
  for (const SweepAxis& axis : axes) {
    require(all.size() * axis.values.size() <= kMostPoints, "The sweep has too many points; give fewer values.");
    std::vector<SparsityParameters> next;
    for (const SparsityParameters& base : all) {
      for (const OptionValue& value : axis.values) {
        next.push_back(base);
        set_parameter(next.back(), axis.key, value);
      }
    }
    all = std::move(next);
  }
  std::vector<SparsityParameters> different;
  std::set<std::string> seen;
  for (const SparsityParameters& combination : all) {
    SparsityParameters made = without_unread(combination, method, axes);
    std::string place;
    for (const SweepAxis& axis : axes) place += plain_text(get_parameter(made, axis.key)) + ";";
    if (seen.insert(place).second) different.push_back(std::move(made));
  }
  return different;
}

}  // namespace

SparsityParameters without_unread(const SparsityParameters& point, const SparsityParameters& method,
                                  const std::vector<SweepAxis>& axes) {
  SparsityParameters made = point;
  for (const SweepAxis& axis : axes) {
    if (!is_read(point, axis.key)) set_parameter(made, axis.key, get_parameter(method, axis.key));
  }
  return made;
}

std::vector<SweepPoint> make_points(const SweepSettings& settings, const std::vector<MethodChoice>& methods) {
  std::vector<SweepPoint> points;
  for (const std::int64_t length : settings.lengths) {
    for (std::size_t method = 0; method < methods.size(); ++method) {
      for (SparsityParameters& parameters : combinations(methods[method].parameters, settings.axes)) {
        points.push_back({method, length, std::move(parameters), {}});
      }
    }
    require(points.size() <= kMostPoints, "The sweep has too many points; give fewer values or lengths.");
  }
  return points;
}

const OptionTable<SweepSettings>& sweep_options() {
  using S = SweepSettings;
  constexpr const char* kGroup = "Sweep";
  static const OptionTable<SweepSettings> table(
      "setting of a sweep",
      {
          {{.key = "samples",
            .label = "Samples",
            .group = kGroup,
            .help = "Texts of each length",
            .minimum = 1,
            .maximum = 1000},
           &S::samples},
          {{.key = "repeats",
            .label = "Repeats",
            .group = kGroup,
            .help = "Prefills of each method on each text, for the median time",
            .minimum = 1,
            .maximum = 1000},
           &S::repeats},
          {{.key = "metrics-rows",
            .label = "Row step",
            .group = kGroup,
            .help = "Measure masks on one row in N, drawn at random; 0 no mask metrics",
            .maximum = 1e6},
           &S::metrics_rows},
          {{.key = "logit-positions",
            .label = "Logit positions",
            .group = kGroup,
            .help = "Compare logits with dense at most at N positions; 0 none",
            .maximum = 1e6},
           &S::logit_positions},
          {{.key = "seed", .label = "Seed", .group = kGroup, .help = "Seed of the texts", .maximum = kLargestSeed},
           &S::seed},
      });
  return table;
}

void check_settings(const SweepSettings& settings) {
  sweep_options().check_ranges(settings);
  check_lengths(settings.lengths, 2);
  require(settings.axes.size() <= 8, fmt::format("A sweep can vary 8 parameters, not {}.", settings.axes.size()));
  for (std::size_t i = 0; i < settings.axes.size(); ++i) {
    const SweepAxis& axis = settings.axes[i];
    const Option<SparsityParameters>& option = parameter_table().at(axis.key);
    require(axis.key != "method" && axis.key != "instruction-tokens" && axis.key != "predictor",
            fmt::format("A sweep cannot vary {}.", axis.key));
    require(!axis.values.empty() && axis.values.size() <= 256,
            fmt::format("{} can take 1 to 256 values, not {}.", axis.key, axis.values.size()));
    for (const OptionValue& value : axis.values) static_cast<void>(fitting(option, value));
    for (std::size_t j = 0; j < i; ++j) {
      require(settings.axes[j].key != axis.key, fmt::format("{} is varied twice; give its values once.", axis.key));
    }
  }
}

bool is_measured(const Measure& measure, const SweepSettings& settings) {
  switch (measure.group) {
    case Measure::Group::kCost:
    case Measure::Group::kChunks:
      return true;
    case Measure::Group::kMask:
      return !measure.may_be_sampled || settings.metrics_rows > 0;
    case Measure::Group::kLogits:
      return settings.logit_positions > 0;
    case Measure::Group::kAnswer:
      break;
  }
  return false;
}

bool SweepResults::finished() const {
  return !points.empty() && std::all_of(points.begin(), points.end(), [&](const SweepPoint& point) {
    return static_cast<std::int64_t>(point.samples.size()) >= settings.samples;
  });
}

ExperimentCount SweepResults::count() const {
  ExperimentCount count{0, static_cast<std::int64_t>(points.size()) * settings.samples};
  for (const SweepPoint& point : points) count.done += static_cast<std::int64_t>(point.samples.size());
  return count;
}

std::vector<MethodChoice> with_dense_first(std::vector<MethodChoice> methods) {
  std::stable_partition(methods.begin(), methods.end(), is_dense);
  if (methods.empty() || !is_dense(methods.front())) {
    MethodChoice dense{name_of(Method::kDense), {}};
    dense.parameters.method = Method::kDense;
    methods.insert(methods.begin(), std::move(dense));
  }
  return methods;
}

}  // namespace dhsa
