// Type and colours of figures: dark on white whatever the window looks like. All lengths in PDF points.
#pragma once

#include <QColor>
#include <QFont>
#include <QPainter>
#include <QPointF>
#include <QString>
#include <QStringList>

#include "core/evaluate/figure_spec.h"

namespace dhsa {

struct FigureStyle {
  explicit FigureStyle(const FigureSpec& spec);
  QFont label;   // axis titles, names
  QFont letter;  // (a)
  QFont tick;
  double line;  // width of axes
  double labelHeight;
  double tickHeight;
  QColor text{0x1a, 0x1a, 0x1a};
  QColor frame{0x40, 0x40, 0x40};
  QColor grid{0xd8, 0xdb, 0xe0};
  QColor neutral{0xee, 0xf0, 0xf4};  // not causal: on no colour map
  QColor hatch{0xc4, 0xca, 0xd4};
  QColor kept{0x00, 0x5a, 0x96};
  QColor dropped{0xd9, 0xde, 0xe6};
  static constexpr double tickLength = 2.5;
  static constexpr double gap = 2;
};

// The family that is drawn with: the one asked for if it is installed (else Error), or the first installed of a list.
[[nodiscard]] QString figureFamily(const std::string& wanted);

// Markup of short texts: "S_{c}" and "10^{-3}".
[[nodiscard]] double textWidth(const QFont& font, const QString& text);
enum class Anchor { Left, Centre, Right };
// `at`: baseline start, centre or end. `turned`: reading upwards.
void drawText(QPainter& painter, const QFont& font, const QColor& colour, QPointF at, Anchor anchor,
              const QString& text, bool turned = false);
// Cut with an ellipsis to `width`.
[[nodiscard]] QString fitted(const QFont& font, const QString& text, double width);
[[nodiscard]] double capHeight(const QFont& font);

// "0.25", "7 000", "10^{-4}".
[[nodiscard]] QString figureNumber(double value);

// Colour, line style and marker of a curve: each tells it apart alone.
struct CurveStyle {
  QColor colour;
  Qt::PenStyle line;
  int marker;  // see drawMarker
};
[[nodiscard]] CurveStyle curveStyle(std::size_t index);
void drawMarker(QPainter& painter, int marker, QPointF at, double size, const QColor& colour);

}  // namespace dhsa
