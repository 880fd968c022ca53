// Colour, line and marker of curves: the same for a method in runs, sweeps and figures.
#pragma once

#include <QColor>
#include <QPainter>
#include <QPointF>
#include <optional>
#include <string>

#include "core/sparsity/parameters.h"

namespace dhsa {

// Each of the three tells a curve apart alone.
struct CurveStyle {
  QColor colour;
  Qt::PenStyle line = Qt::SolidLine;
  int marker = 0;  // see drawMarker; negative: none
};
inline constexpr int kMarkers = 10;  // disc, square, triangle, diamond, triangle upside down; then the same open

// What curves are drawn on; dense is drawn in its ink.
struct Ground {
  QColor ink{0, 0, 0};
  bool dark = false;
};

// Of the place of `method` in all_methods(), so that a new one has a style at once. `setting`: the n-th setting of the
// same method in one plot; its line, marker and shade are others, the hue stays.
[[nodiscard]] CurveStyle curveStyle(Method method, int setting, const Ground& ground);
// Of curves that are no methods.
[[nodiscard]] CurveStyle curveStyle(std::size_t index);
// The method that a name of the command line's stands for: of a preset, or a method, with or without "+key=value".
[[nodiscard]] std::optional<Method> methodNamed(const std::string& name);

void drawMarker(QPainter& painter, int marker, QPointF at, double size, const QColor& colour);

}  // namespace dhsa
