#include "ui/figures/figure_style.h"

#include <QFontDatabase>
#include <QFontInfo>
#include <QFontMetricsF>
#include <QImage>
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "ui/plot/axis_ticks.h"
#include "ui/plot/colour_map.h"

namespace dhsa {
namespace {

// Text is measured as on a page of 72 units to the inch, on every device.
const QImage& page() {
  static const QImage image = [] {
    QImage one(1, 1, QImage::Format_RGB32);
    one.setDotsPerMeterX(2835);
    one.setDotsPerMeterY(2835);
    return one;
  }();
  return image;
}

QFontMetricsF metricsOf(const QFont& font) { return {font, const_cast<QImage*>(&page())}; }

QFont fontOf(const QString& family, double texPoints) {
  QFont font(family);
  font.setPointSizeF(pdf_points(texPoints));
  font.setHintingPreference(QFont::PreferNoHinting);
  font.setStyleStrategy(QFont::StyleStrategy(QFont::PreferOutline | QFont::NoSubpixelAntialias));
  font.setKerning(true);
  return font;
}

struct Run {
  QString text;
  int shift = 0;  // -1 subscript, 1 superscript
};

std::vector<Run> runsOf(const QString& text) {
  std::vector<Run> runs(1);
  for (qsizetype i = 0; i < text.size(); ++i) {
    const bool raised = text[i] == u'^';
    if ((raised || text[i] == u'_') && i + 1 < text.size() && text[i + 1] == u'{') {
      const qsizetype end = text.indexOf(u'}', i);
      if (end > 0) {
        runs.push_back({text.mid(i + 2, end - i - 2), raised ? 1 : -1});
        runs.push_back({});
        i = end;
        continue;
      }
    }
    runs.back().text += text[i];
  }
  return runs;
}

QFont smaller(QFont font) {
  font.setPointSizeF(font.pointSizeF() * 0.72);
  return font;
}

}  // namespace

QString figureFamily(const std::string& wanted) {
  const QStringList installed = QFontDatabase::families();
  const auto has = [&](const QString& family) { return installed.contains(family, Qt::CaseInsensitive); };
  if (!wanted.empty()) {
    const QString family = QString::fromStdString(wanted);
    if (!has(family)) {
      throw Error("The font \"" + wanted + "\" is not installed; choose another or leave the font out.");
    }
    return family;
  }
  for (const char* name :
       {"Liberation Sans", "Arimo", "Arial", "Helvetica", "Nimbus Sans", "TeX Gyre Heros", "DejaVu Sans"}) {
    if (has(QString::fromLatin1(name))) return QString::fromLatin1(name);
  }
  return QFontInfo(QFont()).family();
}

FigureStyle::FigureStyle(const FigureSpec& spec) {
  const QString family = figureFamily(spec.font);
  label = fontOf(family, label_size_of(spec));
  tick = fontOf(family, tick_size_of(spec));
  letter = label;
  letter.setBold(true);
  line = pdf_points(spec.line_width);
  unit = std::max(1.0, label.pointSizeF() / 9);
  tickLength = 2.5 * unit;
  gap = 2 * unit;
  labelHeight = metricsOf(label).ascent() + metricsOf(label).descent();
  tickHeight = metricsOf(tick).ascent() + metricsOf(tick).descent();
}

double capHeight(const QFont& font) { return metricsOf(font).capHeight(); }

double textWidth(const QFont& font, const QString& text) {
  double width = 0;
  for (const Run& run : runsOf(text)) {
    if (!run.text.isEmpty()) width += metricsOf(run.shift == 0 ? font : smaller(font)).horizontalAdvance(run.text);
  }
  return width;
}

void drawText(QPainter& painter, const QFont& font, const QColor& colour, QPointF at, Anchor anchor,
              const QString& text, bool turned) {
  painter.save();
  painter.setPen(colour);
  painter.translate(at);
  if (turned) painter.rotate(-90);
  double x = anchor == Anchor::Left ? 0 : -textWidth(font, text) * (anchor == Anchor::Centre ? 0.5 : 1.0);
  for (const Run& run : runsOf(text)) {
    if (run.text.isEmpty()) continue;
    const QFont used = run.shift == 0 ? font : smaller(font);
    painter.setFont(used);
    painter.drawText(QPointF(x, run.shift == 0  ? 0
                                : run.shift > 0 ? -0.36 * font.pointSizeF()
                                                : 0.18 * font.pointSizeF()),
                     run.text);
    x += metricsOf(used).horizontalAdvance(run.text);
  }
  painter.restore();
}

QString fitted(const QFont& font, const QStringList& texts, double width) {
  for (const QString& text : texts) {
    if (textWidth(font, text) <= width) return text;
  }
  QString cut = texts.last();
  while (!cut.isEmpty()) {
    cut.chop(1);
    const QString shown = cut.trimmed() + QChar(0x2026);
    if (textWidth(font, shown) <= width) return shown;
  }
  return {};
}

QStringList wrapped(const QFont& font, const QString& text, double width) {
  QStringList lines;
  for (const QString& word : text.split(u' ')) {
    if (!lines.isEmpty() && textWidth(font, lines.last() + u' ' + word) <= width) {
      lines.last() += u' ' + word;
    } else {
      lines << word;
    }
  }
  return lines;
}

QString figureNumber(double value) {
  if (value == 0) return QStringLiteral("0");
  const double size = std::abs(value);
  const QChar minus(0x2212);
  const double exponent = std::floor(std::log10(size) + 1e-9);
  const double mantissa = value / std::pow(10.0, exponent);
  if (size < 1e-2 || size >= 1e6) {
    QString power = QString::number(static_cast<int>(exponent));
    power.replace(QLatin1Char('-'), minus);
    const QString ten = QStringLiteral("10^{%1}").arg(power);
    if (std::abs(mantissa - 1) < 1e-6) return ten;
    if (std::abs(mantissa + 1) < 1e-6) return minus + ten;
    return QString::number(mantissa, 'g', 2).replace(QLatin1Char('-'), minus) + QChar(0xd7) + ten;
  }
  QString text = QString::number(value, 'g', 6);
  text.replace(QLatin1Char('-'), minus);
  // From 10 000 on digits are grouped.
  if (size >= 10000 && !text.contains(QLatin1Char('.'))) {
    const qsizetype first = text.startsWith(minus) ? 1 : 0;
    for (qsizetype at = text.size() - 3; at > first; at -= 3) text.insert(at, QChar(0x2009));
  }
  return text;
}

QStringList figureNumbers(const std::vector<double>& values) {
  QStringList texts;
  const auto largest = std::accumulate(values.begin(), values.end(), 0.0,
                                       [](double most, double value) { return std::max(most, std::abs(value)); });
  // Whole numbers and those too small or too large speak for themselves.
  for (int decimals = 1; decimals <= 4 && largest < 1e4; ++decimals) {
    const double power = std::pow(10.0, decimals);
    const auto exact = [&](double value) {
      return std::abs(value * power - std::round(value * power)) < 1e-6 * power * largest;
    };
    if (!std::all_of(values.begin(), values.end(), exact)) continue;
    const auto whole = [&](double value) { return std::abs(value - std::round(value)) < 1e-9 * largest; };
    if (std::all_of(values.begin(), values.end(), whole)) break;
    for (const double value : values) {
      texts << (std::abs(value) < 1e-9 * largest ? QStringLiteral("0") : QString::number(value, 'f', decimals));
      texts.last().replace(QLatin1Char('-'), QChar(0x2212));
    }
    return texts;
  }
  for (const double value : values) texts << figureNumber(std::abs(value) < 1e-9 * largest ? 0 : value);
  return texts;
}

std::vector<double> fittingTicks(const FigureStyle& style, double low, double high, double length, bool upright) {
  std::vector<double> ticks;
  // Comfortable distances first; tighter ones before an axis has fewer than three numbers.
  for (const double share : {1.0, 0.6}) {
    for (int about = 8; about >= 1; --about) {
      ticks = indexTicks(low, high, about);
      if (ticks.size() < 2) break;
      double size = style.tickHeight * 2.1;
      if (!upright) {
        for (const double tick : ticks) size = std::max(size, 1.8 * textWidth(style.tick, figureNumber(tick)));
      }
      if ((ticks[1] - ticks[0]) / (high - low) * length >= share * size) break;
    }
    if (ticks.size() > 2) break;
  }
  return ticks;
}

}  // namespace dhsa
