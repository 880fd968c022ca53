// Type and colours of figures: dark on white whatever the window looks like. All lengths in PDF points.
#pragma once

#include <QColor>
#include <QFont>
#include <QPainter>
#include <QPointF>
#include <QString>
#include <QStringList>
#include <vector>

#include "core/figures/figure_spec.h"
#include "ui/plot/curve_style.h"

namespace dhsa {

struct FigureStyle {
  explicit FigureStyle(const FigureSpec& spec);
  QFont label;   // axis titles, names
  QFont letter;  // (a)
  QFont tick;
  double line;  // width of axes
  double labelHeight;
  double tickHeight;
  double unit;  // 1 on a page, more where type is meant to be read from afar: lengths grow with it
  double tickLength;
  double gap;
  QColor text{0x1a, 0x1a, 0x1a};
  QColor frame{0x40, 0x40, 0x40};
  QColor grid{0xd8, 0xdb, 0xe0};
  QColor neutral{0xee, 0xf0, 0xf4};  // not causal: on no colour map
  QColor hatch{0xc4, 0xca, 0xd4};
  QColor kept{0x00, 0x5a, 0x96};
  QColor dropped{0xd9, 0xde, 0xe6};
};

// The family that is drawn with: the one asked for if it is installed (else Error), or the first installed of a list.
[[nodiscard]] QString figureFamily(const std::string& wanted);

// Markup of short texts: "S_{c}" and "10^{-3}".
[[nodiscard]] double textWidth(const QFont& font, const QString& text);
enum class Anchor { Left, Centre, Right };
// `at`: baseline start, centre or end. `turned`: reading upwards.
void drawText(QPainter& painter, const QFont& font, const QColor& colour, QPointF at, Anchor anchor,
              const QString& text, bool turned = false);
// The first of `texts` that fits on `width`, else the last one cut with an ellipsis.
[[nodiscard]] QString fitted(const QFont& font, const QStringList& texts, double width);
// Lines of whole words, each as wide as fits.
[[nodiscard]] QStringList wrapped(const QFont& font, const QString& text, double width);
[[nodiscard]] double capHeight(const QFont& font);

// "0.25", "7 000", "10^{-4}".
[[nodiscard]] QString figureNumber(double value);
// Of one axis: where all can be told with few decimals, with as many each.
[[nodiscard]] QStringList figureNumbers(const std::vector<double>& values);
// Of an axis of token or chunk numbers, `length` points long: round ones, as many as have room for their labels.
[[nodiscard]] std::vector<double> fittingTicks(const FigureStyle& style, double low, double high, double length,
                                               bool upright);

}  // namespace dhsa
