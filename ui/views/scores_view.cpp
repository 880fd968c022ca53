#include "ui/views/scores_view.h"

#include <QComboBox>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/views/fitting_columns.h"

namespace dhsa {

ScoresView::ScoresView(ScoredResults* results, QWidget* parent)
    : QWidget(parent),
      m_results(results),
      m_method(new QComboBox),
      m_filter(new QComboBox),
      m_details(new QLabel(this)) {
  m_method->setObjectName(QStringLiteral("scoreMethod"));
  m_method->setAccessibleName(tr("Method beside dense"));
  m_method->setToolTip(tr("Method whose answers stand beside those of dense"));
  m_filter->setObjectName(QStringLiteral("scoreFilter"));
  m_filter->setAccessibleName(tr("Samples shown"));
  m_filter->setToolTip(tr("Dense right, sparse wrong: dense has the whole answer, the method less than half of it"));
  m_filter->addItems({tr("All samples"), tr("Dense right, sparse wrong"), tr("Sparse wrong")});
  for (QComboBox* box : {m_method, m_filter}) {
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(8);
  }
  m_filter->setMinimumContentsLength(0);  // never narrower than its words
  m_filter->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  for (auto [sorted, model, role] : {std::tuple<QSortFilterProxyModel*, QAbstractItemModel*, int>{
                                         &m_sortedLines, &m_lines, ScoreLineModel::kSortRole},
                                     {&m_sortedSamples, &m_samples, SampleModel::kSortRole}}) {
    sorted->setSourceModel(model);
    sorted->setSortRole(role);
  }
  m_lineTable = table("scoreLines", tr("Scores of the tasks"), &m_sortedLines);
  m_sampleTable =
      table("scoreSamples", tr("Samples of the chosen task. Enter opens one as the document."), &m_sortedSamples);
  new FittingColumns(m_lineTable, m_lineTable->horizontalHeader(), {ScoreLineModel::kSamples}, {ScoreLineModel::kTask},
                     110);
  new FittingColumns(m_sampleTable, m_sampleTable->horizontalHeader(),
                     {SampleModel::kAsked, SampleModel::kNumber, SampleModel::kAnswers},
                     {SampleModel::kAnswers, SampleModel::kDenseSaid, SampleModel::kSaid}, 80);
  m_details->setObjectName(QStringLiteral("scoreDetails"));
  m_details->setAccessibleName(tr("The chosen sample"));
  m_details->setWordWrap(true);
  m_details->setTextFormat(Qt::PlainText);
  m_details->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_details->setAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_details->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  m_details->setMaximumHeight(4 * fontMetrics().lineSpacing());

  auto* split = new QSplitter(Qt::Vertical, this);
  split->setChildrenCollapsible(false);
  split->addWidget(m_lineTable);
  split->addWidget(m_sampleTable);
  split->setStretchFactor(0, 1);
  split->setStretchFactor(1, 1);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(4);
  layout->addWidget(split, 1);
  layout->addWidget(m_details);

  connect(m_lineTable->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &ScoresView::showSamples);
  connect(m_sampleTable->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &ScoresView::showDetails);
  connect(m_sampleTable, &QTableView::doubleClicked, this, &ScoresView::open);
  connect(m_method, &QComboBox::activated, this, &ScoresView::showSamples);
  connect(m_filter, &QComboBox::currentIndexChanged, this, [this](int filter) {
    m_samples.setFilter(static_cast<SampleModel::Filter>(filter));
    if (m_sortedSamples.rowCount() > 0) m_sampleTable->selectRow(0);
    showDetails();
  });
}

QTableView* ScoresView::table(const char* name, const QString& title, QSortFilterProxyModel* model) {
  auto* made = new QTableView(this);
  made->setObjectName(QString::fromLatin1(name));
  made->setAccessibleName(title);
  made->setModel(model);
  made->setSortingEnabled(true);
  made->sortByColumn(-1, Qt::AscendingOrder);  // as they come
  made->setSelectionBehavior(QAbstractItemView::SelectRows);
  made->setSelectionMode(QAbstractItemView::SingleSelection);
  made->setAlternatingRowColors(true);
  made->setShowGrid(false);
  made->setWordWrap(false);
  made->setFrameShape(QFrame::NoFrame);
  made->verticalHeader()->hide();
  made->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
  made->horizontalHeader()->setHighlightSections(false);
  made->horizontalHeader()->setMinimumSectionSize(36);
  made->setMinimumHeight(80);
  made->installEventFilter(this);
  return made;
}

int ScoresView::line() const {
  const QModelIndex at = m_lineTable->currentIndex();
  return at.isValid() ? m_sortedLines.mapToSource(at).row() : -1;
}

int ScoresView::sample() const {
  const QModelIndex at = m_sampleTable->currentIndex();
  return at.isValid() ? m_samples.sampleOf(m_sortedSamples.mapToSource(at).row()) : -1;
}

void ScoresView::showResults() {
  const int line = this->line();
  const int sample = this->sample();
  const QStringList titles = m_results->methodTitles();
  const int dense = m_results->dense();
  {
    const QSignalBlocker quiet(m_method);
    const QString before = m_method->currentText();
    m_method->clear();
    for (int m = 0; m < titles.size(); ++m) {
      if (m != dense || titles.size() == 1) m_method->addItem(titles[m], m);
    }
    m_method->setCurrentIndex(std::max(0, m_method->findText(before)));
  }
  for (QComboBox* box : {m_method, m_filter}) box->setEnabled(!titles.isEmpty());
  m_lines.show(titles, m_results->lines());
  const std::vector<ScoreLine>& lines = m_lines.lines();
  m_lineTable->setColumnHidden(
      ScoreLineModel::kLength,
      std::all_of(lines.begin(), lines.end(), [](const ScoreLine& one) { return one.length.isEmpty(); }));
  const QModelIndex at = m_sortedLines.mapFromSource(m_lines.index(std::max(0, line), 0));
  if (at.isValid()) m_lineTable->selectRow(at.row());
  showSamples();
  for (int row = 0; sample >= 0 && row < m_samples.rowCount(); ++row) {
    if (m_samples.sampleOf(row) == sample) {
      m_sampleTable->selectRow(m_sortedSamples.mapFromSource(m_samples.index(row, 0)).row());
    }
  }
}

void ScoresView::setProblem(const QString& sentence) {
  m_problem = sentence;
  if (m_lines.rowCount() == 0) showDetails();
}

void ScoresView::showSamples() {
  const int method = m_method->count() > 0 ? m_method->currentData().toInt() : -1;
  m_samples.show(line() >= 0 ? m_results->samples(line()) : std::vector<ScoredSample>(), m_results->dense(), method,
                 m_method->currentText());
  if (m_sortedSamples.rowCount() > 0) m_sampleTable->selectRow(0);
  showDetails();
}

void ScoresView::showDetails() {
  if (sample() < 0) {
    const bool mean = line() >= 0 && m_lines.lines()[static_cast<std::size_t>(line())].samples == 0;
    const QString begin = m_problem.isEmpty() ? tr("Start runs the test.") : m_problem;
    m_details->setText(m_lines.rowCount() == 0 ? tr("No results yet. %1 Results opens those of a file.").arg(begin)
                       : mean                  ? tr("A mean of other lines has no samples of its own.")
                                               : tr("No sample of this task is like that."));
    return;
  }
  const ScoredSample& chosen = m_samples.at(m_sortedSamples.mapToSource(m_sampleTable->currentIndex()).row());
  QStringList lines = {tr("Right: %1").arg(chosen.answers.join(QStringLiteral(" | ")).simplified())};
  const QStringList titles = m_results->methodTitles();
  for (const int method : {m_results->dense(), m_method->currentData().toInt()}) {
    if (method < 0 || method >= titles.size() || !chosen.said[static_cast<std::size_t>(method)]) continue;
    const ScoredSample::Said& said = *chosen.said[static_cast<std::size_t>(method)];
    const QString text = said.text.simplified();
    lines << tr("%1 (%2 %): %3")
                 .arg(titles[method], QString::number(100 * said.score, 'f', 0),
                      text.isEmpty() ? tr("says nothing") : text);
  }
  m_details->setText(lines.join(u'\n'));
  m_details->setToolTip(m_details->text());
}

void ScoresView::open() {
  if (sample() >= 0 && m_method->count() > 0) m_results->openSample(line(), sample(), m_method->currentData().toInt());
}

bool ScoresView::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::KeyPress) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    if (key == Qt::Key_Return || key == Qt::Key_Enter) {
      if (watched == m_sampleTable) open();
      if (watched == m_lineTable) m_sampleTable->setFocus(Qt::TabFocusReason);
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

}  // namespace dhsa
