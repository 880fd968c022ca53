// What the mask of the layer in view is worth, live; then all layers and heads in a table.
#pragma once

#include <QWidget>
#include <vector>

class QLabel;
class QTreeView;

namespace dhsa {

class Explorer;
class LayerModel;

// One figure: caption, value, a bar for shares, and the difference from the pinned run.
class MetricTile : public QWidget {
  Q_OBJECT

 public:
  MetricTile(const QString& caption, const QString& help, QWidget* parent = nullptr);
  // share: length of the bar, negative for none. `difference` may be empty.
  void setValue(const QString& value, double share, const QString& difference);
  [[nodiscard]] QString value() const { return m_value; }
  void setCaption(const QString& caption);
  void setDimmed(bool dimmed);
  void setCompact();  // no room for a bar
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override { return sizeHint(); }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QString m_caption;
  QString m_value = QStringLiteral("–");
  QString m_difference;
  double m_share = -1;
  bool m_dimmed = false;
  bool m_compact = false;
};

class MetricsPanel : public QWidget {
  Q_OBJECT

 public:
  explicit MetricsPanel(Explorer* explorer, QWidget* parent = nullptr);

 private:
  void refresh();
  void refreshLogits();

  Explorer* m_explorer;
  LayerModel* m_model;
  QLabel* m_heading;
  QLabel* m_logits;
  QTreeView* m_table;
  std::vector<MetricTile*> m_tiles;
};

}  // namespace dhsa
