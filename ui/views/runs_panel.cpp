#include "ui/views/runs_panel.h"

#include <QEvent>
#include <QFileDialog>
#include <QHeaderView>
#include <QSplitter>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "ui/models/run_model.h"
#include "ui/state/explorer.h"
#include "ui/views/fitting_columns.h"
#include "ui/views/qcp.h"
#include "ui/views/scatter_style.h"
#include "ui/views/theme.h"

namespace dhsa {

RunsPanel::RunsPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_model(new RunModel(explorer->history()->runs(), this)),
      m_table(new QTableView(this)),
      m_plot(new QCustomPlot(this)) {
  setObjectName(QStringLiteral("runsPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(6, 4, 6, 4);
  layout->setSpacing(4);
  auto* bar = new QHBoxLayout;
  bar->setSpacing(2);
  const auto button = [&](const char* name, const QString& text, const QString& tip, auto slot) {
    auto* made = new QToolButton(this);
    made->setObjectName(QString::fromLatin1(name));
    made->setText(text);
    made->setToolTip(tip);
    made->setAccessibleName(text);
    made->setAccessibleDescription(tip);
    made->setAutoRaise(true);
    connect(made, &QToolButton::clicked, this, slot);
    bar->addWidget(made);
    return made;
  };
  m_pin = button("pinRun", tr("Pin"), tr("Compare masks and metrics with this run; click again to let go"), [this] {
    if (const Run* run = m_explorer->history()->runs()->find(selectedRun()))
      m_explorer->history()->runs()->setPinned(run->id, !run->pinned);
  });
  m_compare =
      button("compareRun", tr("Compare with dense"), tr("Run dense once and compare the logits of the last run (F6)"),
             [this] { m_explorer->history()->compareWithDense(); });
  m_restore =
      button("restoreRun", tr("Use parameters"), tr("Set the parameters to those of this run; one undo step"), [this] {
        if (const Run* run = m_explorer->history()->runs()->find(selectedRun())) {
          m_explorer->parameters()->apply(run->parameters, tr("Parameters of “%1”").arg(run->label));
        }
      });
  m_rename = button("renameRun", tr("Rename"), tr("Give this run another name (F2)"),
                    [this] { m_table->edit(m_model->index(m_table->currentIndex().row(), RunModel::kLabel)); });
  m_delete = button("deleteRun", tr("Delete"), tr("Remove this run from the list"),
                    [this] { m_explorer->history()->runs()->remove(selectedRun()); });
  bar->addStretch(1);
  m_export = button("exportRuns", tr("CSV…"), tr("Write all runs to a comma-separated file"), [this] {
    const QString path =
        QFileDialog::getSaveFileName(this, tr("Export runs"), QStringLiteral("runs.csv"), tr("CSV (*.csv)"));
    if (!path.isEmpty()) exportCsv(path);
  });
  layout->addLayout(bar);

  auto* split = new QSplitter(Qt::Horizontal, this);
  split->setChildrenCollapsible(false);
  m_table->setObjectName(QStringLiteral("runTable"));
  m_table->setAccessibleName(tr("Finished runs"));
  m_table->setModel(m_model);
  m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
  m_table->setSelectionMode(QAbstractItemView::SingleSelection);
  m_table->setAlternatingRowColors(true);
  m_table->setShowGrid(false);
  m_table->setFrameShape(QFrame::NoFrame);
  m_table->verticalHeader()->hide();
  m_table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
  m_table->horizontalHeader()->setHighlightSections(false);
  m_table->horizontalHeader()->setMinimumSectionSize(40);
  new FittingColumns(m_table, m_table->horizontalHeader(), RunModel::leaving());
  split->addWidget(m_table);
  m_plot->setObjectName(QStringLiteral("runChart"));
  m_plot->setAccessibleName(tr("Prefill time and memory against length"));
  m_plot->setMinimumSize(190, 110);
  split->addWidget(m_plot);
  split->setStretchFactor(0, 3);
  split->setStretchFactor(1, 2);
  layout->addWidget(split, 1);

  connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &RunsPanel::updateButtons);
  for (auto signal : {&RunList::added, &RunList::removed, &RunList::changed}) {
    connect(explorer->history()->runs(), signal, this, &RunsPanel::updateChart);
    connect(explorer->history()->runs(), signal, this, &RunsPanel::updateButtons);
  }
  connect(explorer->history()->runs(), &RunList::added, this, [this](int index) {
    // The dense run of a comparison comes by itself: what a person looks at stays.
    const bool asked = m_explorer->history()->runs()->at(index).parameters.method != Method::kDense;
    if (asked || selectedRun() == 0) m_table->selectRow(index);
  });
  updateButtons();
  updateChart();
}

int RunsPanel::selectedRun() const { return m_model->idOf(m_table->currentIndex()); }

void RunsPanel::updateButtons() {
  const bool chosen = selectedRun() != 0;
  for (QToolButton* each : {m_pin, m_restore, m_rename, m_delete}) each->setEnabled(chosen);
  m_export->setEnabled(m_model->rowCount() > 0);
  m_compare->setEnabled(m_model->rowCount() > 0);
  m_table->setColumnHidden(RunModel::kModel, !m_model->modelsDiffer());
}

void RunsPanel::updateChart() {
  const Colours colours(palette());
  const QColor ink = palette().color(QPalette::WindowText);
  m_plot->clearPlottables();
  m_plot->setBackground(palette().color(QPalette::Window));
  m_plot->legend->setVisible(false);
  QFont small = font();
  small.setPointSizeF(font().pointSizeF() * 0.9);

  // Two axis rectangles above each other: time and memory, over the same lengths.
  if (m_plot->axisRectCount() < 2) {
    auto* memory = new QCPAxisRect(m_plot);
    m_plot->plotLayout()->addElement(1, 0, memory);
    m_plot->plotLayout()->setRowSpacing(2);
    // The legend above the curves, where it hides none of them.
    m_plot->plotLayout()->insertRow(0);
    m_plot->axisRect(0)->insetLayout()->take(m_plot->legend);
    m_plot->plotLayout()->addElement(0, 0, m_plot->legend);
    m_plot->plotLayout()->setRowStretchFactor(0, 0.001);
    m_plot->legend->setFillOrder(QCPLegend::foColumnsFirst);
    m_plot->legend->setWrap(2);
    for (int i = 0; i < 2; ++i) {
      m_plot->axisRect(i)->setAutoMargins(QCP::msAll);
      m_plot->axisRect(i)->setMinimumMargins(QMargins(2, 2, 6, 2));
      m_plot->axisRect(i)->setMarginGroup(QCP::msLeft | QCP::msRight, new QCPMarginGroup(m_plot));
    }
    auto* group = new QCPMarginGroup(m_plot);
    m_plot->axisRect(0)->setMarginGroup(QCP::msLeft | QCP::msRight, group);
    m_plot->axisRect(1)->setMarginGroup(QCP::msLeft | QCP::msRight, group);
  }
  const QString labels[] = {tr("seconds"), tr("MiB")};
  for (int i = 0; i < 2; ++i) {
    for (QCPAxis* axis : m_plot->axisRect(i)->axes()) {
      axis->setBasePen(QPen(colours.faint));
      axis->setTickPen(QPen(colours.faint));
      axis->setSubTickPen(Qt::NoPen);
      axis->setTickLabelColor(ink);
      axis->setLabelColor(ink);
      axis->setLabelFont(small);
      axis->setTickLabelFont(small);
      axis->setTickLength(0, 3);
      axis->setTickLabelPadding(3);
      axis->setLabelPadding(2);
      axis->ticker()->setTickCount(axis->axisType() == QCPAxis::atLeft ? 2 : 4);
      axis->grid()->setPen(QPen(colours.grid, 1));
      axis->grid()->setZeroLinePen(QPen(colours.grid, 1));
      axis->setNumberFormat(QStringLiteral("g"));
    }
    m_plot->axisRect(i)->axis(QCPAxis::atLeft)->setLabel(labels[i]);
  }
  m_plot->axisRect(0)->axis(QCPAxis::atBottom)->setTickLabels(false);
  m_plot->axisRect(1)->axis(QCPAxis::atBottom)->setLabel(tr("tokens"));

  struct Curve {
    QVector<double> tokens, seconds, mebibytes;
  };
  std::map<std::pair<Method, QString>, Curve> curves;  // one for each method, and model where they differ
  const bool modelsDiffer = m_model->modelsDiffer();
  double most[3] = {1, 1e-3, 1};
  for (int i = 0; i < m_explorer->history()->runs()->size(); ++i) {
    const Run& run = m_explorer->history()->runs()->at(i);
    Curve& curve = curves[{run.parameters.method, modelsDiffer ? run.modelLabel() : QString()}];
    curve.tokens << static_cast<double>(run.input.tokens);
    curve.seconds << run.result.seconds;
    curve.mebibytes << static_cast<double>(run.result.peak_bytes) / 1048576.0;
    most[0] = std::max(most[0], curve.tokens.back());
    most[1] = std::max(most[1], curve.seconds.back());
    most[2] = std::max(most[2], curve.mebibytes.back());
  }
  const Ground ground{ink, isDark(palette())};
  std::map<Method, int> drawn;  // curves of it so far
  for (auto& [of, curve] : curves) {
    const auto& [method, model] = of;
    const CurveStyle style = curveStyle(method, drawn[method]++, ground);
    for (int i = 0; i < 2; ++i) {
      QCPGraph* graph =
          m_plot->addGraph(m_plot->axisRect(i)->axis(QCPAxis::atBottom), m_plot->axisRect(i)->axis(QCPAxis::atLeft));
      const QString name = QString::fromUtf8(label_of(method));
      graph->setName(model.isEmpty() ? name : QStringLiteral("%1 · %2").arg(name, model));
      graph->setPen(QPen(style.colour, 1));
      graph->setScatterStyle(scatterStyle(style, 7));
      graph->setData(curve.tokens, i == 0 ? curve.seconds : curve.mebibytes);
      if (i == 1) graph->removeFromLegend();
    }
  }
  for (int i = 0; i < 2; ++i) {
    m_plot->axisRect(i)->axis(QCPAxis::atBottom)->setRange(0, most[0] * 1.1);
    m_plot->axisRect(i)->axis(QCPAxis::atLeft)->setRange(0, most[i + 1] * 1.15);
  }
  m_plot->legend->setVisible(!curves.empty());
  m_plot->legend->setFont(small);
  m_plot->legend->setTextColor(ink);
  m_plot->legend->setBorderPen(Qt::NoPen);
  QColor back = palette().color(QPalette::Window);
  back.setAlpha(200);
  m_plot->legend->setBrush(back);
  m_plot->legend->setRowSpacing(-2);
  m_plot->legend->setMargins(QMargins(2, 1, 2, 1));
  m_plot->replot(QCustomPlot::rpQueuedReplot);
}

bool RunsPanel::exportCsv(const QString& path) {
  try {
    write_file(path.toStdU16String(), m_explorer->history()->runs()->csv().toStdString());
  } catch (const Error& error) {
    Q_EMIT message(QString::fromStdString(error.what()), true);
    return false;
  }
  Q_EMIT message(tr("Runs written to %1.").arg(path), false);
  return true;
}

void RunsPanel::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) updateChart();
  QWidget::changeEvent(event);
}

}  // namespace dhsa
