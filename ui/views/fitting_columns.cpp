#include "ui/views/fitting_columns.h"

#include <QAbstractItemView>
#include <QEvent>
#include <QHeaderView>
#include <algorithm>
#include <numeric>

namespace dhsa {
namespace {

constexpr int kAfterNewDataMs = 50;

}  // namespace

FittingColumns::FittingColumns(QAbstractItemView* view, QHeaderView* header, std::vector<int> leaving,
                               std::vector<int> filling, int least)
    : QObject(view),
      m_view(view),
      m_header(header),
      m_leaving(std::move(leaving)),
      m_filling(std::move(filling)),
      m_least(least) {
  header->setStretchLastSection(false);
  header->setTextElideMode(Qt::ElideRight);
  header->setSectionResizeMode(QHeaderView::ResizeToContents);
  for (const int column : m_filling) header->setSectionResizeMode(column, QHeaderView::Stretch);
  header->setToolTip(QHeaderView::tr("A wider panel shows more columns"));
  m_later.setSingleShot(true);
  m_later.setInterval(kAfterNewDataMs);
  connect(&m_later, &QTimer::timeout, this, &FittingColumns::fit);
  const auto soon = [this] {
    // A header does not measure changed cells by itself.
    for (int column = 0; column < m_header->count(); ++column)
      m_header->setSectionResizeMode(column, m_header->sectionResizeMode(column));
    if (!m_later.isActive()) m_later.start();
  };
  connect(view->model(), &QAbstractItemModel::dataChanged, this, soon);
  connect(view->model(), &QAbstractItemModel::rowsInserted, this, soon);
  connect(view->model(), &QAbstractItemModel::modelReset, this, soon);
  view->viewport()->installEventFilter(this);
  soon();
}

bool FittingColumns::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::Resize) m_later.start(0);
  return QObject::eventFilter(watched, event);
}

void FittingColumns::fit() {
  m_widths.resize(static_cast<std::size_t>(m_header->count()), 0);
  for (int column = 0; column < m_header->count(); ++column) {
    if (m_header->isSectionHidden(column)) continue;
    const bool fills = std::find(m_filling.begin(), m_filling.end(), column) != m_filling.end();
    m_widths[static_cast<std::size_t>(column)] = fills ? m_least : m_header->sectionSize(column);
  }
  int needed = std::accumulate(m_widths.begin(), m_widths.end(), 0);
  for (const int column : m_leaving) {
    const bool hide = needed > m_view->viewport()->width();
    if (hide) needed -= m_widths[static_cast<std::size_t>(column)];
    if (m_header->isSectionHidden(column) != hide) m_header->setSectionHidden(column, hide);
  }
}

}  // namespace dhsa
