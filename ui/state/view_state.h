// What is looked at: layer, head, selected row and keys, the cell under the pointer, the visible part of the matrix.
// Every view reads and writes this one object, so that a selection made in one shows in all.
#pragma once

#include <QObject>
#include <QRectF>
#include <vector>

namespace dhsa {

class ViewState : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  [[nodiscard]] int layer() const noexcept { return m_layer; }
  [[nodiscard]] int head() const noexcept { return m_head; }
  [[nodiscard]] qint64 row() const noexcept { return m_row; }              // -1: none selected
  [[nodiscard]] qint64 keysBegin() const noexcept { return m_keysBegin; }  // begin == end: none selected
  [[nodiscard]] qint64 keysEnd() const noexcept { return m_keysEnd; }
  [[nodiscard]] qint64 hoveredRow() const noexcept { return m_hoveredRow; }  // -1: pointer is elsewhere
  [[nodiscard]] qint64 hoveredKey() const noexcept { return m_hoveredKey; }
  [[nodiscard]] QRectF zoom() const noexcept { return m_zoom; }                        // keys x rows; empty: all
  [[nodiscard]] const std::vector<qint64>& marks() const noexcept { return m_marks; }  // tokens found, ascending

 public Q_SLOTS:
  void setLayer(int layer);
  void setHead(int head);
  void selectRow(qint64 row);
  void selectKeys(qint64 begin, qint64 end);
  void hover(qint64 row, qint64 key);
  void setZoom(const QRectF& zoom);
  void setMarks(const std::vector<qint64>& tokens);
  // Brings into sight what is selected: a token in the text, a cell in the matrix (-1: any row or key).
  void show(qint64 token, qint64 row, qint64 key);
  // A new document: nothing selected, all visible.
  void clearSelection();

 Q_SIGNALS:
  void layerChanged(int layer);
  void headChanged(int head);
  void rowSelected(qint64 row);
  void keysSelected(qint64 begin, qint64 end);
  void hovered(qint64 row, qint64 key);
  void zoomChanged(const QRectF& zoom);
  void marksChanged(const std::vector<qint64>& tokens);
  void tokenWanted(qint64 token);
  void cellWanted(qint64 row, qint64 key);

 private:
  int m_layer = 0;
  int m_head = 0;
  qint64 m_row = -1;
  qint64 m_keysBegin = 0;
  qint64 m_keysEnd = 0;
  qint64 m_hoveredRow = -1;
  qint64 m_hoveredKey = -1;
  QRectF m_zoom;
  std::vector<qint64> m_marks;
};

}  // namespace dhsa
