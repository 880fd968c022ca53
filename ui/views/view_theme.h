// Colours of the drawn widgets, made from the palette, so that dark and light windows both work.
#pragma once

#include <QBrush>
#include <QColor>
#include <QPalette>

namespace dhsa {

struct ViewTheme {
  bool dark = false;
  QColor window;        // around the plot
  QColor plot;          // behind curves
  QColor text;          // labels
  QColor quiet;         // units, tick labels
  QColor frame;         // axis lines
  QColor grid;          // chunk boundaries on a map
  QColor neutral;       // what is not causal; on no colour map
  QColor hatch;         // strokes over it
  QColor selection;     // selected row and range
  QColor chunkTint[2];  // alternating chunks
  QColor seriesA;       // first and second of a comparison
  QColor seriesB;

  [[nodiscard]] static ViewTheme of(const QPalette& palette);
  [[nodiscard]] QBrush hatchBrush() const { return {hatch, Qt::BDiagPattern}; }
};

[[nodiscard]] QColor mixed(const QColor& a, const QColor& b, double share_of_b);

}  // namespace dhsa
