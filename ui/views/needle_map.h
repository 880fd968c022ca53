// Needle test: depth x length, dense beside sparse, filled in cell by cell.
#pragma once

#include <QWidget>
#include <array>
#include <vector>

#include "ui/views/cell_grid.h"

namespace dhsa {

class NeedleMap : public QWidget {
  Q_OBJECT
 public:
  enum class Side { Dense, Sparse };
  explicit NeedleMap(QWidget* parent = nullptr);
  // Empties both maps. Lengths in tokens, depths as shares of the length in [0, 1].
  void setGrid(std::vector<qint64> lengths, std::vector<double> depths);
  void setTitles(const QString& dense, const QString& sparse);
  // Share of needles found in [0, 1]; NaN: not run.
  void setValue(Side side, int length, int depth, double value);
  void setRunning(Side side, int length, int depth);  // marks the cell now running; length -1: none
  [[nodiscard]] double value(Side side, int length, int depth) const;
  [[nodiscard]] QRectF cellRect(Side side, int length, int depth) const {
    return m_grids[index(side)].cell(depth, length);
  }
  [[nodiscard]] QSize sizeHint() const override { return {640, 300}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {320, 160}; }

 Q_SIGNALS:
  void cellChosen(bool sparse, int length, int depth);
  void statusText(const QString& text);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool event(QEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  struct Cell {
    Side side = Side::Dense;
    int length = -1;
    int depth = -1;
  };
  [[nodiscard]] static std::size_t index(Side side) { return side == Side::Dense ? 0 : 1; }
  void place();
  void moveTo(Side side, int length, int depth);
  [[nodiscard]] bool hit(QPointF position, Cell& cell) const;
  [[nodiscard]] QString describe(const Cell& cell) const;

  std::vector<qint64> m_lengths;
  std::vector<double> m_depths;
  std::array<std::vector<double>, 2> m_values;  // [depths, lengths]
  std::array<QString, 2> m_titles;
  std::array<CellGrid, 2> m_grids;
  ViewTheme m_theme;
  Cell m_running;
  Cell m_focus{Side::Dense, 0, 0};
};

}  // namespace dhsa
