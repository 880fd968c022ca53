// Needle tests and sweeps in the window: set up, run, cancelled, gone on with, saved, opened, and looked into.
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QDockWidget>
#include <QLabel>
#include <QLineEdit>
#include <QMimeData>
#include <QPushButton>
#include <QSpinBox>
#include <QTest>
#include <nlohmann/json.hpp>

#include "core/files/atomic_write.h"
#include "tests/ui/window_under_test.h"
#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/state/needle_test.h"
#include "ui/state/sweep_run.h"
#include "ui/views/experiment_frame.h"
#include "ui/views/message_bar.h"
#include "ui/views/needle_map.h"
#include "ui/views/needle_panel.h"
#include "ui/views/qcp.h"
#include "ui/views/spoken_value.h"
#include "ui/views/sweep_panel.h"
#include "ui/views/sweep_plot.h"
#include "ui/views/text_view.h"

using namespace dhsa;

namespace {

constexpr int kTimeout = 120000;
using Side = NeedleMap::Side;

}  // namespace

class TestExperiments : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<WindowUnderTest> m_window;

  [[nodiscard]] NeedleTest* test() const { return m_window->window()->needleTest(); }
  [[nodiscard]] SweepRun* sweep() const { return m_window->window()->sweep(); }
  [[nodiscard]] NeedlePanel* needlePanel() const { return m_window->child<NeedlePanel>("needlePanel"); }
  [[nodiscard]] SweepPanel* sweepPanel() const { return m_window->child<SweepPanel>("sweepPanel"); }
  template <class Widget>
  static Widget* in(QWidget* panel, const char* name) {
    auto* found = panel->findChild<Widget*>(QString::fromLatin1(name));
    if (found == nullptr) qFatal("no widget %s", name);
    return found;
  }
  static void only(MethodList* methods, const char* preset) {
    methods->setGiven({});
    methods->check({}, false);
    for (const char* other : {"best", "block-sparse", "window-sinks"}) {
      methods->check(QString::fromLatin1(other), std::string_view(other) == preset);
    }
  }

  // 64 keys of window and sinks beside dense, on short prompts.
  void setUpNeedle(const QString& lengths, int depths) const {
    NeedlePanel* panel = needlePanel();
    only(panel->frame()->methods(), "window-sinks");
    in<QLineEdit>(panel, "lengths")->setText(lengths);
    in<QSpinBox>(panel, "depths")->setValue(depths);
    in<QSpinBox>(panel, "prompts")->setValue(1);
    in<QSpinBox>(panel, "needleSeed")->setValue(1);
    in<QComboBox>(panel, "budgetKind")->setCurrentIndex(1);
    in<QDoubleSpinBox>(panel, "budgetValue")->setValue(64);
  }
  void setUpSweep(const char* values) const {
    SweepPanel* panel = sweepPanel();
    only(panel->frame()->methods(), "window-sinks");
    panel->chooseQuestion(1);
    in<QLineEdit>(panel, "values")->setText(QString::fromLatin1(values));
    in<QLineEdit>(panel, "sweepLengths")->setText(QStringLiteral("256"));
  }
  static void start(QWidget* panel) { in<QPushButton>(panel, "start")->click(); }
  [[nodiscard]] static bool over(const Experiment* experiment) {
    return QTest::qWaitFor([experiment] { return !experiment->isRunning(); }, kTimeout);
  }

 private Q_SLOTS:
  void init() {
    m_window = std::make_unique<WindowUnderTest>(300);
    QVERIFY(m_window->startAndSettle());
  }
  void cleanup() { m_window.reset(); }

  void aNeedleTestFillsTheMapsCellByCell() {
    setUpNeedle(QStringLiteral("256"), 2);
    NeedlePanel* panel = needlePanel();
    int added = 0;
    connect(test(), &Experiment::resultAdded, this, [&](int cell) { QCOMPARE(cell, added++); });
    bool marked = false;
    connect(test(), &Experiment::progressChanged, this,
            [&] { marked = marked || panel->map()->running().length == 0; });
    start(panel);
    QVERIFY(test()->isRunning());
    QCOMPARE(in<QPushButton>(panel, "start")->text(), QStringLiteral("Cancel"));
    QVERIFY(over(test()));
    QVERIFY(test()->isFinished());
    QCOMPARE(added, 2);
    QVERIFY(marked);
    QCOMPARE(panel->map()->running().length, -1);
    const NeedleResults& results = test()->results();
    QCOMPARE(results.methods.size(), std::size_t{2});
    QCOMPARE(results.methods[1].parameters.budget, 64);
    for (const char* key : {"exact", "log_probability"}) {
      auto* box = in<QComboBox>(panel, "score");
      box->setCurrentIndex(box->findData(QString::fromLatin1(key)));
      Q_EMIT box->activated(box->currentIndex());
      for (const NeedleCell& cell : results.cells) {
        for (const Side side : {Side::Left, Side::Right}) {
          const NeedleScore& expected = cell.scores[side == Side::Left ? 0 : 1];
          QCOMPARE(panel->map()->value(side, 0, static_cast<int>(cell.depth)), expected.value(key));
        }
      }
    }
    // The colour bar says which scale it is; the difference of the two has one of its own.
    QVERIFY(panel->map()->scale().title.contains(QStringLiteral("log-probability")));
    auto* right = in<QComboBox>(panel, "rightMethod");
    right->setCurrentIndex(3);
    Q_EMIT right->activated(3);
    QVERIFY(panel->map()->scale().diverging);
    const NeedleCell& first = results.cells.front();
    QCOMPARE(panel->map()->value(Side::Left, 0, 0),
             first.scores[1].value("log_probability") - first.scores[0].value("log_probability"));
  }

  void aCellTellsItsValueAndAnswersByPointerAndKeys() {
    setUpNeedle(QStringLiteral("256"), 2);
    m_window->window()->dock(QStringLiteral("needle"))->raise();
    start(needlePanel());
    QVERIFY(over(test()));
    NeedleMap* map = needlePanel()->map();
    QSignalSpy status(map, &NeedleMap::statusText);
    QTest::mouseMove(map, map->cellRect({Side::Right, 0, 1}).center().toPoint());
    QTRY_VERIFY(!status.isEmpty());
    const NeedleScore& score = test()->results().cells[1].scores[1];
    const QString said = status.last().front().toString();
    QVERIFY2(said.contains(QString::fromStdString(score.answers[0].text).simplified()), qPrintable(said));
    QVERIFY2(said.contains(formatReal(score.value("log_probability"))), qPrintable(said));
    QVERIFY2(said.contains(QStringLiteral("depth 100 %")), qPrintable(said));

    map->select({Side::Left, 0, 0});
    QTest::keyClick(map, Qt::Key_Down);
    QTest::keyClick(map, Qt::Key_Right);
    QCOMPARE(map->selected(), (NeedleMap::Cell{Side::Right, 0, 1}));
    QCOMPARE(spokenValue(map), said);
    // In the status line as long as the panel is in front.
    const auto* line = m_window->child<QLabel>("cellStatus");
    QCOMPARE(line->text(), said);
    m_window->window()->dock(QStringLiteral("sweeps"))->raise();
    QTRY_VERIFY(line->text().isEmpty());
    const QString details = in<QLabel>(needlePanel(), "needleDetails")->text();
    for (const NeedleScore& each : test()->results().cells[1].scores) {
      QVERIFY(details.contains(QString::fromStdString(each.answers[0].text).trimmed().toHtmlEscaped()));
    }
  }

  void cancelKeepsWhatWasFoundAndStartGoesOn() {
    setUpNeedle(QStringLiteral("256, 512"), 3);
    NeedlePanel* panel = needlePanel();
    const auto once = static_cast<Qt::ConnectionType>(Qt::AutoConnection | Qt::SingleShotConnection);
    connect(
        test(), &Experiment::resultAdded, this, [panel] { start(panel); }, once);
    start(panel);
    QVERIFY(over(test()));
    QVERIFY(!test()->isFinished());
    const NeedleResults kept = test()->results();
    QVERIFY(!kept.cells.empty());
    QVERIFY(kept.cells.size() < 6);
    QVERIFY(in<QPushButton>(panel, "start")->text().contains(QStringLiteral("go on")));
    QVERIFY(m_window->window()->messageBar()->text().contains(QStringLiteral("%1 of 6").arg(kept.cells.size())));
    start(panel);
    QVERIFY(over(test()));
    QVERIFY(test()->isFinished());
    // Not run again: the measured time is the same to the last digit.
    for (std::size_t i = 0; i < kept.cells.size(); ++i) {
      QCOMPARE(test()->results().cells[i].scores[1].value("prefill_seconds"),
               kept.cells[i].scores[1].value("prefill_seconds"));
    }
  }

  void aSavedFileReopensEqualAndGoesOn() {
    setUpNeedle(QStringLiteral("256"), 3);
    NeedlePanel* panel = needlePanel();
    const auto once = static_cast<Qt::ConnectionType>(Qt::AutoConnection | Qt::SingleShotConnection);
    connect(
        test(), &Experiment::resultAdded, this, [this] { test()->cancel(); }, once);
    start(panel);
    QVERIFY(over(test()));
    const QString path = m_window->filePath(QStringLiteral("needle.json"));
    QVERIFY(!test()->isSaved());
    QVERIFY(test()->save(path));
    QVERIFY(test()->isSaved());
    const nlohmann::json before = test()->results();
    const NeedleSettings settings = panel->settings();

    m_window->open();
    QVERIFY(m_window->startAndSettle());
    panel = needlePanel();
    QVERIFY(test()->open(path));
    QVERIFY(nlohmann::json(test()->results()) == before);
    QVERIFY(panel->settings() == settings);
    QCOMPARE(panel->map()->value(Side::Left, 0, 0), test()->results().cells[0].scores[0].value("exact"));
    QVERIFY(std::isnan(panel->map()->value(Side::Left, 0, 2)));
    // Going on adds to the file.
    start(panel);
    QVERIFY(over(test()));
    QVERIFY(test()->isFinished());
    const NeedleResults written = parse_needle_results(read_file(path.toStdString()), "file");
    QVERIFY(nlohmann::json(written) == nlohmann::json(test()->results()));

    const QString csv = m_window->filePath(QStringLiteral("needle.csv"));
    QVERIFY(test()->exportCsv(csv));
    QCOMPARE(read_file(csv.toStdString()), to_csv(written));
    panel->frame()->copy();
    const QMimeData* copied = QGuiApplication::clipboard()->mimeData();
    QVERIFY(copied->hasImage());
    QCOMPARE(copied->text().section(u'\n', 0, 0).count(u'\t'),
             QString::fromStdString(to_csv(written)).section(u'\n', 0, 0).count(u','));
  }

  void aDamagedOrForeignFileLeavesResultsInPlace() {
    setUpNeedle(QStringLiteral("256"), 1);
    start(needlePanel());
    QVERIFY(over(test()));
    const nlohmann::json before = test()->results();
    const QString path = m_window->filePath(QStringLiteral("damaged.json"));
    const std::string whole = before.dump();
    for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string("{\"kind\": \"dhsa-sweep\"}")}) {
      write_file(path.toStdString(), text);
      QVERIFY(!test()->open(path));
      QVERIFY(m_window->window()->messageBar()->isError());
      QVERIFY(m_window->window()->messageBar()->text().contains(QStringLiteral("damaged.json")));
      QVERIFY(nlohmann::json(test()->results()) == before);
    }
    QVERIFY(!test()->save(QStringLiteral("/no/such/folder/x.json")));
    QVERIFY(m_window->window()->messageBar()->text().contains(QStringLiteral("/no/such/folder")));
    QVERIFY(!test()->isSaved());
  }

  void wrongSettingsAreSaidInThePanelAndRefusedOnesInTheMessageBar() {
    setUpNeedle(QStringLiteral("256"), 1);
    NeedlePanel* panel = needlePanel();
    auto* plan = in<QLabel>(panel, "plan");
    auto* button = in<QPushButton>(panel, "start");
    QVERIFY(button->isEnabled());
    const std::pair<const char*, const char*> wrong[] = {{"12x", "12x"}, {"", "number"}, {"900000", "context"}};
    for (const auto& [text, said] : wrong) {
      in<QLineEdit>(panel, "lengths")->setText(QString::fromLatin1(text));
      QVERIFY2(!button->isEnabled(), text);
      QVERIFY2(plan->text().contains(QString::fromLatin1(said)), qPrintable(plan->text()));
    }
    // Known only once the prompt is made: nothing is lost by the attempt.
    in<QLineEdit>(panel, "lengths")->setText(QStringLiteral("256"));
    start(panel);
    QVERIFY(over(test()));
    const nlohmann::json before = test()->results();
    QVERIFY(test()->save(m_window->filePath(QStringLiteral("kept.json"))));
    in<QComboBox>(panel, "task")->setCurrentIndex(2);
    in<QSpinBox>(panel, "needles")->setValue(60);
    QVERIFY(button->isEnabled());
    start(panel);
    QVERIFY(over(test()));
    QVERIFY(m_window->window()->messageBar()->isError());
    QVERIFY(nlohmann::json(test()->results()) == before);
    QCOMPARE(test()->path(), m_window->filePath(QStringLiteral("kept.json")));
  }

  void unsavedResultsAreNotReplacedUnasked() {
    setUpNeedle(QStringLiteral("256"), 1);
    NeedlePanel* panel = needlePanel();
    start(panel);
    QVERIFY(over(test()));
    const nlohmann::json before = test()->results();
    in<QSpinBox>(panel, "needleSeed")->setValue(2);
    start(panel);
    QVERIFY(!test()->isRunning());
    MessageBar* messages = m_window->window()->messageBar();
    QVERIFY(messages->text().contains(QStringLiteral("not saved")));
    QVERIFY(!m_window->window()->close());
    QVERIFY(messages->text().contains(QStringLiteral("needle test")) && messages->otherButton()->isVisible());
    start(panel);
    messages->actionButton()->click();
    QVERIFY(over(test()));
    QCOMPARE(test()->results().settings.seed, std::uint64_t{2});
  }

  void choosingACellOpensItsPrompt() {
    setUpNeedle(QStringLiteral("700"), 3);
    m_window->window()->dock(QStringLiteral("needle"))->raise();
    start(needlePanel());
    QVERIFY(over(test()));
    NeedleMap* map = needlePanel()->map();
    Explorer* explorer = m_window->explorer();
    explorer->view()->setLayer(0);  // a local one
    QVERIFY(explorer->session()->model()->weights->config().window_of(0) > 0);
    map->select({Side::Right, 0, 1});
    QTest::keyClick(map, Qt::Key_Return);
    const Tokenizer& tokenizer = *explorer->session()->model()->tokenizer;
    const NeedlePrompt prompt = make_needle_prompt(test()->results().settings, 700, 1, 0, tokenizer);
    // Without the answer, but with the blank of its own before the digits.
    std::vector<std::int32_t> ids = prompt.encoding.ids;
    if (tokenizer.decode(std::span(prompt.answer_ids).first(1)) == " ") ids.push_back(prompt.answer_ids.front());
    QTRY_VERIFY_WITH_TIMEOUT(explorer->session()->document()->content.encoding.ids == ids, kTimeout);
    QVERIFY(!explorer->session()->document()->shown.endsWith(QString::fromStdString(prompt.values[0])));
    QCOMPARE(explorer->parameters()->values().method, Method::kWindowSinks);
    QCOMPARE(explorer->parameters()->values().budget, 64);
    const qint64 row = explorer->view()->row();
    QCOMPARE(row, static_cast<qint64>(ids.size()) - 1);
    QCOMPARE(explorer->view()->keysBegin(), prompt.needles[0].first);
    QCOMPARE(explorer->view()->keysEnd(), prompt.needles[0].second);
    QCOMPARE(explorer->session()->model()->weights->config().window_of(explorer->view()->layer()), 0);
    QVERIFY(m_window->settle(2));
    // The row does not keep the needle: that is why it is lost.
    QTRY_VERIFY(explorer->whatIf()->row() && explorer->whatIf()->row()->row == row);
    QVERIFY(explorer->whatIf()->row()->fate[static_cast<std::size_t>(prompt.needles[0].second) - 1] != KeyFate::kKept);
    QTRY_VERIFY(!m_window->window()->dock(QStringLiteral("matrix"))->visibleRegion().isEmpty());
    // The needle is in sight, half the text away from the row.
    const auto* text = m_window->child<TextView>("textView");
    QTRY_VERIFY(text->viewport()->rect().contains(text->tokenRect(prompt.needles[0].first)));
    QVERIFY(!text->viewport()->rect().contains(text->tokenRect(row)));
  }

  void theWindowWorksWhileATestRuns() {
    setUpNeedle(QStringLiteral("512, 700"), 11);
    start(needlePanel());
    QTRY_VERIFY_WITH_TIMEOUT(test()->results().cells.size() == 1, kTimeout);
    Explorer* explorer = m_window->explorer();
    const Heartbeat heart;
    explorer->view()->selectRow(100);
    QTRY_VERIFY_WITH_TIMEOUT(explorer->whatIf()->row() && explorer->whatIf()->row()->row == 100, kTimeout);
    QVERIFY(test()->isRunning());
    // A changed parameter is planned between two stages of a prompt, not after the test.
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{512});
    QTRY_VERIFY_WITH_TIMEOUT(explorer->whatIf()->layerInView()->parameters.budget == 512, kTimeout);
    QVERIFY(test()->isRunning());
    explorer->history()->run();
    QTRY_VERIFY_WITH_TIMEOUT(explorer->history()->runs()->size() == 2, kTimeout);
    QVERIFY(test()->isRunning());
    QTRY_VERIFY_WITH_TIMEOUT(test()->results().cells.size() >= 5, kTimeout);
    heart.say("a needle test with a row, a changed parameter and a run in front of it");
    // Cancel means the run in front first, then what goes on behind it.
    explorer->history()->run();
    explorer->cancel();
    QVERIFY(test()->isRunning());
    QTRY_VERIFY_WITH_TIMEOUT(!explorer->engine()->isBusy(JobKind::kPrefill), kTimeout);
    explorer->cancel();
    QVERIFY(over(test()));
    QVERIFY(!test()->isFinished());
  }

  void closingWhileATestRunsIsSafe() {
    setUpNeedle(QStringLiteral("512"), 6);
    start(needlePanel());
    setUpSweep("64, 128");
    start(sweepPanel());
    QTRY_VERIFY_WITH_TIMEOUT(!test()->results().cells.empty(), kTimeout);
    m_window->close();
  }

  void aSweepDrawsItsPoints() {
    setUpSweep("64, 128, 192");
    SweepPanel* panel = sweepPanel();
    m_window->window()->dock(QStringLiteral("sweeps"))->raise();
    in<QSpinBox>(panel, "samples")->setValue(2);
    start(panel);
    QVERIFY(over(sweep()));
    QVERIFY(sweep()->isFinished());
    const SweepResults& results = sweep()->results();
    SweepPlot* plot = panel->plot();
    const auto& curves = plot->curves(0);
    QCOMPARE(curves.size(), std::size_t{2});
    QVERIFY(curves[0].flat && curves[0].points.size() == 1);
    QVERIFY(!curves[1].flat);
    QCOMPARE(curves[1].points.size(), std::size_t{3});
    // What is drawn is what the core measured, in the axis's unit.
    QCPGraph* graph = plot->plot()->graph(1);
    QCOMPARE(graph->dataCount(), 3);
    const double budgets[] = {64, 128, 192};
    for (int i = 0; i < 3; ++i) {
      const auto point = std::find_if(results.points.begin(), results.points.end(), [&](const SweepPoint& each) {
        return each.method == 1 && static_cast<double>(each.parameters.budget) == budgets[i];
      });
      QVERIFY(point != results.points.end());
      QCOMPARE(graph->dataMainKey(i), budgets[i]);
      QCOMPARE(graph->dataMainValue(i), 100 * point->summary().value("retained_mass"));
    }
    QVERIFY(graph->dataMainValue(0) < graph->dataMainValue(2));
    // Nothing by colour alone.
    QVERIFY(plot->plot()->graph(0)->scatterStyle().shape() != graph->scatterStyle().shape());

    // Hovering gives the exact value.
    QSignalSpy status(plot, &SweepPlot::statusText);
    QTest::mouseMove(plot->plot(), plot->pixelOf(0, 1, 1).toPoint() + QPoint(3, 2));
    QTRY_VERIFY(!status.isEmpty() && !status.last().front().toString().isEmpty());
    const QString said = status.last().front().toString();
    QCOMPARE(said, plot->describe(0, 1, 1));
    QVERIFY2(said.contains(QLocale().toString(graph->dataMainValue(1), 'f', 1)), qPrintable(said));
    QVERIFY2(said.contains(QStringLiteral("128")) && said.contains(QStringLiteral("2 samples")), qPrintable(said));

    // Keys reach every point and say it.
    plot->setFocus();
    QTest::keyClick(plot, Qt::Key_Down);
    QTest::keyClick(plot, Qt::Key_Down);
    QTest::keyClick(plot, Qt::Key_Right);
    QCOMPARE(spokenValue(plot), plot->describe(0, 1, 1));

    QCPAxis* y = graph->valueAxis();
    QVERIFY(graph->keyAxis()->scaleType() == QCPAxis::stLogarithmic);
    in<QCheckBox>(panel, "logX")->setChecked(false);
    in<QCheckBox>(panel, "logY")->setChecked(true);
    graph = plot->plot()->graph(1);
    y = graph->valueAxis();
    QVERIFY(graph->keyAxis()->scaleType() == QCPAxis::stLinear);
    QVERIFY(y->scaleType() == QCPAxis::stLogarithmic);
    // KL of dense is 0 and has no place on it; the other curve has.
    QCOMPARE(plot->plot()->graph(2)->dataCount(), 0);
    QCOMPARE(plot->plot()->graph(3)->dataCount(), 3);
  }

  void aSweepIsSavedOpenedAndGoneOnWith() {
    setUpSweep("64, 128, 192");
    connect(sweep(), &Experiment::resultAdded, this, [this] {
      if (sweep()->results().points[1].samples.size() == 1) sweep()->cancel();
    });
    start(sweepPanel());
    QVERIFY(over(sweep()));
    QVERIFY(!sweep()->isFinished());
    disconnect(sweep(), &Experiment::resultAdded, this, nullptr);
    const QString path = m_window->filePath(QStringLiteral("sweep.json"));
    QVERIFY(sweep()->save(path));
    const nlohmann::json before = sweep()->results();
    const double seconds = sweep()->results().points[1].samples[0].value("prefill_seconds");
    const SweepSettings settings = sweepPanel()->settings();

    in<QLineEdit>(sweepPanel(), "values")->setText(QStringLiteral("999"));
    QVERIFY(sweep()->open(path));
    QVERIFY(nlohmann::json(sweep()->results()) == before);
    QVERIFY(sweepPanel()->settings() == settings);
    start(sweepPanel());
    QVERIFY(over(sweep()));
    QVERIFY(sweep()->isFinished());
    QCOMPARE(sweep()->results().points[1].samples[0].value("prefill_seconds"), seconds);
    QVERIFY(nlohmann::json(parse_sweep_results(read_file(path.toStdString()), "file")) ==
            nlohmann::json(sweep()->results()));

    write_file(path.toStdString(), "{");
    QVERIFY(!sweep()->open(path));
    QVERIFY(m_window->window()->messageBar()->isError());
    QVERIFY(sweep()->isFinished());
  }

  void aSweepOfSeveralThingsHasACurveForEach() {
    SweepResults results;
    results.settings.lengths = {256, 512};
    results.settings.axes = {{"budget", {std::int64_t{64}, std::int64_t{128}}},
                             {"pooling", {std::string("sqrt-mean"), std::string("mean")}}};
    results.methods = with_dense_first({{"dhsa", {}}});
    const auto sample = [](double kl) {
      Values values;
      for (const char* key : {"prefill_seconds", "density"}) values.set(key, 1);
      values.set("mean_kl_nats", kl);
      return values;
    };
    for (const std::int64_t length : results.settings.lengths) {
      SparsityParameters dense;
      dense.method = Method::kDense;
      results.points.push_back({0, length, dense, {sample(0)}});
      for (const std::int64_t budget : {64, 128}) {
        for (const Pooling pooling : {Pooling::kSqrtMean, Pooling::kMean}) {
          SparsityParameters parameters;
          parameters.budget = budget;
          parameters.pooling = pooling;
          const double kl = static_cast<double>(length * budget) + (pooling == Pooling::kMean ? 0.5 : 0);
          results.points.push_back({1, length, parameters, {sample(kl)}});
        }
      }
    }
    const QString path = m_window->filePath(QStringLiteral("several.json"));
    write_file(path.toStdString(), nlohmann::json(results).dump());
    QVERIFY(sweep()->open(path));
    const auto dimensions = sweepDimensions(sweep()->results());
    QCOMPARE(dimensions.size(), std::size_t{3});
    QVERIFY(!in<QComboBox>(sweepPanel(), "against")->isHidden());
    const auto curves = sweepCurves(sweep()->results(), dimensions[1], measure("mean_kl_nats"));
    QCOMPARE(curves.size(), std::size_t{2 + 4});
    for (const SweepCurve& curve : curves) {
      if (curve.flat) continue;
      QCOMPARE(curve.points.size(), std::size_t{2});
      QVERIFY2(curve.name.contains(QStringLiteral("tokens")) && curve.name.contains(QStringLiteral("pooling")),
               qPrintable(curve.name));
      QCOMPARE(std::floor(curve.points[1].mean.value), 2 * std::floor(curve.points[0].mean.value));
    }
    // The form stands for all that varies, so that Start can go on with the file.
    QVERIFY(sweepPanel()->settings() == results.settings);
  }

  void latencyAndMemoryAgainstLengthIsOneClick() {
    SweepPanel* panel = sweepPanel();
    auto* question = in<QComboBox>(panel, "question");
    question->setCurrentIndex(3);
    Q_EMIT question->activated(3);
    const SweepSettings settings = panel->settings();
    QCOMPARE(settings.metrics_rows, 0);
    QVERIFY(settings.lengths.size() > 3 && settings.axes.empty());
    QCOMPARE(in<QComboBox>(panel, "upperMeasure")->currentData().toString(), QStringLiteral("prefill_seconds"));
    QCOMPARE(in<QComboBox>(panel, "lowerMeasure")->currentData().toString(), QStringLiteral("extra_bytes"));
    QVERIFY(in<QPushButton>(panel, "start")->isEnabled());
    only(panel->frame()->methods(), "window-sinks");
    in<QLineEdit>(panel, "values")->setText(QStringLiteral("1500, 1600"));
    start(panel);
    QVERIFY(over(sweep()));
    QVERIFY(sweep()->isFinished());
    QCOMPARE(panel->plot()->curves(0)[0].points.size(), std::size_t{2});
    QVERIFY(panel->plot()->curves(0)[0].points[0].mean.value > 0);
    // What was not measured is not offered as zeros.
    QVERIFY(!is_measured(measure("mean_kl_nats"), sweep()->results().settings));
  }
};

QTEST_MAIN(TestExperiments)
#include "tst_experiments.moc"
