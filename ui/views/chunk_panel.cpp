#include "ui/views/chunk_panel.h"

#include <QHeaderView>
#include <QLabel>
#include <QSortFilterProxyModel>
#include <QTreeView>
#include <QVBoxLayout>

#include "ui/models/chunk_model.h"
#include "ui/state/explorer.h"
#include "ui/views/bar_delegate.h"
#include "ui/views/fitting_columns.h"

namespace dhsa {

ChunkPanel::ChunkPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_model(new ChunkModel(this)),
      m_sorted(new QSortFilterProxyModel(this)),
      m_table(new QTreeView(this)),
      m_empty(new QLabel(tr("This method does not cut the text into chunks."), this)) {
  setObjectName(QStringLiteral("chunkPanel"));
  m_sorted->setSourceModel(m_model);
  m_sorted->setSortRole(ChunkModel::kSortRole);
  m_table->setObjectName(QStringLiteral("chunkTable"));
  m_table->setAccessibleName(tr("Chunks of the layer in view"));
  m_table->setModel(m_sorted);
  m_table->setRootIsDecorated(false);
  m_table->setUniformRowHeights(true);
  m_table->setAlternatingRowColors(true);
  m_table->setSortingEnabled(true);
  m_table->sortByColumn(ChunkModel::kIndex, Qt::AscendingOrder);
  m_table->setFrameShape(QFrame::NoFrame);
  m_table->setItemDelegate(new BarDelegate(ChunkModel::kShareRole, m_table));
  m_table->header()->setMinimumSectionSize(40);
  m_table->header()->setResizeContentsPrecision(40);
  // What the chunk says comes before its figures, so that a narrow panel shows it.
  m_table->header()->moveSection(ChunkModel::kText, ChunkModel::kLength);
  new FittingColumns(m_table, m_table->header(),
                     {ChunkModel::kScore, ChunkModel::kLength, ChunkModel::kTokens, ChunkModel::kReceived},
                     {ChunkModel::kText}, fontMetrics().averageCharWidth() * 14);
  m_empty->setAlignment(Qt::AlignCenter);
  m_empty->setWordWrap(true);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_table);
  layout->addWidget(m_empty);
  m_empty->hide();

  connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this](const QModelIndex& index) {
    if (!index.isValid()) return;
    const int row = m_sorted->mapToSource(index).row();
    m_explorer->view()->selectKeys(m_model->beginOf(row), m_model->endOf(row));
    m_explorer->view()->show(m_model->beginOf(row), -1, m_model->beginOf(row));
  });
  connect(explorer->whatIf(), &WhatIf::layersReset, this, &ChunkPanel::refresh);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer == m_explorer->view()->layer()) refresh();
  });
  connect(explorer->view(), &ViewState::layerChanged, this, &ChunkPanel::refresh);
}

void ChunkPanel::refresh() {
  m_model->setLayer(m_explorer->session()->document(), m_explorer->whatIf()->layerInView());
  const bool none = m_explorer->whatIf()->layerInView() && m_model->rowCount() == 0;
  m_table->setVisible(!none);
  m_empty->setVisible(none);
}

}  // namespace dhsa
