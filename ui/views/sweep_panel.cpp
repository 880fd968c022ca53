#include "ui/views/sweep_panel.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QStandardItemModel>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/lists.h"
#include "core/sparsity/parameters_name.h"
#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/state/sweep_run.h"
#include "ui/views/experiment_frame.h"
#include "ui/views/sweep_plot.h"

namespace dhsa {
namespace {

enum Question : std::uint8_t { kOwn, kQualityBudget, kQualityLength, kCostLength };
constexpr const char* kLength = "length";
constexpr const char* kOpened = "opened";
const SweepSettings kDefaults;

// Values worth a look where a person has named none.
std::vector<double> usualValues(const std::string& key) {
  if (key == kLength) return {512, 1024, 2048, 4096};
  const std::vector<double>& usual = parameter_table().at(key).usual;
  return usual.empty() ? std::vector<double>{1, 2, 4} : usual;
}

QSpinBox* spinBox(int least, int most, std::int64_t value) {
  auto* made = new QSpinBox;
  made->setRange(least, most);
  made->setValue(static_cast<int>(value));
  return made;
}

QComboBox* comboBox(int characters) {
  auto* made = new QComboBox;
  made->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  made->setMinimumContentsLength(characters);
  return made;
}

std::vector<std::int64_t> wholeNumbers(const QString& text) {
  std::vector<std::int64_t> whole;
  for (const double number : parseNumbers(text, nullptr)) whole.push_back(std::llround(std::clamp(number, 0.0, 1e9)));
  return whole;
}

bool isNumber(const OptionInfo& info) { return info.numeric() && info.key != "instruction-tokens"; }

}  // namespace

SweepPanel::SweepPanel(SweepRun* sweep, QWidget* parent)
    : QWidget(parent), m_sweep(sweep), m_frame(new ExperimentFrame(sweep, this)), m_plot(new SweepPlot(this)) {
  setObjectName(QStringLiteral("sweepPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_frame);
  makeSettings();
  makeTools();
  m_frame->setContent(m_plot);
  for (const std::string& name : split_list(kUsualMethods)) {
    m_frame->methods()->check(QString::fromStdString(name), true);
  }
  connect(m_plot, &SweepPlot::statusText, this, &SweepPanel::statusText);
  connect(m_frame, &ExperimentFrame::startRequested, this,
          [this] { m_sweep->start(settings(), m_frame->methods()->choices()); });
  connect(m_frame, &ExperimentFrame::haystackChanged, this, &SweepPanel::plan);
  connect(m_frame->methods(), &MethodList::changed, this, &SweepPanel::plan);
  connect(sweep, &Experiment::resultsReset, this, &SweepPanel::takeResults);
  connect(sweep, &Experiment::resultAdded, this, &SweepPanel::showCurves);
  connect(sweep, &Experiment::runningChanged, this, &SweepPanel::plan);
  connect(sweep->explorer()->session(), &Session::modelChanged, this, &SweepPanel::plan);
  chooseQuestion(kQualityBudget);
}

void SweepPanel::makeSettings() {
  m_question = comboBox(14);
  m_question->addItems({tr("My own"), tr("Quality by budget"), tr("Quality by length"), tr("Cost by length")});
  m_question->setItemData(kCostLength, tr("Latency and memory"), Qt::ToolTipRole);
  m_vary = comboBox(6);
  m_vary->addItem(tr("Length"), QString::fromLatin1(kLength));
  for (const OptionInfo& info : parameter_table()) {
    if (!isNumber(info)) continue;
    m_vary->addItem(QString::fromStdString(info.label), QString::fromStdString(info.key));
    m_vary->setItemData(m_vary->count() - 1, QString::fromStdString(info.help), Qt::ToolTipRole);
  }
  m_values = new QLineEdit;
  m_lengths = new QLineEdit(numbersText({4096}));
  m_samples = spinBox(1, 1000, kDefaults.samples);
  m_repeats = spinBox(1, 1000, kDefaults.repeats);
  m_measured = comboBox(6);
  m_measured->addItems({tr("Quality and cost"), tr("Cost only")});
  m_seed = spinBox(1, std::numeric_limits<int>::max(), 1);

  m_frame->addRow(tr("&Question"), m_question, QStringLiteral("question"),
                  tr("Sets all that follows for a question often asked; every row can be changed afterwards."));
  m_frame->addRow(tr("V&ary"), m_vary, QStringLiteral("vary"),
                  tr("What differs from point to point: the length of the text or a parameter. Methods that do not "
                     "read it are measured once and drawn across."));
  m_frame->addRow(tr("Va&lues"), m_values, QStringLiteral("values"),
                  tr("Its values, parted by commas, in the parameter's unit (tokens, keys, rows); K is 1024."));
  m_frame->addRow(tr("Len&gths"), m_lengths, QStringLiteral("sweepLengths"),
                  tr("Tokens of the texts where the length is not what varies; one curve for each. Default: 4K."));
  m_frame->addRow(tr("&Samples"), m_samples, QStringLiteral("samples"),
                  tr("Texts of each length; curves show their mean, bars the least and the most. Default: 1."));
  m_frame->addRow(tr("Repea&ts"), m_repeats, QStringLiteral("repeats"),
                  tr("Prefills of each method on each text; the median time counts. Default: 3 for cost, 1 else."));
  m_frame->addRow(tr("&Measure"), m_measured, QStringLiteral("measured"),
                  tr("Quality: retained mass, overlap and output error on one row in 7, and logits at up to 1024 "
                     "positions. Cost only leaves these out and is much faster."));
  m_frame->addMethods();
  m_frame->addRow(tr("Seed"), m_seed, QStringLiteral("sweepSeed"), tr("Of the generated prose. Default: 1."));

  connect(m_question, &QComboBox::activated, this, &SweepPanel::chooseQuestion);
  connect(m_vary, &QComboBox::currentIndexChanged, this, &SweepPanel::chooseVaried);
  for (QLineEdit* edit : {m_values, m_lengths}) connect(edit, &QLineEdit::textChanged, this, &SweepPanel::plan);
  for (QSpinBox* box : {m_samples, m_repeats, m_seed}) connect(box, &QSpinBox::valueChanged, this, &SweepPanel::plan);
  connect(m_measured, &QComboBox::currentIndexChanged, this, &SweepPanel::plan);
}

void SweepPanel::makeTools() {
  m_upper = comboBox(8);
  m_lower = comboBox(6);
  m_against = comboBox(5);
  m_logX = new QCheckBox(tr("log x"));
  m_logY = new QCheckBox(tr("log y"));
  m_lower->addItem(tr("no second"));
  for (const Measure& measure : measures()) {
    if (!is_measured(measure)) continue;
    for (QComboBox* box : {m_upper, m_lower}) {
      box->addItem(measureTitle(measure), QString::fromUtf8(measure.key.data()));
      box->setItemData(box->count() - 1, QString::fromUtf8(measure.help.data()), Qt::ToolTipRole);
    }
  }
  const auto adopt = [this](QWidget* tool, const char* name, const QString& caption, const QString& tip) {
    tool->setObjectName(QString::fromLatin1(name));
    tool->setAccessibleName(caption);
    tool->setToolTip(tip);
    m_frame->addTool(tool);
  };
  adopt(m_upper, "upperMeasure", tr("Measure"), tr("What the curves show"));
  adopt(m_lower, "lowerMeasure", tr("Second measure"), tr("What a second plot below shows, over the same values"));
  adopt(m_against, "against", tr("Against"), tr("What goes along the x axis, where several things vary"));
  adopt(m_logX, "logX", tr("Logarithmic x axis"), tr("Logarithmic x axis"));
  adopt(m_logY, "logY", tr("Logarithmic y axis"), tr("Logarithmic y axis; values of 0 have no place on it"));
  m_against->hide();
  m_logX->setChecked(true);
  for (QComboBox* box : {m_upper, m_lower, m_against}) {
    connect(box, &QComboBox::currentIndexChanged, this, [this] {
      if (!m_filling) showCurves();
    });
  }
  for (QCheckBox* box : {m_logX, m_logY}) {
    connect(box, &QCheckBox::toggled, this, [this] { m_plot->setLog(m_logX->isChecked(), m_logY->isChecked()); });
  }
  m_plot->setLog(true, false);
}

void SweepPanel::chooseQuestion(int question) {
  m_question->setCurrentIndex(question);
  if (question == kOwn) return;
  const auto model = m_sweep->explorer()->session()->model();
  const std::int64_t context = model ? model->weights->config().context : 16384;
  const auto show = [](QComboBox* box, const char* measure) {
    box->setCurrentIndex(std::max(0, box->findData(QString::fromLatin1(measure))));
  };
  m_filling = true;
  m_vary->setCurrentIndex(m_vary->findData(QString::fromLatin1(question == kQualityBudget ? "budget" : kLength)));
  chooseVaried();
  if (question == kCostLength) {
    std::vector<double> lengths;
    for (std::int64_t length = 1024; length <= std::min<std::int64_t>(context, 16384); length *= 2) {
      lengths.push_back(static_cast<double>(length));
    }
    if (!lengths.empty()) m_values->setText(numbersText(lengths));
  }
  m_samples->setValue(1);
  m_repeats->setValue(question == kCostLength ? 3 : 1);
  m_measured->setCurrentIndex(question == kCostLength ? 1 : 0);
  show(m_upper, question == kCostLength ? "prefill_seconds" : "retained_mass");
  show(m_lower, question == kCostLength ? "extra_bytes" : "mean_kl_nats");
  m_filling = false;
  m_question->setCurrentIndex(question);
  plan();
  showCurves();
}

void SweepPanel::chooseVaried() {
  const QString key = m_vary->currentData().toString();
  if (key == m_varied) return;
  m_varied = key;
  const bool opened = key == QString::fromLatin1(kOpened);
  m_values->setEnabled(!opened);
  m_lengths->setEnabled(!opened && key != QString::fromLatin1(kLength));
  if (!opened) m_values->setText(numbersText(usualValues(key.toStdString())));
  plan();
}

QString SweepPanel::problemOfForm() const {
  QString problem;
  if (m_varied == QString::fromLatin1(kOpened)) return problem;
  static_cast<void>(parseNumbers(m_values->text(), &problem));
  if (!problem.isEmpty()) return tr("Values: %1").arg(problem);
  if (m_varied == QString::fromLatin1(kLength)) return problem;
  static_cast<void>(parseNumbers(m_lengths->text(), &problem));
  return problem.isEmpty() ? problem : tr("Lengths: %1").arg(problem);
}

SweepSettings SweepPanel::settings() const {
  SweepSettings settings;
  const bool quality = m_measured->currentIndex() == 0;
  settings.samples = m_samples->value();
  settings.repeats = m_repeats->value();
  settings.metrics_rows = quality ? kDefaults.metrics_rows : 0;
  settings.logit_positions = quality ? kDefaults.logit_positions : 0;
  settings.seed = static_cast<std::uint64_t>(m_seed->value());
  settings.haystack = m_frame->haystack();
  if (m_varied == QString::fromLatin1(kOpened) && m_opened) {
    settings.lengths = m_opened->lengths;
    settings.axes = m_opened->axes;
    settings.metrics_rows = m_opened->metrics_rows;
    settings.logit_positions = m_opened->logit_positions;
    return settings;
  }
  settings.lengths = wholeNumbers(m_varied == QString::fromLatin1(kLength) ? m_values->text() : m_lengths->text());
  if (m_varied == QString::fromLatin1(kLength)) return settings;
  SweepAxis axis{m_varied.toStdString(), {}};
  const bool whole = parameter_table().at(axis.key).kind == OptionInfo::Kind::kCount;
  for (const double number : parseNumbers(m_values->text(), nullptr)) {
    if (whole && std::floor(number) == number && std::abs(number) < 1e15) {
      axis.values.emplace_back(static_cast<std::int64_t>(number));
    } else {
      axis.values.emplace_back(number);
    }
  }
  settings.axes.push_back(std::move(axis));
  return settings;
}

void SweepPanel::setSettings(const SweepSettings& settings) {
  m_filling = true;
  m_samples->setValue(static_cast<int>(settings.samples));
  m_repeats->setValue(static_cast<int>(settings.repeats));
  m_measured->setCurrentIndex(settings.metrics_rows > 0 || settings.logit_positions > 0 ? 0 : 1);
  m_seed->setValue(static_cast<int>(settings.seed));
  m_frame->setHaystack(settings.haystack);
  m_question->setCurrentIndex(kOwn);

  const int stale = m_vary->findData(QString::fromLatin1(kOpened));
  const bool onlyLength = settings.axes.empty();
  const bool plainAxis = settings.axes.size() == 1 && isNumber(parameter_table().at(settings.axes.front().key));
  const bool usual =
      (settings.metrics_rows == kDefaults.metrics_rows && settings.logit_positions == kDefaults.logit_positions) ||
      (settings.metrics_rows == 0 && settings.logit_positions == 0);
  if ((onlyLength || plainAxis) && usual) {
    const QString key = QString::fromStdString(onlyLength ? kLength : settings.axes.front().key);
    m_vary->setCurrentIndex(m_vary->findData(key));
    chooseVaried();
    std::vector<double> values(settings.lengths.begin(), settings.lengths.end());
    if (!onlyLength) {
      m_lengths->setText(numbersText(values));
      values.clear();
      for (const OptionValue& value : settings.axes.front().values) {
        const auto* whole = std::get_if<std::int64_t>(&value);
        values.push_back(whole ? static_cast<double>(*whole) : std::get<double>(value));
      }
    }
    m_values->setText(numbersText(values));
    if (stale >= 0) m_vary->removeItem(stale);
    m_opened.reset();
  } else {
    m_opened = settings;
    if (stale < 0) m_vary->addItem(tr("As in the results shown"), QString::fromLatin1(kOpened));
    m_vary->setCurrentIndex(m_vary->findData(QString::fromLatin1(kOpened)));
    chooseVaried();
    QStringList keys;
    for (const SweepAxis& axis : settings.axes) keys << QString::fromStdString(axis.key);
    m_values->setText(keys.join(QStringLiteral(", ")));
    m_lengths->setText(numbersText({settings.lengths.begin(), settings.lengths.end()}));
  }
  m_filling = false;
}

// What Start would do.
void SweepPanel::plan() {
  if (m_filling) return;
  QString problem = problemOfForm();
  const SweepSettings settings = this->settings();
  std::vector<std::string> replaced;
  for (const SweepAxis& axis : settings.axes) replaced.push_back(axis.key);
  m_frame->methods()->setReplaced(std::move(replaced));
  const std::vector<MethodChoice> methods = m_frame->methods()->choices();
  if (problem.isEmpty()) problem = m_sweep->problem(settings, methods);
  QString why;
  const bool goesOn = problem.isEmpty() && m_sweep->goesOn(settings, methods, &why);
  const std::size_t values = settings.axes.empty() ? settings.lengths.size() : settings.axes.front().values.size();
  QString what =
      tr("%1 with dense, %2, %3")
          .arg(counted(static_cast<qint64>(methods.size()), "method", "methods"),
               counted(static_cast<qint64>(values), "value", "values"), counted(settings.samples, "sample", "samples"));
  if (goesOn) {
    what = tr("Goes on with the results shown");
  } else if (!why.isEmpty()) {
    what += tr("; begins anew, as of the results shown %1").arg(why);
  }
  m_frame->setPlan(problem, what + u'.', goesOn);
}

void SweepPanel::takeResults() {
  const SweepResults& results = m_sweep->results();
  m_dimensions = sweepDimensions(results);
  m_filling = true;
  m_against->clear();
  for (const SweepDimension& dimension : m_dimensions) m_against->addItem(dimension.label);
  m_filling = false;
  m_against->setVisible(m_dimensions.size() > 1);
  for (QComboBox* box : {m_upper, m_lower}) {
    auto* items = qobject_cast<QStandardItemModel*>(box->model());
    for (int row = 0; row < box->count(); ++row) {
      const QString key = box->itemData(row).toString();
      const bool there = key.isEmpty() || is_measured(measure(key.toStdString()), results.settings);
      items->item(row)->setEnabled(there);
      if (!there && row == box->currentIndex()) {
        box->setCurrentIndex(box == m_lower ? 0 : box->findData(QStringLiteral("prefill_seconds")));
      }
    }
  }
  if (!m_sweep->isRunning() && !m_sweep->isEmpty()) {
    // A file was opened: Start goes on with what it asked for.
    setSettings(results.settings);
    m_frame->methods()->setGiven(results.methods);
  }
  showCurves();
  plan();
}

void SweepPanel::showCurves() {
  if (m_sweep->isEmpty()) return;
  std::vector<const Measure*> shown = {&measure(m_upper->currentData().toString().toStdString())};
  if (m_lower->currentIndex() > 0) {
    shown.push_back(&measure(m_lower->currentData().toString().toStdString()));
  }
  const auto against = static_cast<std::size_t>(std::max(0, m_against->currentIndex()));
  m_plot->setCurves(m_sweep->results(), m_dimensions[against], shown);
}

}  // namespace dhsa
