// What a sweep consists of: settings, points, means.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/experiments/long_work_internal.h"
#include "core/experiments/sweep.h"

namespace dhsa {
namespace {

constexpr std::size_t kMostPoints = 100000;

bool is_dense(const MethodChoice& choice) { return choice.parameters.method == Method::kDense; }

// Every combination of the values of the axes that the method reads.
std::vector<SparsityParameters> combinations(const SparsityParameters& method, const std::vector<SweepAxis>& axes) {
  std::vector<SparsityParameters> made = {method};
  for (const SweepAxis& axis : axes) {
    if (!varies_with(method.method, axis.key)) continue;
    std::vector<SparsityParameters> next;
    for (const SparsityParameters& base : made) {
      for (const ParameterValue& value : axis.values) {
        next.push_back(base);
        set_parameter(next.back(), axis.key, value);
      }
    }
    made = std::move(next);
    require(made.size() <= kMostPoints, "The sweep has too many points; give fewer values.");
  }
  return made;
}

}  // namespace

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

void check_settings(const SweepSettings& settings) {
  const auto in = [](std::int64_t value, std::int64_t least, std::int64_t most, const char* what) {
    require(value >= least && value <= most,
            fmt::format("The {} of a sweep cannot be {}; give {} to {}.", what, value, least, most));
  };
  in(static_cast<std::int64_t>(settings.lengths.size()), 1, 64, "number of lengths");
  for (std::size_t i = 0; i < settings.lengths.size(); ++i) {
    in(settings.lengths[i], 2, std::int64_t{1} << 24, "length");
    require(i == 0 || settings.lengths[i] > settings.lengths[i - 1],
            "The lengths of a sweep must ascend, each given once.");
  }
  in(static_cast<std::int64_t>(settings.axes.size()), 0, 8, "number of varied parameters");
  for (std::size_t i = 0; i < settings.axes.size(); ++i) {
    const SweepAxis& axis = settings.axes[i];
    static_cast<void>(parameter_info(axis.key));
    require(axis.key != "method" && axis.key != "instruction-tokens" && axis.key != "predictor",
            fmt::format("A sweep cannot vary {}.", axis.key));
    in(static_cast<std::int64_t>(axis.values.size()), 1, 256, "number of values of a parameter");
    for (const ParameterValue& value : axis.values) {
      SparsityParameters scratch;
      set_parameter(scratch, axis.key, value);
    }
    for (std::size_t j = 0; j < i; ++j) {
      require(settings.axes[j].key != axis.key, fmt::format("{} is varied twice; give its values once.", axis.key));
    }
  }
  in(settings.samples, 1, 1000, "number of samples");
  in(settings.repeats, 1, 1000, "number of repeats");
  in(settings.metrics_rows, 0, 1000000, "row step of the metrics");
  in(settings.logit_positions, 0, 1000000, "number of logit positions");
}

bool varies_with(Method method, const std::string& key) {
  const std::vector<Method>& methods = parameter_info(key).used_by;
  return method != Method::kDense && std::find(methods.begin(), methods.end(), method) != methods.end();
}

double SweepPoint::mean(double SweepSample::*value) const {
  double sum = 0;
  for (const SweepSample& sample : samples) sum += sample.*value;
  return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

bool SweepResults::finished() const {
  return !points.empty() && std::all_of(points.begin(), points.end(), [&](const SweepPoint& point) {
    return static_cast<std::int64_t>(point.samples.size()) >= settings.samples;
  });
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
