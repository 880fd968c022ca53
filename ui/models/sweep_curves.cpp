#include "ui/models/sweep_curves.h"

#include <QCoreApplication>
#include <QLocale>
#include <algorithm>
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

std::vector<SweepCurve> sweepCurves(const SweepResults& results, const SweepDimension& x, const SweepMeasure& measure) {
  std::map<std::pair<std::size_t, QString>, SweepCurve> found;
  for (std::size_t p = 0; p < results.points.size(); ++p) {
    const SweepPoint& point = results.points[p];
    if (point.samples.empty()) continue;
    const QString rest = restOf(point, results, x);
    SweepCurve& curve = found[{point.method, rest}];
    curve.method = point.method;
    curve.of = point.parameters.method;
    curve.name = methodTitle(results.methods[point.method]);
    if (!rest.isEmpty()) curve.name += QStringLiteral(", ") + rest;
    curve.flat = x.key != kLength && !is_read(point.parameters, x.key.toStdString());
    SweepCurve::Point made;
    made.x = curve.flat ? x.values.front() : placeOf(point, x);
    made.mean = point.mean(measure.value);
    made.low = made.high = point.samples.front().*measure.value;
    for (const SweepSample& sample : point.samples) {
      made.low = std::min(made.low, sample.*measure.value);
      made.high = std::max(made.high, sample.*measure.value);
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

MeasureUnit unitOf(const SweepMeasure& measure) {
  if (measure.unit.empty()) return {100, QStringLiteral("%")};
  if (measure.unit == "bytes") return {1.0 / 1048576.0, QStringLiteral("MiB")};
  return {1, text(measure.unit)};
}

QString axisLabel(const SweepMeasure& measure) {
  return text(measure.label) + QStringLiteral(", ") + unitOf(measure).unit;
}

QString exactText(const SweepMeasure& measure, double value) {
  const MeasureUnit unit = unitOf(measure);
  return QStringLiteral("%1 %2").arg(QLocale().toString(value * unit.factor, 'g', 6), unit.unit);
}

bool isMeasured(const SweepMeasure& measure, const SweepSettings& settings) {
  const std::string& key = measure.key;
  if (key == "kl" || key == "same-top") return settings.logit_positions > 0;
  for (const char* mask :
       {"retained-mass", "retained-mass-global", "worst-rows-mass", "of-oracle", "iou", "output-error"}) {
    if (key == mask) return settings.metrics_rows > 0;
  }
  return true;
}

}  // namespace dhsa
