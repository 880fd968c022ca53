#include "ui/views/loss_panel.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QSortFilterProxyModel>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>
#include <algorithm>
#include <utility>
#include <vector>

#include "ui/models/format.h"
#include "ui/state/commands.h"
#include "ui/state/explorer.h"
#include "ui/views/bar_delegate.h"
#include "ui/views/fitting_columns.h"

namespace dhsa {

LossPanel::LossPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_model(new LossModel(explorer, this)),
      m_sorted(new QSortFilterProxyModel(this)),
      m_table(new QTreeView(this)),
      m_note(new QLabel(this)) {
  setObjectName(QStringLiteral("lossPanel"));
  m_sorted->setSourceModel(m_model);
  m_sorted->setSortRole(LossModel::kSortRole);
  m_table->setObjectName(QStringLiteral("lossTable"));
  m_table->setAccessibleName(tr("Rows that lose most attention"));
  m_table->setModel(m_sorted);
  m_table->setRootIsDecorated(false);
  m_table->setUniformRowHeights(true);
  m_table->setAlternatingRowColors(true);
  m_table->setSortingEnabled(true);
  m_table->sortByColumn(LossModel::kDropped, Qt::DescendingOrder);
  m_table->setFrameShape(QFrame::NoFrame);
  m_table->setItemDelegate(new BarDelegate(LossModel::kShareRole, m_table));
  m_table->header()->setMinimumSectionSize(40);
  m_table->header()->setResizeContentsPrecision(40);
  new FittingColumns(m_table, m_table->header(), {LossModel::kHeadDropped, LossModel::kKeyMass, LossModel::kRow},
                     {LossModel::kKey}, fontMetrics().averageCharWidth() * 16);
  m_note->setObjectName(QStringLiteral("lossNote"));
  m_note->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);

  auto* bar = new QHBoxLayout;
  bar->setContentsMargins(8, 4, 6, 2);
  bar->setSpacing(2);
  bar->addWidget(m_note, 1);
  const auto button = [&](const char* command, const QString& text, auto slot) {
    const CommandInfo& info = commandInfo(command);
    auto* made = new QToolButton(this);
    made->setText(text);
    made->setAutoRaise(true);
    made->setAccessibleName(commandText(info).remove(u'&'));
    made->setToolTip(
        QStringLiteral("%1 (%2)").arg(commandHelp(info), commandShortcut(info).toString(QKeySequence::NativeText)));
    connect(made, &QToolButton::clicked, this, slot);
    bar->addWidget(made);
  };
  button("go.previous-row", QStringLiteral("↑"), [this] { goToRow(-1); });
  button("go.next-row", QStringLiteral("↓"), [this] { goToRow(1); });
  button("go.next-head", tr("Head"), &LossPanel::goToNextHead);
  button("go.next-token", tr("Token"), &LossPanel::goToNextToken);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addLayout(bar);
  layout->addWidget(m_table, 1);
  setFocusProxy(m_table);

  connect(m_table, &QTreeView::clicked, this, &LossPanel::goTo);
  connect(m_table, &QTreeView::activated, this, &LossPanel::goTo);
  connect(m_model, &QAbstractItemModel::modelReset, this, &LossPanel::refresh);
  connect(explorer->whatIf(), &WhatIf::rowChanged, this, [this] {
    if (m_tokenAwaited) goToNextToken();
  });
  refresh();
}

// The list is another; the row that was gone to stays the current one if it is among them.
void LossPanel::refresh() {
  const auto row = m_current ? m_model->find(m_current->layer, m_current->row.head, m_current->row.row) : std::nullopt;
  if (row) m_table->setCurrentIndex(m_sorted->mapFromSource(m_model->index(*row, 0)));
  std::int64_t step = 1;
  for (int index = 0; index < m_explorer->whatIf()->layers(); ++index) {
    if (const auto layer = m_explorer->whatIf()->layer(index)) step = std::max(step, layer->row_step());
  }
  const int count = m_model->rowCount();
  m_note->setText(count == 0  ? tr("No row loses attention")
                  : step == 1 ? tr("The worst rows of every head")
                              : tr("≈ The worst rows of every head, of one in %1 looked at").arg(formatCount(step)));
  m_note->setToolTip(step == 1
                         ? QString()
                         : tr("≈: rows drawn at random were looked at, so there may be worse ones. Of the layer in "
                              "view all rows are looked at after a moment."));
}

bool LossPanel::isEmpty() {
  m_model->update();
  if (m_model->rowCount() > 0) return false;
  Q_EMIT message(m_explorer->whatIf()->layerInView() ? tr("The masks drop nothing: there is no loss to go to.")
                                                     : tr("No layer is measured yet; wait until the run has begun."),
                 false);
  return true;
}

void LossPanel::goTo(const QModelIndex& index) {
  if (!index.isValid()) return;
  m_tokenAwaited = false;
  const LossModel::Loss loss = m_model->at(m_sorted->mapToSource(index).row());
  m_current = loss;
  m_table->setCurrentIndex(index);
  ViewState* view = m_explorer->view();
  view->setLayer(loss.layer);
  view->setHead(loss.row.head);
  view->selectRow(loss.row.row);
  view->selectKeys(loss.row.key, loss.row.key + 1);
  view->show(loss.row.row, loss.row.row, loss.row.key);
}

void LossPanel::goToRow(int step) {
  if (isEmpty()) return;
  const int count = m_sorted->rowCount();
  const QModelIndex now = m_table->currentIndex();
  const int next = now.isValid() ? (now.row() + step + count) % count : step > 0 ? 0 : count - 1;
  goTo(m_sorted->index(next, 0));
}

void LossPanel::goToNextHead() {
  if (isEmpty()) return;
  // Of every head that loses anything its worst row, by the head's loss.
  std::vector<int> worst;
  for (int row = 0; row < m_model->rowCount(); ++row) {
    const bool first = row == 0 || m_model->at(row - 1).layer != m_model->at(row).layer ||
                       m_model->at(row - 1).row.head != m_model->at(row).row.head;
    if (first) worst.push_back(row);
  }
  const auto lost = [this](int row) {
    return m_model->index(row, LossModel::kHeadDropped).data(LossModel::kSortRole).toDouble();
  };
  std::stable_sort(worst.begin(), worst.end(), [&](int a, int b) { return lost(a) > lost(b); });
  // From the head that was gone to, if it is still in view: else from the worst of all.
  const auto here = std::find_if(worst.begin(), worst.end(), [this](int row) {
    const LossModel::Loss& loss = m_model->at(row);
    return m_current && m_current->layer == loss.layer && m_current->row.head == loss.row.head &&
           m_explorer->view()->layer() == loss.layer && m_explorer->view()->head() == loss.row.head;
  });
  const bool last = here == worst.end() || here + 1 == worst.end();
  goTo(m_sorted->mapFromSource(m_model->index(last ? worst.front() : *(here + 1), 0)));
}

void LossPanel::goToNextToken() {
  ViewState* view = m_explorer->view();
  if (view->row() < 0) {
    goToRow(1);
    return;
  }
  const auto layer = m_explorer->whatIf()->layerInView();
  if (!layer || !layer->captured) {
    Q_EMIT message(tr("The run did not keep the queries and keys of this layer; run again (F5) with it in view."),
                   false);
    return;
  }
  const auto row = m_explorer->whatIf()->row();
  m_tokenAwaited = !row || row->row != view->row() || row->layer != view->layer() || row->head != view->head();
  if (m_tokenAwaited) return;
  std::vector<qint64> keys;
  for (std::size_t key = 0; key < row->fate.size(); ++key) {
    if (row->fate[key] == KeyFate::kDroppedImportant) keys.push_back(static_cast<qint64>(key));
  }
  std::stable_sort(keys.begin(), keys.end(), [&](qint64 a, qint64 b) {
    return row->mass[static_cast<std::size_t>(a)] > row->mass[static_cast<std::size_t>(b)];
  });
  auto next = keys.begin();
  if (view->keysEnd() == view->keysBegin() + 1) {
    const auto now = std::find(keys.begin(), keys.end(), view->keysBegin());
    if (now != keys.end()) next = now + 1;
  }
  if (next == keys.end()) {
    goToRow(1);
    return;
  }
  view->selectKeys(*next, *next + 1);
  view->show(*next, view->row(), *next);
}

}  // namespace dhsa
