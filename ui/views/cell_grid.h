// A small table of coloured cells with values written in them: shared by the head map and the needle map.
#pragma once

#include <QFont>
#include <QPainter>
#include <QRectF>
#include <QString>
#include <QStringList>
#include <functional>

#include "ui/plot/colour_map.h"
#include "ui/views/view_theme.h"

namespace dhsa {

struct CellGrid {
  int rows = 0;
  int columns = 0;
  QRectF area;  // of the cells alone

  [[nodiscard]] QRectF cell(int row, int column) const;
  [[nodiscard]] bool hit(QPointF position, int& row, int& column) const;
  // Draws every cell; NaN values get the neutral hatch. `label` may return an empty text; texts that do not fit are
  // left out.
  void draw(QPainter& painter, const ViewTheme& theme, const QFont& font, const ColourMap& map, const ValueScale& scale,
            const std::function<double(int, int)>& value, const std::function<QString(int, int)>& label) const;
  // Texts at the left of rows and below columns; every n-th where they would touch.
  void drawLabels(QPainter& painter, const ViewTheme& theme, const QFont& font, const QStringList& rowLabels,
                  const QStringList& columnLabels, const QString& rowTitle, const QString& columnTitle) const;
  void outline(QPainter& painter, const ViewTheme& theme, int row, int column, const QColor& colour) const;
};

// A vertical colour bar with ticks and a turned title; takes area's left edge.
void drawColourBar(QPainter& painter, const ViewTheme& theme, const QFont& font, const QRectF& area,
                   const ColourMap& map, const ValueScale& scale, const QString& title);

}  // namespace dhsa
