#include "ui/views/benchmark_panels.h"

#include <QAction>
#include <QFileDialog>
#include <QStyle>
#include <QVBoxLayout>

#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/views/scores_view.h"

namespace dhsa {
namespace {

// The first look is over in minutes on the demo model, in words that it knows.
SuiteSettings firstSettings() {
  SuiteSettings settings;
  settings.wording = Wording::kOwn;
  settings.mode = NeedleMode::kStrict;
  settings.lengths = {2048};
  settings.budget_share = 0.125;
  return settings;
}

void addScores(ExperimentFrame* frame, ScoresView* scores) {
  frame->addTool(scores->method());
  frame->addTool(scores->filter());
  frame->setContent(scores);
}

}  // namespace

SuitePanel::SuitePanel(SuiteTest* test, QWidget* parent)
    : QWidget(parent),
      m_test(test),
      m_frame(new ExperimentFrame(test, this)),
      m_scores(new ScoresView(test, this)),
      m_options(suite_options()),
      m_lengths(new QLineEdit) {
  setObjectName(QStringLiteral("suitePanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_frame);
  m_frame->addRow(tr("&Lengths"), m_lengths, QStringLiteral("suiteLengths"),
                  tr("Tokens of a prompt and its answer, parted by commas; K is 1024. Default: 2K."));
  m_options.addTo(m_frame, QStringLiteral("suite-"), firstSettings(), [this] { plan(); });
  m_frame->addMethods();
  addScores(m_frame, m_scores);
  setSettings(firstSettings());

  connect(m_lengths, &QLineEdit::textChanged, this, &SuitePanel::plan);
  connect(m_frame, &ExperimentFrame::startRequested, this,
          [this] { m_test->start(settings(), m_frame->methods()->choices()); });
  connect(m_frame, &ExperimentFrame::haystackChanged, this, &SuitePanel::plan);
  connect(m_frame->methods(), &MethodList::changed, this, &SuitePanel::plan);
  connect(test, &Experiment::resultsReset, this, &SuitePanel::takeResults);
  connect(test, &Experiment::resultAdded, this, [this] {
    m_scores->showResults();
    plan();
  });
  connect(test, &Experiment::runningChanged, this, &SuitePanel::plan);
  connect(test->explorer()->session(), &Session::modelChanged, this, &SuitePanel::plan);
  takeResults();
}

SuiteSettings SuitePanel::settings() {
  SuiteSettings settings;
  m_options.take(settings);
  settings.lengths.clear();
  m_problem.clear();
  for (const double length : parseNumbers(m_lengths->text(), &m_problem)) {
    settings.lengths.push_back(static_cast<std::int64_t>(length));
  }
  settings.haystack = m_frame->haystack();
  return settings;
}

void SuitePanel::setSettings(const SuiteSettings& settings) {
  m_options.put(settings);
  m_lengths->setText(numbersText({settings.lengths.begin(), settings.lengths.end()}));
  m_frame->setHaystack(settings.haystack);
}

// What Start would do.
void SuitePanel::plan() {
  const SuiteSettings settings = this->settings();
  m_test->setHaystack(settings.haystack);
  m_frame->methods()->setReplaced(settings.budget_share > 0 ? std::vector<std::string>{"budget"}
                                                            : std::vector<std::string>());
  const std::vector<MethodChoice> methods = m_frame->methods()->choices();
  QString problem = m_problem;
  if (problem.isEmpty()) problem = m_test->problem(settings, methods);
  QString why;
  QString what;
  const bool goesOn = problem.isEmpty() && m_test->goesOn(settings, methods, &why);
  if (problem.isEmpty()) {
    const auto tasks = static_cast<qint64>(tasks_of(settings).size());
    const qint64 prompts = tasks * static_cast<qint64>(settings.lengths.size()) * settings.prompts;
    what = tr("%1, %2 for each of %3")
               .arg(counted(tasks, "task", "tasks"), counted(prompts, "prompt", "prompts"),
                    counted(static_cast<qint64>(methods.size()), "method", "methods"));
    if (goesOn) {
      what = tr("Goes on: %1 of %2 are there")
                 .arg(formatCount(m_test->results().count().done), counted(prompts, "prompt", "prompts"));
    }
    if (!goesOn && !why.isEmpty()) what += tr("; begins anew, as of the results shown %1").arg(why);
  }
  m_frame->setPlan(problem, what + u'.', goesOn);
  m_scores->setProblem(problem);
}

void SuitePanel::takeResults() {
  if (!m_test->isRunning() && !m_test->isEmpty()) {
    // A file was opened: Start goes on with what it asked for.
    setSettings(m_test->results().settings);
    m_frame->methods()->setGiven(m_test->results().methods);
  }
  m_scores->showResults();
  plan();
}

LongBenchPanel::LongBenchPanel(LongBenchTest* test, QWidget* parent)
    : QWidget(parent), m_test(test), m_frame(new ExperimentFrame(test, this)), m_scores(new ScoresView(test, this)) {
  setObjectName(QStringLiteral("longBenchPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_frame);
  const auto choice = [&](const QString& caption, const char* name, const QStringList& texts, const QString& tip) {
    auto* box = new QComboBox;
    box->addItems(texts);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(6);
    m_frame->addRow(caption, box, QString::fromLatin1(name), tip);
    connect(box, &QComboBox::currentIndexChanged, this, &LongBenchPanel::plan);
    return box;
  };
  const auto number = [&](const QString& caption, const char* name, int most, const QString& none, const QString& tip) {
    auto* box = new QSpinBox;
    box->setRange(0, most);
    box->setSpecialValueText(none);
    box->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    m_frame->addRow(caption, box, QString::fromLatin1(name), tip);
    connect(box, &QSpinBox::valueChanged, this, &LongBenchPanel::plan);
    return box;
  };
  m_data = addFolder(tr("&Data"), QStringLiteral("longBenchData"),
                     tr("Folder with the official TASK.jsonl files and dataset2prompt.json. Empty: a tiny set of our "
                        "own, made for the demo model."));
  m_data->setPlaceholderText(tr("tiny set"));
  m_results = addFolder(tr("&Answers"), QStringLiteral("longBenchResults"),
                        tr("Folder for every prediction and the tables: a new one, or one to go on with."));
  m_results->setPlaceholderText(tr("choose a folder"));
  m_tasks = new QLineEdit;
  m_tasks->setPlaceholderText(tr("all"));
  m_frame->addRow(tr("&Tasks"), m_tasks, QStringLiteral("longBenchTasks"),
                  tr("Names, parted by commas. Empty: all that the data's folder has."));
  connect(m_tasks, &QLineEdit::textChanged, this, &LongBenchPanel::plan);
  m_set = choice(tr("Set"), "longBenchSet", {tr("LongBench"), tr("LongBench-E")},
                 tr("LongBench-E: TASK_e.jsonl, scored by length too. Default: LongBench."));
  m_preset = choice(tr("Pre&set"), "longBenchPreset", {QStringLiteral("official"), QStringLiteral("dhsa-v1")},
                    tr("official: both ends of long prompts, 7500 tokens; dhsa-v1: the last 8192 tokens, as the "
                       "authors of DHSA ran it. Default: official."));
  m_mode = choice(tr("M&ode"), "longBenchMode", {tr("Reference"), tr("Strict")},
                  tr("Reference: in the prefill the rows of the question attend densely; strict: they are sparse too. "
                     "Answers are decoded densely in both. Default: reference."));
  m_maxLength = number(tr("Ma&x length"), "longBenchMaxLength", 1 << 24, tr("preset's"),
                       tr("Most tokens of a prompt. Default: the preset's."));
  m_limit = number(tr("Ro&ws"), "longBenchLimit", 1000000, tr("all"), tr("Rows of each task. Default: all."));
  m_frame->addMethods(false);
  addScores(m_frame, m_scores);
  // Its answers lie in their folder; the tables alone would be no file to go on from.
  if (auto* save = m_frame->findChild<QAction*>(QStringLiteral("saveResults"))) save->setVisible(false);

  connect(m_frame, &ExperimentFrame::startRequested, this,
          [this] { m_test->start(request(), m_frame->methods()->choices()); });
  connect(m_frame->methods(), &MethodList::changed, this, &LongBenchPanel::plan);
  connect(test, &Experiment::resultsReset, this, &LongBenchPanel::takeResults);
  connect(test, &Experiment::resultAdded, this, [this] { m_scores->showResults(); });
  connect(test, &Experiment::runningChanged, this, &LongBenchPanel::plan);
  connect(test->explorer()->session(), &Session::modelChanged, this, &LongBenchPanel::plan);
  takeResults();
}

QLineEdit* LongBenchPanel::addFolder(const QString& caption, const QString& name, const QString& tip) {
  auto* edit = new QLineEdit;
  m_frame->addRow(caption, edit, name, tip);
  QAction* browse = edit->addAction(style()->standardIcon(QStyle::SP_DirOpenIcon), QLineEdit::TrailingPosition);
  browse->setToolTip(tr("Choose a folder"));
  connect(browse, &QAction::triggered, this, [this, edit] {
    const QString path = QFileDialog::getExistingDirectory(this, tr("Choose a folder"), edit->text());
    if (!path.isEmpty()) edit->setText(path);
  });
  connect(edit, &QLineEdit::textChanged, this, &LongBenchPanel::plan);
  return edit;
}

LongBenchRequest LongBenchPanel::request() const {
  LongBenchRequest request{m_data->text().trimmed(), m_tasks->text(), m_results->text().trimmed(),
                           longbench_preset(m_preset->currentText().toStdString())};
  if (m_maxLength->value() > 0) request.settings.max_length = m_maxLength->value();
  request.settings.mode = static_cast<NeedleMode>(m_mode->currentIndex());
  request.settings.e = m_set->currentIndex() == 1;
  request.settings.limit = m_limit->value();
  if (goesOn()) {  // what has no field here stays as it was
    request.settings.truncate = m_test->results().settings.truncate;
    request.settings.chat = m_test->results().settings.chat;
  }
  return request;
}

bool LongBenchPanel::goesOn() const {
  return !m_test->isEmpty() && !m_test->isFinished() &&
         QFileInfo(m_results->text().trimmed()) == QFileInfo(QFileInfo(m_test->path()).path());
}

void LongBenchPanel::plan() {
  const LongBenchRequest request = this->request();
  m_test->setData(request.data);
  const QString problem = m_test->problem(request, m_frame->methods()->choices());
  m_frame->setPlan(problem,
                   tr("Answers are decoded densely and kept in their folder; Start goes on with those that are there."),
                   goesOn());
  m_scores->setProblem(problem);
}

void LongBenchPanel::takeResults() {
  if (!m_test->isRunning() && !m_test->isEmpty()) {
    // A folder was opened: Start goes on with what it asked for.
    const LongBenchResults& results = m_test->results();
    m_results->setText(QFileInfo(m_test->path()).path());
    m_preset->setCurrentText(QString::fromStdString(results.settings.preset));
    m_maxLength->setValue(static_cast<int>(results.settings.max_length));
    m_mode->setCurrentIndex(static_cast<int>(results.settings.mode));
    m_set->setCurrentIndex(results.settings.e ? 1 : 0);
    m_limit->setValue(static_cast<int>(results.settings.limit));
    QStringList tasks;
    for (const LongBenchTaskResults& task : results.tasks) {
      tasks << QString::fromUtf8(task.task->name.data(), static_cast<qsizetype>(task.task->name.size()));
    }
    m_tasks->setText(tasks.join(QStringLiteral(", ")));
    m_frame->methods()->setGiven(results.methods);
  }
  m_scores->showResults();
  plan();
}

}  // namespace dhsa
