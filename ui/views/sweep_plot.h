// Curves of a sweep: one or two measures above each other over the same x. Line style, marker and colour tell methods
// apart; bars reach from the least to the most of the samples.
#pragma once

#include <QPointF>
#include <QWidget>
#include <vector>

#include "ui/models/sweep_curves.h"

class QCPAxisRect;
class QCustomPlot;

namespace dhsa {

class SweepPlot : public QWidget {
  Q_OBJECT

 public:
  explicit SweepPlot(QWidget* parent = nullptr);

  // What is drawn is worked out here and kept; nothing of `results` is needed afterwards.
  void setCurves(const SweepResults& results, const SweepDimension& x, std::vector<const Measure*> measures);
  void setLog(bool x, bool y);
  void clear(const QString& why);

  [[nodiscard]] const std::vector<SweepCurve>& curves(std::size_t measure) const { return m_parts[measure].curves; }
  // Where a point is drawn, in this widget's coordinates.
  [[nodiscard]] QPointF pixelOf(std::size_t measure, std::size_t curve, std::size_t point) const;
  [[nodiscard]] QString describe(std::size_t measure, std::size_t curve, std::size_t point) const;
  [[nodiscard]] QCustomPlot* plot() const noexcept { return m_plot; }
  [[nodiscard]] QSize sizeHint() const override { return {560, 320}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {280, 160}; }

 Q_SIGNALS:
  void statusText(const QString& text);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
  void changeEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  struct Part {
    const Measure* measure = nullptr;
    std::vector<SweepCurve> curves;
  };
  struct Place {
    std::size_t part = 0;
    std::size_t curve = 0;
    std::size_t point = 0;
  };
  void draw();
  void drawPart(std::size_t part);
  void styleAxes(QCPAxisRect* rect) const;
  void placeTicks();
  void placeLegend();
  void mark(const Place* place);  // null: none
  [[nodiscard]] bool nearest(QPointF position, Place& place) const;
  [[nodiscard]] double pixelX(std::size_t part, const SweepCurve& curve, std::size_t point, double near) const;

  QCustomPlot* m_plot;
  SweepDimension m_x;
  std::vector<Part> m_parts;
  std::vector<QCPAxisRect*> m_rects;  // of m_parts
  int m_samples = 1;
  bool m_logX = false;
  bool m_logY = false;
  QString m_why;  // there is nothing to draw
  Place m_focus;
  bool m_marked = false;
};

}  // namespace dhsa
