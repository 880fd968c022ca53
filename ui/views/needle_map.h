// Needle test: depth x length, one method beside another, filled in cell by cell; or the difference of the two.
#pragma once

#include <QWidget>
#include <array>
#include <functional>
#include <vector>

#include "ui/views/cell_grid.h"

namespace dhsa {

class NeedleMap : public QWidget {
  Q_OBJECT
 public:
  enum class Side { Left, Right };
  struct Cell {
    Side side = Side::Left;
    int length = -1;  // index; -1: none
    int depth = -1;   // index
    bool operator==(const Cell&) const = default;
  };
  // How values become colours and texts.
  struct Scale {
    ColourMapId map = ColourMapId::Cividis;
    double low = 0;
    double high = 1;
    bool diverging = false;  // symmetric about 0
    bool inPercent = false;  // values are shares, the colour bar counts in percent
    QString title;           // of the colour bar: quantity, unit, kind of scale
    std::function<QString(double)> text;
  };

  explicit NeedleMap(QWidget* parent = nullptr);
  // Empties both maps. Lengths in tokens, depths as shares of the length in [0, 1].
  void setGrid(std::vector<qint64> lengths, std::vector<double> depths);
  // With `single` only the left map is there.
  void setTitles(const QString& left, const QString& right, bool single = false);
  void setScale(Scale scale);
  void setValue(Side side, int length, int depth, double value);  // NaN: not run
  void setRunning(int length, int depth);                         // marks the cell now running; length -1: none
  // The sentence about a cell for tooltip, status line and screen reader.
  void setDescription(std::function<QString(const Cell&)> describe) { m_describe = std::move(describe); }
  [[nodiscard]] double value(Side side, int length, int depth) const;
  [[nodiscard]] const Cell& running() const noexcept { return m_running; }
  [[nodiscard]] const Cell& selected() const noexcept { return m_selected; }  // length -1: none
  void select(const Cell& cell);
  [[nodiscard]] const Scale& scale() const noexcept { return m_scale; }
  [[nodiscard]] QRectF cellRect(const Cell& cell) const {
    return m_grids[index(cell.side)].cell(cell.depth, cell.length);
  }
  [[nodiscard]] QSize sizeHint() const override { return {640, 300}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {300, 150}; }

 Q_SIGNALS:
  void cellSelected();  // by pointer or keys; see selected()
  void cellOpened();    // by double click or Enter
  void statusText(const QString& text);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool event(QEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;

 private:
  [[nodiscard]] static std::size_t index(Side side) { return side == Side::Left ? 0 : 1; }
  [[nodiscard]] std::size_t sides() const { return m_single ? 1 : 2; }
  [[nodiscard]] bool isEmpty() const { return m_lengths.empty() || m_depths.empty(); }
  void place();
  void moveTo(Side side, int length, int depth);
  [[nodiscard]] bool hit(QPointF position, Cell& cell) const;
  [[nodiscard]] QString describe(const Cell& cell) const;

  std::vector<qint64> m_lengths;
  std::vector<double> m_depths;
  std::array<std::vector<double>, 2> m_values;  // [depths, lengths]
  std::array<QString, 2> m_titles;
  std::array<CellGrid, 2> m_grids;
  Scale m_scale;
  bool m_single = false;
  ViewTheme m_theme;
  Cell m_running;
  Cell m_selected;
  std::function<QString(const Cell&)> m_describe;
};

}  // namespace dhsa
