#include "ui/state/view_state.h"

namespace dhsa {

void ViewState::setLayer(int layer) {
  if (layer == m_layer || layer < 0) return;
  m_layer = layer;
  Q_EMIT layerChanged(layer);
}

void ViewState::setHead(int head) {
  if (head == m_head || head < 0) return;
  m_head = head;
  Q_EMIT headChanged(head);
}

void ViewState::selectRow(qint64 row) {
  if (row == m_row) return;
  m_row = row;
  Q_EMIT rowSelected(row);
}

void ViewState::selectKeys(qint64 begin, qint64 end) {
  if (begin == m_keysBegin && end == m_keysEnd) return;
  m_keysBegin = begin;
  m_keysEnd = end;
  Q_EMIT keysSelected(begin, end);
}

void ViewState::hover(qint64 row, qint64 key) {
  if (row == m_hoveredRow && key == m_hoveredKey) return;
  m_hoveredRow = row;
  m_hoveredKey = key;
  Q_EMIT hovered(row, key);
}

void ViewState::setZoom(const QRectF& zoom) {
  if (zoom == m_zoom) return;
  m_zoom = zoom;
  Q_EMIT zoomChanged(zoom);
}

void ViewState::setMarks(const std::vector<qint64>& tokens) {
  if (tokens == m_marks) return;
  m_marks = tokens;
  Q_EMIT marksChanged(tokens);
}

void ViewState::show(qint64 token, qint64 row, qint64 key) {
  Q_EMIT tokenWanted(token);
  Q_EMIT cellWanted(row, key);
}

void ViewState::clearSelection() {
  hover(-1, -1);
  selectRow(-1);
  selectKeys(0, 0);
  setZoom({});
}

}  // namespace dhsa
