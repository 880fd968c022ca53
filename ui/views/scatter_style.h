// Markers of curves (ui/plot/curve_style.h) as QCustomPlot draws them.
#pragma once

#include <array>

#include "ui/plot/curve_style.h"
#include "ui/views/qcp.h"

namespace dhsa {

[[nodiscard]] inline QCPScatterStyle scatterStyle(const CurveStyle& style, double size) {
  static constexpr std::array kShapes = {QCPScatterStyle::ssDisc, QCPScatterStyle::ssSquare,
                                         QCPScatterStyle::ssTriangle, QCPScatterStyle::ssDiamond,
                                         QCPScatterStyle::ssTriangleInverted};
  const auto shape = static_cast<std::size_t>(style.marker);
  const bool open = shape >= kShapes.size();
  // A disc cannot be drawn open.
  const auto drawn = open && shape % kShapes.size() == 0 ? QCPScatterStyle::ssCircle : kShapes[shape % kShapes.size()];
  return {drawn, QPen(style.colour, 1.4), open ? QBrush(Qt::NoBrush) : QBrush(style.colour), size};
}

}  // namespace dhsa
