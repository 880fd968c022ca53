#include "ui/models/sweep_curves.h"

#include <QCoreApplication>
#include <QLocale>
#include <algorithm>
#include <cmath>
#include <map>

#include "ui/models/format.h"
#include "ui/models/method_list.h"

namespace dhsa {
namespace {

struct Curves {
  Q_DECLARE_TR_FUNCTIONS(SweepCurves)
};

const QString kLength = QStringLiteral("length");

QString text(const std::string& utf8) { return QString::fromStdString(utf8); }

double numberOf(const OptionValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  return std::get<double>(value);
}

SweepDimension dimensionOf(const SweepAxis& axis) {
  const OptionInfo& info = parameter_table().at(axis.key);
  SweepDimension made{text(axis.key), text(info.label), {}, {}, true};
  if (!info.unit.empty()) made.label += QStringLiteral(", ") + text(info.unit);
  made.numeric = info.numeric();
  std::vector<OptionValue> values = axis.values;
  if (made.numeric) {
    std::sort(values.begin(), values.end(),
              [](const OptionValue& a, const OptionValue& b) { return numberOf(a) < numberOf(b); });
  }
  for (const OptionValue& value : values) {
    made.values.push_back(made.numeric ? numberOf(value) : static_cast<double>(made.values.size()));
    made.texts << text(plain_text(value));
  }
  return made;
}

// Where a point lies on an axis that its method reads.
double placeOf(const SweepPoint& point, const SweepDimension& x) {
  if (x.key == kLength) return static_cast<double>(point.length);
  const OptionValue value = get_parameter(point.parameters, x.key.toStdString());
  return x.numeric ? numberOf(value) : static_cast<double>(x.texts.indexOf(text(plain_text(value))));
}

// All that tells curves of one method apart.
QString restOf(const SweepPoint& point, const SweepResults& results, const SweepDimension& x) {
  QStringList parts;
  if (x.key != kLength && results.settings.lengths.size() > 1) {
    parts << Curves::tr("%1 tokens").arg(formatCount(point.length));
  }
  for (const SweepAxis& axis : results.settings.axes) {
    if (text(axis.key) == x.key || axis.values.size() < 2 || !is_read(point.parameters, axis.key)) continue;
    parts << text(parameter_table().at(axis.key).label).toLower() + u' ' +
                 text(plain_text(get_parameter(point.parameters, axis.key)));
  }
  return parts.join(QStringLiteral(", "));
}

}  // namespace

std::vector<SweepDimension> sweepDimensions(const SweepResults& results) {
  std::vector<SweepDimension> all;
  const std::vector<std::int64_t>& lengths = results.settings.lengths;
  SweepDimension length{kLength, Curves::tr("Length, tokens"), {lengths.begin(), lengths.end()}, {}, true};
  for (const std::int64_t tokens : lengths) length.texts << QString::number(tokens);
  if (lengths.size() > 1) all.push_back(length);
  for (const SweepAxis& axis : results.settings.axes) {
    if (axis.values.size() > 1) all.push_back(dimensionOf(axis));
  }
  if (all.empty()) all.push_back(results.settings.axes.empty() ? length : dimensionOf(results.settings.axes.front()));
  return all;
}

std::vector<SweepCurve> sweepCurves(const SweepResults& results, const SweepDimension& x, const Measure& measure) {
  std::map<std::pair<std::size_t, QString>, SweepCurve> found;
  for (std::size_t p = 0; p < results.points.size(); ++p) {
    const SweepPoint& point = results.points[p];
    const Values summary = point.summary();
    const Measured* mean = summary.find(measure.key);
    if (mean == nullptr) continue;
    const QString rest = restOf(point, results, x);
    SweepCurve& curve = found[{point.method, rest}];
    curve.method = point.method;
    curve.of = point.parameters.method;
    curve.name = methodTitle(results.methods[point.method]);
    if (!rest.isEmpty()) curve.name += QStringLiteral(", ") + rest;
    curve.flat = x.key != kLength && !is_read(point.parameters, x.key.toStdString());
    SweepCurve::Point made;
    made.x = curve.flat ? x.values.front() : placeOf(point, x);
    made.mean = *mean;
    made.low = made.high = mean->value;
    for (const Values& sample : point.samples) {
      const Measured& one = sample.at(measure.key);
      const double error = one.sampled() && !std::isnan(one.standard_error) ? one.standard_error : 0;
      made.low = std::min(made.low, one.value - error);
      made.high = std::max(made.high, one.value + error);
    }
    made.samples = static_cast<int>(point.samples.size());
    made.point = p;
    curve.points.push_back(made);
  }
  std::vector<SweepCurve> curves;
  for (auto& [key, curve] : found) {
    std::sort(curve.points.begin(), curve.points.end(),
              [](const SweepCurve::Point& a, const SweepCurve::Point& b) { return a.x < b.x; });
    curves.push_back(std::move(curve));
  }
  return curves;
}

MeasureUnit unitOf(const Measure& measure) {
  if (measure.format == Measure::Format::kShare) return {100, QStringLiteral("%")};
  if (measure.format == Measure::Format::kBytes) return {1.0 / 1048576.0, QStringLiteral("MiB")};
  return {1, text(std::string(measure.unit))};
}

QString measureTitle(const Measure& measure) {
  QString title = text(std::string(measure.label));
  title[0] = title[0].toUpper();
  return title;
}

QString axisLabel(const Measure& measure, bool sampled) {
  const QString unit = unitOf(measure).unit;
  const QString label = measureTitle(measure) + (unit.isEmpty() ? QString() : QStringLiteral(", ") + unit);
  return sampled ? QStringLiteral("≈ ") + label : label;
}

}  // namespace dhsa
