#include "ui/models/format.h"

#include <QCoreApplication>
#include <QLocale>
#include <algorithm>
#include <cmath>
#include <string_view>

namespace dhsa {
namespace {

const QString kNone = QStringLiteral("–");

QString withMinus(QString number) { return number.replace(u'-', QChar(0x2212)); }

// As many decimals as the error has meaning. Of one row there is no error to give.
QString approximate(const Measured& value, double factor, int least, int most) {
  const double error = factor * value.standard_error;
  const int decimals = error > 0 ? std::clamp(static_cast<int>(std::ceil(-std::log10(error))), least, most) : least;
  const auto number = [&](double shown) { return withMinus(QLocale().toString(shown, 'f', decimals)); };
  return std::isnan(error) ? QStringLiteral("≈ %1").arg(number(factor * value.value))
                           : QStringLiteral("≈ %1 ± %2").arg(number(factor * value.value), number(error));
}

QString capitalised(std::string_view text) {
  QString word = QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
  if (!word.isEmpty()) word[0] = word[0].toUpper();
  return word;
}

}  // namespace

QString formatPercent(double share, int decimals) {
  if (std::isnan(share)) return kNone;
  return QCoreApplication::translate("Format", "%1 %").arg(QLocale().toString(share * 100.0, 'f', decimals));
}

QString formatBytes(qint64 bytes) {
  if (bytes < 0) return kNone;
  double value = static_cast<double>(bytes);
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (value >= 1024.0 && unit < 4) {
    value /= 1024.0;
    ++unit;
  }
  const int decimals = unit == 0 || value >= 100.0 ? 0 : (value >= 10.0 ? 1 : 2);
  return QStringLiteral("%1 %2").arg(QLocale().toString(value, 'f', decimals), QString::fromLatin1(units[unit]));
}

QString formatSeconds(double seconds) {
  if (std::isnan(seconds) || seconds < 0) return kNone;
  if (seconds < 0.0995)
    return QCoreApplication::translate("Format", "%1 ms")
        .arg(QLocale().toString(seconds * 1e3, 'f', seconds < 0.00995 ? 1 : 0));
  if (seconds < 99.5)
    return QCoreApplication::translate("Format", "%1 s").arg(QLocale().toString(seconds, 'f', seconds < 9.95 ? 2 : 1));
  const auto whole = static_cast<qint64>(std::llround(seconds));
  return QCoreApplication::translate("Format", "%1 min %2 s").arg(whole / 60).arg(whole % 60, 2, 10, QLatin1Char('0'));
}

// Zeros at the end count: 0.080 stands beside 0.0776.
QString formatReal(double value, int digits) {
  if (std::isnan(value)) return kNone;
  if (value == 0) return QStringLiteral("0");
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (magnitude >= -4 && magnitude < 6) {
    return withMinus(QLocale().toString(value, 'f', std::max(0, digits - 1 - magnitude)));
  }
  return withMinus(QLocale().toString(value, 'e', digits - 1));
}

QString formatCount(qint64 count) { return QLocale().toString(count); }

QString counted(qint64 count, const char* one, const char* several) {
  return QStringLiteral("%1 %2").arg(formatCount(count),
                                     QCoreApplication::translate("Format", count == 1 ? one : several));
}

QString formatMeasured(const Measure& measure, const Measured& value) {
  if (std::isnan(value.value)) return kNone;
  switch (measure.format) {
    case Measure::Format::kShare:
      return value.sampled() ? approximate(value, 100, 1, 3) + QStringLiteral(" %") : formatPercent(value.value);
    case Measure::Format::kReal:
      return value.sampled() ? approximate(value, 1, 2, 6) : formatReal(value.value);
    case Measure::Format::kSeconds:
      return formatSeconds(value.value);
    case Measure::Format::kBytes:
      return formatBytes(std::llround(value.value));
    case Measure::Format::kCount:
      return formatCount(std::llround(value.value));
  }
  return kNone;
}

QString sampledNote(const Measure& measure, const Measured& value) {
  if (!value.sampled()) return {};
  const QString drawn = measure.group == Measure::Group::kLogits ? counted(value.rows, "position", "positions")
                                                                 : counted(value.rows, "row", "rows");
  const QString text =
      std::isnan(value.standard_error)
          ? QCoreApplication::translate("Format", "≈: %1, one in %2, drawn at random; too few to tell an error.")
          : QCoreApplication::translate("Format", "≈: %1, one in %2, drawn at random; ± one standard error.");
  return text.arg(drawn, formatCount(value.row_step));
}

QString measureHeading(const Measure& measure) { return capitalised(measure.heading); }

QString measureLabel(const Measure& measure) { return capitalised(measure.label.substr(0, measure.label.find(" ("))); }

QString measureHelp(const Measure& measure) {
  return QString::fromUtf8(measure.help.data(), static_cast<qsizetype>(measure.help.size()));
}

}  // namespace dhsa
