// Curves along the token axis, one lane each: dense received mass, predicted importance, retention. Zoom and selection
// are shared with the matrix: a span of keys, in tokens.
#pragma once

#include <QWidget>
#include <functional>
#include <memory>
#include <vector>

#include "ui/views/matrix_axes.h"
#include "ui/views/matrix_view.h"

namespace dhsa {

struct ImportanceLane {
  QString title;
  QString unit;
  std::shared_ptr<const std::vector<float>> values;  // [L]; NaN: undefined there
  ColourScale scale = ColourScale::Linear;           // of the heights
  bool sampled = false;                              // the values rest on some rows only
};

class ImportanceStrip : public QWidget {
  Q_OBJECT
 public:
  explicit ImportanceStrip(QWidget* parent = nullptr);
  void setLanes(std::vector<ImportanceLane> lanes);
  void setBoundaries(MatrixView::Boundaries boundaries);
  void setTokenText(MatrixView::TokenText text);
  void setSkipKeys(qint64 keys);  // leave out the first n keys of curves and ranges
  void setBusy(bool busy);

  [[nodiscard]] qint64 tokens() const;
  void setView(double begin, double end);  // emits viewChanged where it changes something
  void setSelectedKeys(KeySpan keys);      // emits nothing
  void setCrosshair(qint64 token);         // -1: none; emits nothing
  [[nodiscard]] KeySpan selectedKeys() const { return m_selected; }
  [[nodiscard]] qint64 tokenAt(double x) const;
  [[nodiscard]] QRect laneRect(int lane) const;
  [[nodiscard]] QString describe(qint64 token) const;

  [[nodiscard]] QSize sizeHint() const override { return {800, 220}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {240, 110}; }

 Q_SIGNALS:
  void viewChanged(double begin, double end);
  void hovered(qint64 token);
  void keyRangeSelected(qint64 begin, qint64 end);
  void statusText(const QString& text);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool event(QEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  [[nodiscard]] QRect plotArea() const;
  [[nodiscard]] AxisMap axis() const;
  void zoom(double factor, double at);
  void showToken(qint64 token);
  void drawLane(QPainter& painter, int lane) const;

  std::vector<ImportanceLane> m_lanes;
  MatrixView::Boundaries m_boundaries;
  MatrixView::TokenText m_tokenText;
  qint64 m_skip = 0;
  bool m_busy = false;
  double m_begin = 0;
  double m_end = 1;
  KeySpan m_selected;
  qint64 m_crosshair = -1;
  qint64 m_anchor = -1;
  ViewTheme m_theme;
  enum class Drag { None, MayPan, Pan, Range } m_drag = Drag::None;
  double m_pressedX = 0;
  double m_pressedBegin = 0;
};

}  // namespace dhsa
