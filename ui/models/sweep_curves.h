// The curves of a sweep: one for each method and each combination of what is not on the x axis.
#pragma once

#include <QString>
#include <QStringList>
#include <vector>

#include "core/experiments/sweep.h"

namespace dhsa {

// What a sweep varies: the length, or a parameter.
struct SweepDimension {
  QString key;                 // "length" or a parameter's key
  QString label;               // with unit: "Budget, keys"
  std::vector<double> values;  // on the axis, ascending; of choices their place
  QStringList texts;           // of the values
  bool numeric = true;
};

struct SweepCurve {
  struct Point {
    double x = 0;
    Measured mean;   // over samples
    double low = 0;  // least and most of the samples, by their standard errors wider where they are sampled
    double high = 0;
    int samples = 0;
    std::size_t point = 0;  // of results.points
  };
  std::size_t method = 0;  // of results.methods
  Method of = Method::kDense;
  QString name;
  bool flat = false;          // the method does not read what varies: one point that holds for all of x
  std::vector<Point> points;  // ascending in x, measured ones only
};

// Length first; those with several values only, but never none while there are points.
[[nodiscard]] std::vector<SweepDimension> sweepDimensions(const SweepResults& results);
[[nodiscard]] std::vector<SweepCurve> sweepCurves(const SweepResults& results, const SweepDimension& x,
                                                  const Measure& measure);

// How a person reads a measure: shares in percent, bytes in MiB.
struct MeasureUnit {
  double factor = 1;
  QString unit;
};
[[nodiscard]] MeasureUnit unitOf(const Measure& measure);
[[nodiscard]] QString measureTitle(const Measure& measure);             // "Retained mass (mean)"
[[nodiscard]] QString axisLabel(const Measure& measure, bool sampled);  // "≈ Retained mass (mean), %"

}  // namespace dhsa
