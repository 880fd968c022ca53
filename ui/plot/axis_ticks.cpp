#include "ui/plot/axis_ticks.h"

#include <QLocale>
#include <algorithm>
#include <cmath>

namespace dhsa {

namespace {

std::vector<double> multiples(double low, double high, double step) {
  std::vector<double> ticks;
  for (double n = std::ceil(low / step - 1e-9); n * step <= high + step * 1e-9; ++n) ticks.push_back(n * step);
  return ticks;
}

double roundStep(double low, double high, int about) {
  const double raw = (high - low) / std::max(1, about);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double share = raw / power;
  return power * (share <= 1.0 ? 1 : share <= 2.0 ? 2 : share <= 5.0 ? 5 : 10);
}

}  // namespace

std::vector<double> niceTicks(double low, double high, int about) {
  if (!(high > low) || !std::isfinite(low) || !std::isfinite(high)) return {low};
  return multiples(low, high, roundStep(low, high, about));
}

std::vector<double> indexTicks(double low, double high, int about) {
  if (!(high > low)) return {low};
  return multiples(low, high, std::max(1.0, roundStep(low, high, about)));
}

QString valueLabel(double value) {
  if (value == 0) return QStringLiteral("0");
  const double size = std::abs(value);
  QString text;
  if (size >= 1e-3 && size < 1e5) {
    text = size < 1e4 ? QString::number(value, 'g', 4) : QString::number(value, 'f', 0);
  } else {
    const int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
    const double mantissa = value / std::pow(10.0, exponent);
    text = QString::number(mantissa, 'g', 3) + QLatin1Char('e') + QString::number(exponent);
  }
  return text.replace(QLatin1Char('-'), QChar(0x2212));
}

QString indexLabel(double value) {
  const auto index = static_cast<qint64>(std::llround(value));
  if (std::abs(index) < 10000) return QString::number(index);
  // A thin space groups the digits in every language.
  QString text = QString::number(index);
  for (qsizetype at = text.size() - 3; at > 0; at -= 3) text.insert(at, QChar(0x202f));
  return text;
}

}  // namespace dhsa
