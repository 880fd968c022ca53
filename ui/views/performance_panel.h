// A run as it goes: stage bars per layer, elapsed and remaining time, memory against dense, cancel.
#pragma once

#include <QWidget>
#include <span>

class QLabel;
class QProgressBar;
class QPushButton;

namespace dhsa {

class Explorer;
class MetricTile;
struct StageReport;

// One bar per layer, cut into stages, growing while the run goes; a mark shows what dense took.
class StageBars : public QWidget {
  Q_OBJECT

 public:
  explicit StageBars(const Explorer* explorer, QWidget* parent = nullptr);
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override;
  [[nodiscard]] double layerSeconds(int layer) const;  // as drawn
  [[nodiscard]] int rowHeight() const;                 // of a layer
  [[nodiscard]] int legendHeight() const;              // above the layers

 protected:
  void paintEvent(QPaintEvent* event) override;
  bool event(QEvent* event) override;

 private:
  [[nodiscard]] std::span<const StageReport> stages() const;
  const Explorer* m_explorer;
};

class PerformancePanel : public QWidget {
  Q_OBJECT

 public:
  explicit PerformancePanel(Explorer* explorer, QWidget* parent = nullptr);

 private:
  void refresh();
  Explorer* m_explorer;
  QLabel* m_heading;
  QProgressBar* m_progress;
  QPushButton* m_cancel;
  MetricTile* m_time;
  MetricTile* m_remaining;
  MetricTile* m_resident;
  MetricTile* m_peak;
  StageBars* m_bars;
  std::int64_t m_highest = 0;  // bytes resident at any time
};

}  // namespace dhsa
