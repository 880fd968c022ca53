// Small pictures of matrices beside each other, all in the same colours; click or Enter goes to one.
#pragma once

#include <QImage>
#include <QWidget>
#include <memory>
#include <vector>

#include "ui/plot/colour_map.h"
#include "ui/views/view_theme.h"

namespace dhsa {

struct Multiple {
  int layer = 0;
  int head = 0;
  QString name;  // "Head 3"
  QString cost;  // "drops ≈ 12.3 %"; empty: not known
  QString help;  // the whole of it, for tool tips and screen readers
  // [side, side] over rows and keys; null until made. NaN: not causal.
  std::shared_ptr<const std::vector<float>> values;
  int side = 0;
};

class MultiplesView : public QWidget {
  Q_OBJECT

 public:
  explicit MultiplesView(QWidget* parent = nullptr);
  void setMultiples(std::vector<Multiple> multiples);
  // Colours of all of them, and what the values are: "share kept".
  void setLook(ColourMapId map, ColourScale scale, const QString& quantity);
  void setCurrent(int layer, int head);  // the one in view
  [[nodiscard]] const std::vector<Multiple>& multiples() const noexcept { return m_multiples; }
  [[nodiscard]] QRectF pictureRect(int index) const;
  [[nodiscard]] const ValueScale& scale() const noexcept { return m_scale; }
  [[nodiscard]] QSize sizeHint() const override { return {600, 400}; }

 Q_SIGNALS:
  void chosen(int layer, int head);
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
  void colour();
  void moveTo(int index);
  void choose(int index);
  [[nodiscard]] int at(QPointF position) const;  // -1: none
  [[nodiscard]] int labelHeight() const;

  std::vector<Multiple> m_multiples;
  std::vector<QImage> m_images;  // as many
  ColourMapId m_map = ColourMapId::Magma;
  ColourScale m_colourScale = ColourScale::Log;
  QString m_quantity;
  ValueScale m_scale;
  ViewTheme m_theme;
  int m_columns = 1;
  int m_side = 0;  // of a picture, in pixels
  int m_current = -1;
  int m_focus = 0;  // keyboard cursor
};

}  // namespace dhsa
