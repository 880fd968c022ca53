#include "ui/views/experiment_frame.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QLabel>
#include <QListView>
#include <QMenu>
#include <QMimeData>
#include <QProgressBar>
#include <QPushButton>
#include <QRegularExpression>
#include <QScrollArea>
#include <QScrollBar>
#include <QSplitter>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/text/document.h"
#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/state/experiment.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

// Tabs in place of the commas that part values: what a spreadsheet takes from the clipboard.
QString tabSeparated(const std::string& csv) {
  QString text = QString::fromStdString(csv);
  bool quoted = false;
  for (QChar& c : text) {
    if (c == u'"') quoted = !quoted;
    if (c == u',' && !quoted) c = u'\t';
  }
  return text;
}

}  // namespace

std::vector<double> parseNumbers(const QString& text, QString* problem) {
  std::vector<double> numbers;
  static const QRegularExpression gaps(QStringLiteral("[,;\\s]+"));
  for (QString part : text.split(gaps, Qt::SkipEmptyParts)) {
    const bool thousands = part.endsWith(u'K', Qt::CaseInsensitive);
    if (thousands) part.chop(1);
    bool fine = false;
    const double number = part.toDouble(&fine) * (thousands ? 1024 : 1);
    if (!fine || !std::isfinite(number)) {
      if (problem) *problem = ExperimentFrame::tr("“%1” is not a number.").arg(part);
      return {};
    }
    numbers.push_back(number);
  }
  if (numbers.empty() && problem) *problem = ExperimentFrame::tr("Give at least one number.");
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

QString numbersText(const std::vector<double>& numbers) {
  QStringList parts;
  for (const double number : numbers) {
    const auto whole = static_cast<qint64>(number);
    const bool thousands = static_cast<double>(whole) == number && whole >= 1024 && whole % 1024 == 0;
    parts << (thousands ? QStringLiteral("%1K").arg(whole / 1024) : QString::number(number, 'g', 10));
  }
  return parts.join(QStringLiteral(", "));
}

ExperimentFrame::ExperimentFrame(Experiment* experiment, QWidget* parent)
    : QWidget(parent),
      m_experiment(experiment),
      m_methods(new MethodList(experiment->explorer()->parameters(), this)),
      m_form(new QFormLayout),
      m_split(new QSplitter(Qt::Horizontal, this)),
      m_settings(new QWidget(this)),
      m_plan(new QLabel(this)),
      m_start(new QPushButton(this)),
      m_tools(new QHBoxLayout),
      m_pickers(new QHBoxLayout),
      m_file(new QToolButton(this)),
      m_results(new QVBoxLayout),
      m_progress(new QProgressBar(this)),
      m_step(new QLabel(this)) {
  auto* outer = new QVBoxLayout(this);
  outer->setContentsMargins(6, 4, 6, 4);
  outer->setSpacing(4);
  m_split->setChildrenCollapsible(false);
  outer->addWidget(m_split, 1);

  auto* content = new QWidget;
  m_form->setContentsMargins(0, 2, 4, 2);
  m_form->setHorizontalSpacing(6);
  m_form->setVerticalSpacing(3);
  m_form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
  content->setLayout(m_form);
  auto* scroll = new QScrollArea(this);
  scroll->setWidget(content);
  scroll->setWidgetResizable(true);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  scroll->setFocusPolicy(Qt::NoFocus);
  auto* left = new QVBoxLayout(m_settings);
  left->setContentsMargins(0, 0, 0, 0);
  left->setSpacing(4);
  left->addWidget(scroll, 1);
  m_plan->setObjectName(QStringLiteral("plan"));
  m_plan->setWordWrap(true);
  m_plan->setTextFormat(Qt::PlainText);
  left->addWidget(m_plan);
  m_start->setObjectName(QStringLiteral("start"));
  left->addWidget(m_start);
  // Nothing is cut off at the side: there is no horizontal scroll bar.
  m_scroll = scroll;
  m_split->addWidget(m_settings);

  auto* right = new QWidget(this);
  m_results->setContentsMargins(0, 0, 0, 0);
  m_results->setSpacing(4);
  right->setLayout(m_results);
  m_tools->setSpacing(4);
  auto* toggle = new QToolButton(this);
  toggle->setObjectName(QStringLiteral("showSettings"));
  toggle->setText(tr("Settings"));
  toggle->setToolTip(tr("Show or hide the settings, to give the results the whole width"));
  toggle->setAccessibleName(tr("Show settings"));
  toggle->setCheckable(true);
  toggle->setChecked(true);
  toggle->setAutoRaise(true);
  connect(toggle, &QToolButton::toggled, m_settings, &QWidget::setVisible);
  m_tools->addWidget(toggle);
  m_tools->addStretch(1);
  makeFileMenu();
  m_tools->addWidget(m_file);
  m_results->addLayout(m_tools);
  m_pickers->setSpacing(4);
  m_results->addLayout(m_pickers);
  m_split->addWidget(right);
  m_split->setStretchFactor(0, 0);
  m_split->setStretchFactor(1, 1);

  auto* bottom = new QHBoxLayout;
  bottom->setSpacing(8);
  m_progress->setObjectName(QStringLiteral("experimentProgress"));
  m_progress->setAccessibleName(tr("Progress"));
  m_progress->setRange(0, 1000);
  m_progress->setTextVisible(false);
  m_progress->setFixedSize(110, 10);
  m_step->setObjectName(QStringLiteral("experimentStep"));
  m_step->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  m_step->setAccessibleName(tr("What is under way"));
  bottom->addWidget(m_progress);
  bottom->addWidget(m_step, 1);
  m_results->addLayout(bottom);

  connect(m_start, &QPushButton::clicked, this, &ExperimentFrame::startOrCancel);
  for (auto signal : {&Experiment::progressChanged, &Experiment::fileChanged, &Experiment::resultsReset}) {
    connect(m_experiment, signal, this, &ExperimentFrame::refresh);
  }
  connect(m_experiment, &Experiment::runningChanged, this, &ExperimentFrame::refresh);
  refresh();
}

void ExperimentFrame::makeFileMenu() {
  m_file->setObjectName(QStringLiteral("resultsMenu"));
  m_file->setText(tr("Results"));
  m_file->setToolTip(tr("Open, save, export or copy the results"));
  m_file->setAccessibleName(tr("Results"));
  m_file->setPopupMode(QToolButton::InstantPopup);
  m_file->setAutoRaise(true);
  auto* menu = new QMenu(m_file);
  menu->setToolTipsVisible(true);
  const auto entry = [&](const char* name, const QString& text, const QString& tip, auto slot) {
    QAction* made = menu->addAction(text);
    made->setObjectName(QString::fromLatin1(name));
    made->setToolTip(tip);
    connect(made, &QAction::triggered, this, slot);
    return made;
  };
  m_open = entry("openResults", tr("&Open…"), tr("Results of an earlier run, of this window or of the command line"),
                 [this] {
                   const QString path = QFileDialog::getOpenFileName(this, tr("Open results"), m_experiment->path(),
                                                                     tr("Results (*.json);;All files (*)"));
                   if (!path.isEmpty()) m_experiment->open(path);
                 });
  m_needResults = {
      entry("saveResults", tr("&Save as…"), tr("Write the results; new ones are added to the file as they come"),
            [this] { saveAs(); }),
      entry("exportResults", tr("Export &CSV…"), tr("Write the results as a comma-separated table"),
            [this] {
              const QString path = askPath(tr("Export results"), QStringLiteral(".csv"), tr("CSV (*.csv)"));
              if (!path.isEmpty()) m_experiment->exportCsv(path);
            }),
      entry("figureOfResults", tr("Export &figure…"), tr("Draw the saved results as PDF, SVG or PNG, data beside it"),
            [this] {
              if ((m_experiment->isSaved() && !m_experiment->path().isEmpty()) || saveAs())
                Q_EMIT figureWanted(m_experiment->path());
            }),
      entry("copyResults", tr("&Copy"), tr("Copy the table and its picture"), [this] { copy(); })};
  m_file->setMenu(menu);
}

QString ExperimentFrame::askPath(const QString& title, const QString& ending, const QString& filter) {
  const QString known = m_experiment->path();
  QString name = m_experiment->suggestedName();
  if (!known.isEmpty()) name = QFileInfo(known).path() + u'/' + QFileInfo(known).completeBaseName();
  name += ending;
  QString path = QFileDialog::getSaveFileName(this, title, name, filter);
  if (!path.isEmpty() && QFileInfo(path).suffix().isEmpty()) path += ending;
  return path;
}

bool ExperimentFrame::saveAs() {
  const QString path = askPath(tr("Save results"), QStringLiteral(".json"), tr("Results (*.json)"));
  return !path.isEmpty() && m_experiment->save(path);
}

void ExperimentFrame::addRow(const QString& caption, QWidget* control, const QString& name, const QString& tip) {
  auto* label = new QLabel(caption, this);
  label->setBuddy(control);
  label->setToolTip(tip);
  control->setObjectName(name);
  control->setAccessibleName(QString(caption).remove(u'&'));
  control->setAccessibleDescription(tip);
  control->setToolTip(tip);
  m_form->addRow(label, control);
  m_scroll->setMinimumWidth(m_scroll->widget()->minimumSizeHint().width() +
                            style()->pixelMetric(QStyle::PM_ScrollBarExtent) + 2);
}

void ExperimentFrame::addMethods(bool haystack) {
  auto* view = new QListView(this);
  view->setObjectName(QStringLiteral("methods"));
  view->setAccessibleName(tr("Methods"));
  view->setAccessibleDescription(tr("Methods to stand beside dense. Space checks one."));
  view->setModel(m_methods);
  view->setUniformItemSizes(true);
  view->setSelectionMode(QAbstractItemView::SingleSelection);
  view->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  view->setTextElideMode(Qt::ElideRight);
  view->setSizeAdjustPolicy(QAbstractScrollArea::AdjustToContents);
  view->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  auto* label = new QLabel(tr("&Methods beside dense"), this);
  label->setBuddy(view);
  m_form->addRow(label);
  m_form->addRow(view);

  if (!haystack) return;
  m_haystackChoice = new QComboBox(this);
  m_haystackChoice->addItem(tr("Generated"));
  m_haystackChoice->addItem(tr("File…"));
  m_haystackChoice->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  m_haystackChoice->setMinimumContentsLength(6);
  connect(m_haystackChoice, &QComboBox::activated, this, [this](int chosen) {
    if (chosen == 0) {
      setHaystack({});
    } else if (chosen == m_haystackChoice->count() - 1) {
      const QString path =
          QFileDialog::getOpenFileName(this, tr("Open haystack"), {}, tr("Text (*.txt *.md *.tex);;All files (*)"));
      if (path.isEmpty() || !readHaystack(path)) setHaystack(m_haystack);
    }
  });
  addRow(tr("Ha&ystack"), m_haystackChoice, QStringLiteral("haystack"),
         tr("The long text: prose made up from the seed (the default), or a text file; a short one starts again."));
}

void ExperimentFrame::setHaystack(const Haystack& haystack) {
  m_haystack = haystack;
  if (m_haystackChoice == nullptr) return;
  while (m_haystackChoice->count() > 2) m_haystackChoice->removeItem(1);
  if (!haystack.generated()) m_haystackChoice->insertItem(1, QString::fromStdString(haystack.name()));
  m_haystackChoice->setCurrentIndex(haystack.generated() ? 0 : 1);
  Q_EMIT haystackChanged();
}

bool ExperimentFrame::readHaystack(const QString& path) {
  try {
    setHaystack(Haystack(QFileInfo(path).fileName().toStdString(), read_text(path.toStdU16String())));
  } catch (const Error& error) {
    Q_EMIT m_experiment->explorer()->message(QString::fromStdString(error.what()), true);
    return false;
  }
  return true;
}

void ExperimentFrame::addTool(QWidget* tool) {
  if (qobject_cast<QComboBox*>(tool) != nullptr) {
    // Names of methods and measures are long: on a line of their own.
    tool->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    m_pickers->addWidget(tool, 1);
  } else {
    // After the button for the settings and the tools before, ahead of the stretch.
    m_tools->insertWidget(m_tools->count() - 2, tool);
  }
}

void ExperimentFrame::setContent(QWidget* content) {
  m_content = content;
  m_results->insertWidget(2, content, 1);
}

void ExperimentFrame::addBelow(QWidget* widget) { m_results->insertWidget(m_results->count() - 1, widget); }

void ExperimentFrame::setPlan(const QString& problem, const QString& plan, bool goesOn) {
  m_problem = problem;
  m_what = plan;
  m_goesOn = goesOn;
  refresh();
}

void ExperimentFrame::startOrCancel() {
  if (m_experiment->isRunning()) {
    m_experiment->cancel();
  } else if (!m_goesOn && !m_experiment->isSaved()) {
    Q_EMIT question(tr("The results shown are not saved; other settings take their place."), tr("Start anew"),
                    [this] { Q_EMIT startRequested(); });
  } else {
    Q_EMIT startRequested();
  }
}

void ExperimentFrame::refreshProblem() {
  const bool wrong = !m_problem.isEmpty() && !m_experiment->isRunning();
  QPalette palette = this->palette();
  if (wrong) palette.setColor(QPalette::WindowText, Colours(palette).warning);
  m_plan->setPalette(palette);
  m_plan->setText(wrong ? QStringLiteral("⚠ ") + m_problem : m_what);
  m_plan->setVisible(!m_plan->text().isEmpty());
}

void ExperimentFrame::refresh() {
  const bool running = m_experiment->isRunning();
  refreshProblem();
  m_start->setText(running ? tr("Cancel") : m_goesOn ? tr("Start (go on)") : tr("Start"));
  m_start->setAccessibleName(m_start->text());
  m_start->setToolTip(running ? tr("Stop; what was found stays, and Start goes on from there")
                              : tr("Run in the background; the rest of the window stays at hand"));
  m_start->setEnabled(running || m_problem.isEmpty());
  m_open->setEnabled(!running);
  for (QAction* action : m_needResults) action->setEnabled(!m_experiment->isEmpty());

  m_progress->setValue(static_cast<int>(std::lround(m_experiment->fraction() * 1000)));
  QStringList parts;
  if (running) {
    const double left = m_experiment->remaining();
    parts << m_experiment->step();
    if (m_experiment->elapsed() > 0) parts << tr("%1 spent").arg(formatSeconds(m_experiment->elapsed()));
    if (left >= 0) parts << tr("about %1 left").arg(formatSeconds(left));
  } else if (!m_experiment->isEmpty()) {
    parts << (m_experiment->isFinished() ? tr("Finished") : tr("Not finished"));
    if (m_experiment->elapsed() > 0) parts << tr("took %1").arg(formatSeconds(m_experiment->elapsed()));
  }
  if (!m_experiment->isEmpty()) {
    const QString file = QFileInfo(m_experiment->path()).fileName();
    parts << (file.isEmpty() ? tr("not saved") : m_experiment->isSaved() ? file : tr("%1, not saved").arg(file));
  }
  m_step->setText(parts.join(QStringLiteral(" · ")));
  m_step->setToolTip(m_step->text());
  m_progress->setVisible(running || !m_experiment->isEmpty());
}

void ExperimentFrame::copy() {
  if (m_experiment->isEmpty() || m_content == nullptr) return;
  auto* mime = new QMimeData;
  mime->setText(tabSeparated(m_experiment->csv()));
  mime->setImageData(m_content->grab().toImage());
  QApplication::clipboard()->setMimeData(mime);
  Q_EMIT m_experiment->explorer()->message(tr("Results copied as tab-separated text and as a picture."), false);
}

void ExperimentFrame::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange) refreshProblem();
  QWidget::changeEvent(event);
}

}  // namespace dhsa
