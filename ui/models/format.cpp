#include "ui/models/format.h"

#include <QCoreApplication>
#include <QLocale>
#include <cmath>

namespace dhsa {
namespace {

const QString kNone = QStringLiteral("–");

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

QString formatReal(double value, int digits) {
  return std::isnan(value) ? kNone : QLocale().toString(value, 'g', digits);
}

QString formatSampled(const QString& text, bool sampled) {
  return sampled && text != kNone ? QStringLiteral("≈ ") + text : text;
}

QString formatCount(qint64 count) { return QLocale().toString(count); }

}  // namespace dhsa
