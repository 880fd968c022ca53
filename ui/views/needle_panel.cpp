#include "ui/views/needle_panel.h"

#include <QComboBox>
#include <QDoubleSpinBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/models/sweep_curves.h"
#include "ui/state/needle_test.h"
#include "ui/views/experiment_frame.h"
#include "ui/views/needle_map.h"

namespace dhsa {
namespace {

enum BudgetKind : std::uint8_t { kOfMethod, kKeys, kShare };

// The first look is over in a minute on the demo model: sizes at which the published setting loses needles.
NeedleSettings firstSettings() {
  NeedleSettings settings;
  settings.mode = NeedleMode::kStrict;
  settings.lengths = {1024, 2048, 4096};
  settings.depths = 5;
  return settings;
}
constexpr double kFirstBudget = 512;
// No log-probability below this gets a colour of its own: e^-8 is as lost as can be.
constexpr double kLowestLogProbability = -8;

QSpinBox* spinBox(int least, int most, int value) {
  auto* made = new QSpinBox;
  made->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  made->setRange(least, most);
  made->setValue(value);
  return made;
}

QComboBox* choice(const QStringList& texts) {
  auto* made = new QComboBox;
  made->addItems(texts);
  made->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  made->setMinimumContentsLength(6);
  return made;
}

QString escaped(const std::string& text) { return QString::fromStdString(text).trimmed().toHtmlEscaped(); }

}  // namespace

NeedlePanel::NeedlePanel(NeedleTest* test, QWidget* parent)
    : QWidget(parent), m_test(test), m_frame(new ExperimentFrame(test, this)), m_map(new NeedleMap(this)) {
  setObjectName(QStringLiteral("needlePanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_frame);
  makeSettings();
  makeTools();
  m_frame->setContent(m_map);
  makeDetails();
  setSettings(firstSettings());
  m_budgetKind->setCurrentIndex(kKeys);
  m_budget->setValue(kFirstBudget);

  m_map->setDescription([this](const NeedleMap::Cell& at) {
    const std::size_t method = methodOf(at.side == NeedleMap::Side::Right);
    const NeedleResults& results = m_test->results();
    const auto length = results.settings.lengths[static_cast<std::size_t>(at.length)];
    const NeedleCell* cell = cellAt(at.length, at.depth);
    const QString place = tr("%1 · %2 tokens · depth %3 %")
                              .arg(methodTitle(results.methods[method]), formatCount(length))
                              .arg(std::lround(100 * results.settings.depth(at.depth)));
    if (cell == nullptr || cell->prompts == 0) return tr("%1 · not run").arg(place);
    const NeedleScore& score = cell->scores[method];
    const Values values = score.summary();
    return tr("%1 · %2 of %3 exact · %4 of the numbers found · log-probability %5 nats · density %6 · answer “%7”")
        .arg(place)
        .arg(std::lround(values.value("exact") * static_cast<double>(cell->prompts)))
        .arg(counted(cell->prompts, "prompt", "prompts"))
        .arg(formatPercent(values.value("found"), 0), formatReal(values.value("log_probability")),
             formatPercent(values.value("density")), QString::fromStdString(score.answers.back().text).simplified());
  });
  connect(m_map, &NeedleMap::statusText, this, &NeedlePanel::statusText);
  connect(m_map, &NeedleMap::cellSelected, this, [this] {
    m_prompt->setValue(1);
    showDetails();
  });
  connect(m_map, &NeedleMap::cellOpened, this, &NeedlePanel::openPrompt);
  connect(m_frame, &ExperimentFrame::startRequested, this, &NeedlePanel::start);
  connect(m_frame, &ExperimentFrame::haystackChanged, this, &NeedlePanel::plan);
  connect(m_frame->methods(), &MethodList::changed, this, &NeedlePanel::plan);
  connect(test, &Experiment::resultsReset, this, &NeedlePanel::takeResults);
  connect(test, &Experiment::resultAdded, this, [this](int number) {
    // The range of log-probabilities may have grown.
    if (!isShare()) showScores();
    showCell(number);
    plan();  // so many cells are there now
  });
  connect(test, &Experiment::runningChanged, this, &NeedlePanel::plan);
  connect(test->explorer()->session(), &Session::modelChanged, this, &NeedlePanel::plan);
  connect(test, &Experiment::progressChanged, this, [this] {
    const auto depths = static_cast<std::size_t>(m_test->results().settings.depths);
    const bool running = m_test->isRunning() && !m_test->step().isEmpty() && !m_test->isEmpty();
    m_map->setRunning(running ? static_cast<int>(m_test->cell() / depths) : -1,
                      static_cast<int>(m_test->cell() % depths));
  });
  takeResults();
  plan();
}

void NeedlePanel::makeSettings() {
  m_task = choice({tr("Single"), tr("Multi-key"), tr("Multi-value")});
  m_mode = choice({tr("Reference"), tr("Strict")});
  m_lengths = new QLineEdit;
  m_depths = spinBox(1, 1000, 5);
  m_prompts = spinBox(1, 10000, 1);
  m_needles = spinBox(2, 64, 4);
  m_digits = spinBox(2, 18, 6);
  m_seed = spinBox(1, std::numeric_limits<int>::max(), 1);
  auto* budget = new QWidget;
  auto* row = new QHBoxLayout(budget);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(4);
  m_budgetKind = choice({tr("own"), tr("keys"), tr("% of L")});
  m_budget = new QDoubleSpinBox;
  m_budget->setMinimumWidth(fontMetrics().horizontalAdvance(QStringLiteral("00000")) + 28);
  m_budget->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  row->addWidget(m_budget, 1);
  row->addWidget(m_budgetKind);
  m_budgetKind->setMinimumContentsLength(3);

  m_frame->addRow(tr("&Task"), m_task, QStringLiteral("task"),
                  tr("Single: one number is hidden. Multi-key: numbers of other things beside the one asked for. "
                     "Multi-value: several numbers of one thing, all asked for. Default: single."));
  m_frame->addRow(tr("M&ode"), m_mode, QStringLiteral("mode"),
                  tr("Reference: rows of the question attend densely, as the authors do; every mask then finds the "
                     "needle. Strict: they are sparse too, which tells masks apart. Default here: strict."));
  m_frame->addRow(tr("&Lengths"), m_lengths, QStringLiteral("lengths"),
                  tr("Tokens of a prompt, question included, parted by commas; K is 1024. Default: 1K, 2K, 4K."));
  m_frame->addRow(tr("&Depths"), m_depths, QStringLiteral("depths"),
                  tr("Places of the needle, evenly from the beginning (0 %) to right before the question (100 %). "
                     "Default: 5."));
  m_frame->addRow(tr("Prompt&s"), m_prompts, QStringLiteral("prompts"),
                  tr("Prompts of each length and depth; a share of exact answers needs many. Default: 1."));
  m_frame->addRow(tr("&Budget"), budget, QStringLiteral("needleBudget"),
                  tr("Keys kept for a query row: each method's own, one number for all, or a share of the length L. "
                     "Default: 512 keys."));
  m_budgetKind->setAccessibleName(tr("Kind of budget"));
  m_budgetKind->setObjectName(QStringLiteral("budgetKind"));
  m_budget->setAccessibleName(tr("Budget"));
  m_budget->setObjectName(QStringLiteral("budgetValue"));
  m_frame->addMethods();
  m_frame->addRow(tr("&Needles"), m_needles, QStringLiteral("needles"),
                  tr("Needles in a prompt of multi-key and multi-value. Default: 4."));
  m_frame->addRow(tr("Di&gits"), m_digits, QStringLiteral("digits"), tr("Digits of a hidden number. Default: 6."));
  m_frame->addRow(tr("Seed"), m_seed, QStringLiteral("needleSeed"),
                  tr("Of the prose, the numbers and the things; the same seed gives the same prompts. Default: 1."));

  for (QComboBox* box : {m_task, m_mode}) connect(box, &QComboBox::currentIndexChanged, this, &NeedlePanel::plan);
  connect(m_lengths, &QLineEdit::textChanged, this, &NeedlePanel::plan);
  for (QSpinBox* box : {m_depths, m_prompts, m_needles, m_digits, m_seed})
    connect(box, &QSpinBox::valueChanged, this, &NeedlePanel::plan);
  connect(m_budget, &QDoubleSpinBox::valueChanged, this, &NeedlePanel::plan);
  connect(m_budgetKind, &QComboBox::currentIndexChanged, this, [this](int kind) {
    const QSignalBlocker quiet(m_budget);
    m_budget->setEnabled(kind != kOfMethod);
    m_budget->setDecimals(kind == kShare ? 2 : 0);
    m_budget->setRange(kind == kShare ? 0.01 : 1, kind == kShare ? 100 : 1 << 24);
    m_budget->setValue(kind == kShare ? 12.5 : kFirstBudget);
    plan();
  });
}

void NeedlePanel::makeTools() {
  m_score = choice({});
  for (const Measure& measure : measures()) {
    if (measure.group != Measure::Group::kAnswer) continue;
    m_score->addItem(measureTitle(measure), QString::fromUtf8(measure.key.data()));
    m_score->setItemData(m_score->count() - 1, QString::fromUtf8(measure.help.data()), Qt::ToolTipRole);
  }
  m_left = choice({});
  m_right = choice({});
  const auto adopt = [this](QComboBox* box, const char* name, const QString& caption, const QString& tip) {
    box->setObjectName(QString::fromLatin1(name));
    box->setAccessibleName(caption);
    box->setToolTip(tip);
    m_frame->addTool(box);
  };
  adopt(m_score, "score", tr("Score"),
        tr("Share of prompts answered exactly; share of the numbers found; or the mean log-probability of the right "
           "answer's tokens in nats"));
  adopt(m_left, "leftMethod", tr("Method of the left map"), tr("Method of the left map"));
  adopt(m_right, "rightMethod", tr("Method of the right map"),
        tr("Method of the right map, or the difference of another one from the left map's"));
  for (QComboBox* box : {m_score, m_left, m_right}) {
    connect(box, &QComboBox::activated, this, [this] {
      showScores();
      showDetails();
    });
  }
}

void NeedlePanel::makeDetails() {
  auto* below = new QWidget(this);
  auto* row = new QHBoxLayout(below);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(8);
  m_details = new QLabel(below);
  m_details->setObjectName(QStringLiteral("needleDetails"));
  m_details->setTextFormat(Qt::RichText);
  m_details->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_details->setAccessibleName(tr("Answers of the chosen cell"));
  m_details->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  m_details->setMinimumHeight(3 * fontMetrics().lineSpacing());
  m_details->setAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_prompt = spinBox(1, 1, 1);
  m_prompt->setObjectName(QStringLiteral("promptNumber"));
  m_prompt->setSizePolicy(QSizePolicy::Minimum, QSizePolicy::Fixed);
  m_prompt->setPrefix(tr("prompt "));
  m_prompt->setAccessibleName(tr("Prompt of the cell"));
  m_prompt->setToolTip(tr("Which of the cell's prompts to read and open"));
  m_open = new QPushButton(tr("Open prompt"), below);
  m_open->setObjectName(QStringLiteral("openPrompt"));
  m_open->setToolTip(
      tr("Make this prompt the document, with the parameters the method had: the row that the answer's "
         "first digit comes from and the needle's keys are selected (Enter or double click in the map)"));
  auto* side = new QVBoxLayout;
  side->addWidget(m_prompt);
  side->addWidget(m_open);
  side->addStretch(1);
  row->addWidget(m_details, 1);
  row->addLayout(side);
  m_frame->addBelow(below);
  connect(m_prompt, &QSpinBox::valueChanged, this, &NeedlePanel::showDetails);
  connect(m_open, &QPushButton::clicked, this, &NeedlePanel::openPrompt);
}

NeedleSettings NeedlePanel::settings() const {
  NeedleSettings settings;
  settings.task = static_cast<NeedleTask>(m_task->currentIndex());
  settings.mode = static_cast<NeedleMode>(m_mode->currentIndex());
  settings.lengths.clear();
  for (const double length : parseNumbers(m_lengths->text(), nullptr))
    settings.lengths.push_back(std::llround(std::clamp(length, 0.0, 1e9)));
  settings.depths = m_depths->value();
  settings.prompts = m_prompts->value();
  settings.needles = m_needles->value();
  settings.digits = m_digits->value();
  settings.seed = static_cast<std::uint64_t>(m_seed->value());
  settings.budget_share = m_budgetKind->currentIndex() == kShare ? m_budget->value() / 100 : 0;
  settings.haystack = m_frame->haystack();
  return settings;
}

std::vector<MethodChoice> NeedlePanel::methods() const {
  m_frame->methods()->setReplaced(m_budgetKind->currentIndex() == kOfMethod ? std::vector<std::string>()
                                                                            : std::vector<std::string>{"budget"});
  std::vector<MethodChoice> methods = m_frame->methods()->choices();
  if (m_frame->methods()->givenCounts() || m_budgetKind->currentIndex() != kKeys) return methods;
  const auto budget = static_cast<std::int64_t>(m_budget->value());
  for (MethodChoice& method : methods) method.parameters.budget = budget;
  return methods;
}

void NeedlePanel::setSettings(const NeedleSettings& settings) {
  m_task->setCurrentIndex(static_cast<int>(settings.task));
  m_mode->setCurrentIndex(static_cast<int>(settings.mode));
  m_lengths->setText(numbersText({settings.lengths.begin(), settings.lengths.end()}));
  m_depths->setValue(static_cast<int>(settings.depths));
  m_prompts->setValue(static_cast<int>(settings.prompts));
  m_needles->setValue(static_cast<int>(settings.needles));
  m_digits->setValue(static_cast<int>(settings.digits));
  m_seed->setValue(static_cast<int>(settings.seed));
  m_budgetKind->setCurrentIndex(settings.budget_share > 0 ? kShare : kOfMethod);
  m_budget->setEnabled(settings.budget_share > 0);
  if (settings.budget_share > 0) m_budget->setValue(100 * settings.budget_share);
  m_frame->setHaystack(settings.haystack);
}

void NeedlePanel::start() { m_test->start(settings(), methods()); }

// What Start would do.
void NeedlePanel::plan() {
  const bool several = m_task->currentIndex() != static_cast<int>(NeedleTask::kSingle);
  m_needles->setEnabled(several);
  QString problem;
  static_cast<void>(parseNumbers(m_lengths->text(), &problem));
  const NeedleSettings settings = this->settings();
  const std::vector<MethodChoice> methods = this->methods();
  if (problem.isEmpty()) problem = m_test->problem(settings, methods);
  QString why;
  const bool goesOn = problem.isEmpty() && m_test->goesOn(settings, methods, &why);
  const qint64 cells = static_cast<qint64>(settings.lengths.size()) * settings.depths;
  QString what = tr("%1, %2 for each of %3")
                     .arg(counted(cells, "cell", "cells"), counted(cells * settings.prompts, "prompt", "prompts"),
                          counted(static_cast<qint64>(methods.size()), "method", "methods"));
  if (goesOn) {
    what = tr("Goes on: %1 of %2 are there")
               .arg(formatCount(static_cast<qint64>(m_test->results().cells.size())), counted(cells, "cell", "cells"));
  } else if (!why.isEmpty()) {
    what += tr("; begins anew, as of the results shown %1").arg(why);
  }
  m_frame->setPlan(problem, what + u'.', goesOn);
}

std::size_t NeedlePanel::methodOf(bool right) const {
  const std::size_t methods = m_test->results().methods.size();
  const auto chosen = static_cast<std::size_t>(std::max(0, (right ? m_right : m_left)->currentIndex()));
  return chosen % std::max<std::size_t>(1, methods);
}

const NeedleCell* NeedlePanel::cellAt(int length, int depth) const {
  const NeedleResults& results = m_test->results();
  if (length < 0 || length >= static_cast<int>(results.settings.lengths.size())) return nullptr;
  return results.cell(results.settings.lengths[static_cast<std::size_t>(length)], depth);
}

double NeedlePanel::value(const NeedleCell& cell, std::size_t method) const {
  if (cell.prompts == 0) return std::numeric_limits<double>::quiet_NaN();
  return cell.scores[method].value(measure().key);
}

const Measure& NeedlePanel::measure() const { return dhsa::measure(m_score->currentData().toString().toStdString()); }

bool NeedlePanel::isShare() const { return measure().format == Measure::Format::kShare; }

QString NeedlePanel::scoreText(double value) const {
  if (std::isnan(value)) return {};
  const QString text = isShare() ? QString::number(std::lround(100 * value)) : QString::number(value, 'f', 2);
  return QString(text).replace(u'-', QChar(0x2212));
}

void NeedlePanel::takeResults() {
  const NeedleResults& results = m_test->results();
  const QString left = m_left->currentText();
  const QString right = m_right->currentText();
  m_left->clear();
  m_right->clear();
  for (const MethodChoice& method : results.methods) {
    m_left->addItem(methodTitle(method));
    m_right->addItem(methodTitle(method));
  }
  // The same titles as before where they are there, else dense beside the first other one; then the differences.
  for (const MethodChoice& method : results.methods)
    m_right->addItem(tr("%1 less the left map").arg(methodTitle(method)));
  m_left->setCurrentIndex(std::max(0, m_left->findText(left)));
  const int before = m_right->findText(right);
  m_right->setCurrentIndex(before >= 0 ? before : std::min(1, m_right->count() - 1));
  for (QComboBox* box : {m_score, m_left, m_right}) box->setEnabled(!results.methods.empty());

  std::vector<double> depths;
  for (std::int64_t i = 0; !results.methods.empty() && i < results.settings.depths; ++i)
    depths.push_back(results.settings.depth(i));
  m_map->setGrid(results.methods.empty()
                     ? std::vector<qint64>()
                     : std::vector<qint64>(results.settings.lengths.begin(), results.settings.lengths.end()),
                 depths);
  if (!m_test->isRunning() && !results.methods.empty()) {
    // A file was opened: Start goes on with what it asked for.
    setSettings(results.settings);
    m_frame->methods()->setGiven(results.methods);
  }
  showScores();
  showDetails();
  plan();
}

void NeedlePanel::showScores() {
  const NeedleResults& results = m_test->results();
  if (results.methods.empty()) return;
  const bool difference = m_right->currentIndex() >= static_cast<int>(results.methods.size());
  const bool share = isShare();

  NeedleMap::Scale scale;
  double lowest = 0;
  double most = 0;
  for (const NeedleCell& cell : results.cells) {
    if (cell.prompts == 0) continue;
    const double left = value(cell, methodOf(false));
    const double right = value(cell, methodOf(true));
    lowest = std::min({lowest, left, right});
    most = std::max(most, std::abs(right - left));
  }
  lowest = std::max(kLowestLogProbability, std::min(-0.5, std::floor(2 * lowest) / 2));
  const QString quantity = m_score->currentText();
  const QString unit = QString::fromUtf8(measure().unit.data());
  scale.text = [this](double v) { return scoreText(v); };
  scale.diverging = difference;
  scale.map = difference ? ColourMapId::Diverging : ColourMapId::Cividis;
  if (difference) {
    scale.high = share ? 1 : std::clamp(std::ceil(2 * most) / 2, 0.5, -kLowestLogProbability);
    scale.low = -scale.high;
    scale.title = tr("difference of %1, %2").arg(quantity.toLower(), unit);
  } else {
    scale.low = share ? 0 : lowest;
    scale.high = share ? 1 : 0;
    scale.title = tr("%1, %2").arg(quantity.toLower(), unit);
  }
  scale.inPercent = share;
  m_map->setScale(scale);
  const auto title = [&results](const MethodChoice& method) {
    if (method.parameters.method == Method::kDense) return methodTitle(method);
    if (results.settings.budget_share > 0) {
      return tr("%1, %2 of the keys").arg(methodTitle(method), formatPercent(results.settings.budget_share));
    }
    return tr("%1, %2").arg(methodTitle(method), counted(method.parameters.budget, "key", "keys"));
  };
  const QString left = title(results.methods[methodOf(false)]);
  const QString right = title(results.methods[methodOf(true)]);
  m_map->setTitles(difference ? tr("%1 − %2").arg(right, left) : left, right, difference);
  for (std::size_t i = 0; i < results.cells.size(); ++i) showCell(static_cast<int>(i));
}

void NeedlePanel::showCell(int number) {
  const NeedleResults& results = m_test->results();
  const NeedleCell& cell = results.cells[static_cast<std::size_t>(number)];
  const auto& lengths = results.settings.lengths;
  const auto length = static_cast<int>(std::find(lengths.begin(), lengths.end(), cell.length) - lengths.begin());
  const auto depth = static_cast<int>(cell.depth);
  const double left = value(cell, methodOf(false));
  const double right = value(cell, methodOf(true));
  m_map->setValue(NeedleMap::Side::Left, length, depth, m_map->scale().diverging ? right - left : left);
  m_map->setValue(NeedleMap::Side::Right, length, depth, right);
  const NeedleMap::Cell& selected = m_map->selected();
  if (selected.length == length && selected.depth == depth) showDetails();
}

void NeedlePanel::showDetails() {
  const NeedleMap::Cell& at = m_map->selected();
  const NeedleCell* cell = cellAt(at.length, at.depth);
  const bool some = cell != nullptr && cell->prompts > 0;
  m_open->setEnabled(at.length >= 0 && !m_test->isEmpty());
  {
    const QSignalBlocker quiet(m_prompt);
    m_prompt->setRange(1, some ? static_cast<int>(cell->prompts) : 1);
    m_prompt->setVisible(some && cell->prompts > 1);
  }
  const QString faint = tr("Choose a cell to read its answers.");
  if (!some) {
    m_details->setText(m_test->isEmpty() ? QString() : at.length >= 0 ? tr("This cell was not run yet.") : faint);
    return;
  }
  const NeedleResults& results = m_test->results();
  const auto prompt = static_cast<std::size_t>(m_prompt->value() - 1);
  QString text = tr("<b>%1 tokens · depth %2 %</b>")
                     .arg(formatCount(cell->length))
                     .arg(std::lround(100 * results.settings.depth(cell->depth)));
  text += QStringLiteral("<table cellspacing=0 cellpadding=1>");
  std::vector<std::size_t> methods = {methodOf(false), methodOf(true)};
  if (methods[0] == methods[1]) methods.pop_back();
  for (const std::size_t method : methods) {
    const NeedleAnswer& answer = cell->scores[method].answers[prompt];
    const bool exact = answer.values.value("exact") == 1;
    text += tr("<tr><td>%1&nbsp;</td><td>%2 <b>%3</b>&nbsp;</td><td>“%4”&nbsp;</td>"
               "<td>log-probability %5 nats</td></tr>")
                .arg(methodTitle(results.methods[method]).toHtmlEscaped(),
                     exact ? QStringLiteral("✓") : QStringLiteral("✗"),
                     exact                              ? tr("exact")
                     : answer.values.value("found") > 0 ? tr("in part")
                                                        : tr("lost"),
                     escaped(answer.text), formatReal(answer.values.value("log_probability")));
  }
  m_details->setText(text + QStringLiteral("</table>"));
}

void NeedlePanel::openPrompt() {
  const NeedleMap::Cell& at = m_map->selected();
  const NeedleResults& results = m_test->results();
  if (at.length < 0 || m_test->isEmpty()) return;
  const bool right = at.side == NeedleMap::Side::Right || m_map->scale().diverging;
  m_test->openPrompt(results.settings.lengths[static_cast<std::size_t>(at.length)], at.depth, m_prompt->value() - 1,
                     methodOf(right));
}

}  // namespace dhsa
