// Layer x head overview of one number, usually retained mass: where to look. Click or Enter goes there.
#pragma once

#include <QWidget>
#include <vector>

#include "ui/views/cell_grid.h"

namespace dhsa {

class HeadMap : public QWidget {
  Q_OBJECT
 public:
  explicit HeadMap(QWidget* parent = nullptr);
  // values [layers, heads], row-major; NaN: not measured (yet).
  void setValues(int layers, int heads, std::vector<float> values);
  // `estimate`: what to say of a value that rests on some rows only; empty for exact ones.
  void setValue(int layer, int head, float value, const QString& estimate = {});
  // What to say of a layer whose values are not of the present parameters: it is drawn faint. Empty: nothing.
  void setOutdated(int layer, const QString& note);
  void setLocalLayers(std::vector<bool> local);  // [layers]; marks sliding-window layers
  void setQuantity(const QString& name);         // title of the colour bar; default "retained mass"
  void setColourMap(ColourMapId map);
  void setCurrent(int layer, int head);  // the one in view; head -1: the whole layer. Emits nothing
  [[nodiscard]] QString describe(int layer, int head) const;
  [[nodiscard]] QRectF cellRect(int layer, int head) const { return m_grid.cell(layer, head); }
  [[nodiscard]] QSize sizeHint() const override { return {340, 260}; }
  [[nodiscard]] QSize minimumSizeHint() const override { return {180, 120}; }

 Q_SIGNALS:
  void headChosen(int layer, int head);
  void statusText(const QString& text);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool event(QEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  void place();
  void rescale();
  void moveTo(int layer, int head);
  [[nodiscard]] float valueAt(int layer, int head) const;
  [[nodiscard]] QString cellText(int layer, int head) const;

  int m_layers = 0;
  int m_heads = 0;
  std::vector<float> m_values;
  std::vector<QString> m_estimates;  // as many
  std::vector<QString> m_outdated;   // [layers]
  std::vector<bool> m_local;
  QString m_quantity;
  ColourMapId m_map = ColourMapId::Viridis;
  ValueScale m_scale;
  ViewTheme m_theme;
  CellGrid m_grid;
  int m_layer = -1;
  int m_head = -1;
  int m_focusLayer = 0;  // keyboard cursor
  int m_focusHead = 0;
};

}  // namespace dhsa
