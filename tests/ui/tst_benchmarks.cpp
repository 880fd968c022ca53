// RULER's tasks and LongBench in the window: results opened, sorted, sifted, run, and a sample opened as the document.
#include <QAction>
#include <QComboBox>
#include <QDockWidget>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTableView>
#include <QTest>
#include <nlohmann/json.hpp>

#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "tests/ui/window_under_test.h"
#include "ui/models/method_list.h"
#include "ui/models/score_models.h"
#include "ui/views/benchmark_panels.h"
#include "ui/views/export_dialog.h"

using namespace dhsa;

namespace {

constexpr int kTimeout = 120000;

MethodChoice choice(const std::string& name) {
  return {name,
          named_parameters(
              name, {},
              {{"budget", std::int64_t{96}}, {"sink-tokens", std::int64_t{4}}, {"local-tokens", std::int64_t{16}}})};
}

SuiteAnswer said(const std::string& text, double score) {
  SuiteAnswer answer{text, score, {}};
  answer.values.set("log_probability", score > 0 ? -0.1 : -7.0);
  return answer;
}

// Dense is right twice, the window once.
SuiteResults suiteResults(const Tokenizer& tokenizer, const Haystack& haystack) {
  SuiteResults results;
  results.settings.suite = Suite::kQuestions;
  results.settings.questions = 2;
  results.settings.lengths = {512};
  results.settings.haystack = haystack;
  results.model = "demo";
  results.methods = {choice("dense"), choice("window-sinks")};
  const std::vector<const SuiteTask*> tasks = tasks_of(results.settings);
  for (const SuiteTask* task : tasks) {
    const SuitePrompt prompt = make_suite_prompt(results.settings, *task, 512, 0, tokenizer);
    SuiteCell cell{task, 512, 1, static_cast<double>(prompt.encoding.ids.size()), {}, std::vector<SuiteScore>(2)};
    for (const SuitePrompt::Place& place : prompt.places) {
      cell.questions.push_back(place.asked);
      for (SuiteScore& score : cell.scores) score.answers.push_back(said(place.answer, 1));
    }
    for (SuiteScore& score : cell.scores) {
      score.values.set("density", 1.0);
      score.values.set("prefill_seconds", 0.0);
    }
    cell.scores[1].answers[1] = said(" 111111", 0);
    results.cells.push_back(std::move(cell));
  }
  results.cells[1].scores[1].answers[0] = said(" 222222", 0);
  return results;
}

}  // namespace

class TestBenchmarks : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<WindowUnderTest> m_window;

  [[nodiscard]] Explorer* explorer() const { return m_window->explorer(); }
  [[nodiscard]] SuiteTest* suite() const { return m_window->window()->suiteTest(); }
  [[nodiscard]] QWidget* panel(const char* name) const { return m_window->child<QWidget>(name); }
  template <class Widget>
  static Widget* in(QWidget* panel, const char* name) {
    auto* found = panel->findChild<Widget*>(QString::fromLatin1(name));
    if (found == nullptr) qFatal("no widget %s", name);
    return found;
  }
  static QString cell(QTableView* table, int row, int column) {
    return table->model()->index(row, column).data().toString();
  }
  [[nodiscard]] QString openSuite(const Haystack& haystack = {}) const {
    const QString path = m_window->filePath(QStringLiteral("suite.json"));
    const SuiteResults results = suiteResults(*explorer()->session()->model()->tokenizer, haystack);
    write_file(path.toStdString(), nlohmann::json(results).dump());
    return path;
  }

 private Q_SLOTS:
  void initTestCase() {
    m_window = std::make_unique<WindowUnderTest>(200);
    QVERIFY(m_window->startAndSettle());
  }
  void cleanupTestCase() { m_window.reset(); }

  void aFileShowsItsScoresAndSamples() {
    m_window->window()->dock(QStringLiteral("ruler"))->raise();
    QVERIFY(suite()->open(openSuite()));
    QWidget* suitePanel = panel("suitePanel");
    auto* lines = in<QTableView>(suitePanel, "scoreLines");
    auto* samples = in<QTableView>(suitePanel, "scoreSamples");
    QCOMPARE(lines->model()->rowCount(), 2);
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("throughout"));
    QCOMPARE(cell(lines, 0, ScoreLineModel::kFirstMethod), QStringLiteral("100.00"));
    QCOMPARE(cell(lines, 0, ScoreLineModel::kFirstMethod + 1), QStringLiteral("50.00"));
    QCOMPARE(cell(lines, 1, ScoreLineModel::kFirstMethod + 1), QStringLiteral("0.00"));
    QCOMPARE(samples->model()->rowCount(), 2);

    // By score, the lowest first.
    lines->sortByColumn(ScoreLineModel::kFirstMethod + 1, Qt::AscendingOrder);
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("from_the_cache"));
    lines->sortByColumn(-1, Qt::AscendingOrder);
    lines->selectRow(0);

    // Dense right, sparse wrong: the second question alone.
    in<QComboBox>(suitePanel, "scoreFilter")->setCurrentIndex(1);
    QCOMPARE(samples->model()->rowCount(), 1);
    QCOMPARE(cell(samples, 0, SampleModel::kNumber), QStringLiteral("2"));
    QCOMPARE(cell(samples, 0, SampleModel::kSaid), QStringLiteral("111111"));
    QVERIFY(in<QLabel>(suitePanel, "scoreDetails")->text().contains(QStringLiteral("111111")));
  }

  void enterOpensTheSampleWhereItsAnswerStands() {
    QWidget* suitePanel = panel("suitePanel");
    QVERIFY(suite()->open(openSuite()));
    in<QTableView>(suitePanel, "scoreLines")->selectRow(0);
    in<QComboBox>(suitePanel, "scoreFilter")->setCurrentIndex(1);
    auto* samples = in<QTableView>(suitePanel, "scoreSamples");
    samples->selectRow(0);
    QSignalSpy opened(suite()->opener(), &SampleOpener::opened);
    QTest::keyClick(samples, Qt::Key_Return);
    QVERIFY(opened.wait(kTimeout));

    const auto document = explorer()->session()->document();
    const SuiteResults& results = suite()->results();
    const SuitePrompt prompt =
        make_suite_prompt(results.settings, *results.cells[0].task, 512, 0, *explorer()->session()->model()->tokenizer);
    QCOMPARE(document->source.toStdString(), prompt.text);
    QCOMPARE(explorer()->parameters()->values().method, Method::kWindowSinks);
    QCOMPARE(explorer()->parameters()->values().budget, std::int64_t{96});
    QCOMPARE(explorer()->parameters()->values().instruction_tokens, std::int64_t{0});
    QCOMPARE(explorer()->view()->row(), prompt.places[1].answer_at);
    // The needle is selected, and the value is found in the text.
    const QString value = QString::fromStdString(prompt.places[1].asked.references[0]);
    QCOMPARE(opened.at(0).at(1).toString(), value);
    QString selected;
    for (auto token = explorer()->view()->keysBegin(); token < explorer()->view()->keysEnd(); ++token) {
      selected += document->tokenText(token);
    }
    QVERIFY2(selected.contains(value), qPrintable(selected));
    QTRY_COMPARE(m_window->child<QLineEdit>("findText")->text(), value);
    QVERIFY(m_window->child<QLabel>("findMatches")->text().contains(QStringLiteral("match")));
  }

  // Results keep the digest of an essay alone.
  void aSampleInAnEssayOpensOnceItsFileIsChosen() {
    QWidget* suitePanel = panel("suitePanel");
    const QString path = m_window->filePath(QStringLiteral("essay.txt"));
    const std::string essay = "An essay of two sentences. It is too short, so that it begins again.";
    write_file(path.toStdString(), essay);
    QVERIFY(suite()->open(openSuite(Haystack("essay.txt", essay))));
    in<QTableView>(suitePanel, "scoreLines")->selectRow(1);
    in<QComboBox>(suitePanel, "scoreFilter")->setCurrentIndex(0);
    auto* samples = in<QTableView>(suitePanel, "scoreSamples");
    QSignalSpy opened(suite()->opener(), &SampleOpener::opened);
    QSignalSpy message(explorer(), &Explorer::message);
    QTest::keyClick(samples, Qt::Key_Return);
    QVERIFY(message.wait(kTimeout));
    QVERIFY(message.at(0).at(0).toString().contains(QStringLiteral("essay.txt")));
    QCOMPARE(opened.count(), 0);
    QVERIFY(qobject_cast<SuitePanel*>(suitePanel)->frame()->readHaystack(path));
    QTest::keyClick(samples, Qt::Key_Return);
    QVERIFY(opened.wait(kTimeout));
    QVERIFY(explorer()->session()->document()->source.contains("It is too short, so that it begins again."));
  }

  void startRunsWhatTheSettingsSay() {
    QWidget* suitePanel = panel("suitePanel");
    auto* shown = qobject_cast<SuitePanel*>(suitePanel);
    SuiteSettings settings;
    settings.suite = Suite::kQuestions;
    settings.tasks = "throughout";
    settings.questions = 2;
    settings.lengths = {300};
    shown->setSettings(settings);
    shown->frame()->methods()->setGiven({choice("dense"), choice("window-sinks")});
    QCOMPARE(shown->settings(), settings);
    QVERIFY(in<QPushButton>(suitePanel, "start")->isEnabled());
    in<QLineEdit>(suitePanel, "suite-tasks")->setText(QStringLiteral("helmet"));
    QVERIFY(!in<QPushButton>(suitePanel, "start")->isEnabled());
    QVERIFY(in<QLabel>(suitePanel, "plan")->text().contains(QStringLiteral("helmet")));
    in<QLineEdit>(suitePanel, "suite-tasks")->setText(QStringLiteral("throughout"));
    in<QPushButton>(suitePanel, "start")->click();
    QVERIFY(QTest::qWaitFor([&] { return suite()->isFinished() && !suite()->isRunning(); }, kTimeout));
    QCOMPARE(suite()->results().cells.size(), std::size_t{1});
    in<QComboBox>(suitePanel, "scoreFilter")->setCurrentIndex(0);
    QCOMPARE(in<QTableView>(suitePanel, "scoreSamples")->model()->rowCount(), 2);
    QVERIFY(!suite()->isSaved());
    QVERIFY(suite()->save(m_window->filePath(QStringLiteral("run.json"))));
  }

  void aFolderOfLongBenchIsReadAndItsSampleOpened() {
    const LongBenchData data = read_longbench(resource_path("longbench"), {}, {"trec"}, false, 0);
    LongBenchSettings settings = longbench_preset("official");
    settings.chat = false;
    LongBenchResults results = begin_longbench(settings, data, {choice("dense"), choice("window-sinks")});
    const std::filesystem::path folder = m_window->filePath(QStringLiteral("lb")).toStdString();
    begin_longbench_folder(folder, results);
    const LongBenchRow& row = data.sets[0].rows[0];
    for (const std::size_t method : {std::size_t{0}, std::size_t{1}}) {
      LongBenchSample said{method == 0 ? row.answers[0] : "nothing of the kind", method == 0 ? 1.0 : 0.0, 100, 100, {}};
      said.values.set("density", 1.0);
      results.tasks[0].samples[method].push_back(said);
      append_longbench_answer(folder, results, {0, 0, method}, row);
    }

    LongBenchTest* test = m_window->window()->longBenchTest();
    m_window->window()->dock(QStringLiteral("longbench"))->raise();
    QVERIFY(test->open(QString::fromStdString((folder / "results.json").string())));
    QWidget* benchPanel = panel("longBenchPanel");
    auto* lines = in<QTableView>(benchPanel, "scoreLines");
    auto* samples = in<QTableView>(benchPanel, "scoreSamples");
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("trec"));
    QCOMPARE(cell(lines, 0, ScoreLineModel::kFirstMethod), QStringLiteral("100.00"));
    QCOMPARE(cell(lines, 1, ScoreLineModel::kTask), QStringLiteral("Few-shot learning"));
    // Means stay at the end.
    lines->sortByColumn(ScoreLineModel::kTask, Qt::AscendingOrder);
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("trec"));
    QCOMPARE(cell(lines, 1, ScoreLineModel::kTask), QStringLiteral("Average"));
    lines->sortByColumn(ScoreLineModel::kFirstMethod, Qt::DescendingOrder);
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("trec"));
    lines->sortByColumn(-1, Qt::AscendingOrder);
    in<QComboBox>(benchPanel, "scoreFilter")->setCurrentIndex(1);
    QCOMPARE(samples->model()->rowCount(), 1);
    QCOMPARE(cell(samples, 0, SampleModel::kAnswers), QString::fromStdString(row.answers[0]));
    // What dense says stands beside what the method says, also in a small window.
    QTRY_VERIFY(!samples->isColumnHidden(SampleModel::kDenseSaid) && !samples->isColumnHidden(SampleModel::kSaid));
    QVERIFY(samples->columnWidth(SampleModel::kDenseSaid) >= 60 && samples->columnWidth(SampleModel::kSaid) >= 60);
    QCOMPARE(cell(samples, 0, SampleModel::kDenseSaid), QString::fromStdString(row.answers[0]));
    samples->selectRow(0);
    QSignalSpy opened(test->opener(), &SampleOpener::opened);
    QTest::keyClick(samples, Qt::Key_Return);
    QVERIFY(opened.wait(kTimeout));
    const LongBenchPrompt prompt =
        make_longbench_prompt(settings, data.sets[0], row, *explorer()->session()->model()->tokenizer, std::nullopt);
    QCOMPARE(explorer()->session()->document()->source.toStdString(), prompt.text);
    QCOMPARE(explorer()->parameters()->values().instruction_tokens, prompt.instruction_tokens);
    QCOMPARE(opened.at(0).at(1).toString(), QString::fromStdString(row.answers[0]));
  }

  // Start asks and leaves a folder; cancelled, it goes on from there and leaves what an uncancelled run leaves.
  void longBenchRunsFromItsPanelAndGoesOn() {
    LongBenchTest* test = m_window->window()->longBenchTest();
    QWidget* benchPanel = panel("longBenchPanel");
    auto* start = in<QPushButton>(benchPanel, "start");
    qobject_cast<LongBenchPanel*>(benchPanel)->frame()->methods()->setGiven({choice("dense"), choice("window-sinks")});
    in<QLineEdit>(benchPanel, "longBenchData")->clear();
    in<QLineEdit>(benchPanel, "longBenchTasks")->setText(QStringLiteral("triviaqa, helmet"));
    in<QSpinBox>(benchPanel, "longBenchMaxLength")->setValue(128);
    in<QSpinBox>(benchPanel, "longBenchLimit")->setValue(1);
    in<QLineEdit>(benchPanel, "longBenchResults")->clear();
    QVERIFY(!start->isEnabled());
    const auto ask = [&](const char* folder) {
      in<QLineEdit>(benchPanel, "longBenchResults")->setText(m_window->filePath(QString::fromLatin1(folder)));
    };
    ask("whole");
    QVERIFY(in<QLabel>(benchPanel, "plan")->text().contains(QStringLiteral("helmet")));
    in<QLineEdit>(benchPanel, "longBenchTasks")->setText(QStringLiteral("triviaqa"));
    QVERIFY(start->isEnabled());
    const auto ended = [&] { return !test->isRunning(); };
    start->click();
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    QVERIFY(test->isFinished());
    QCOMPARE(test->results().count().done, std::int64_t{2});
    auto* lines = in<QTableView>(benchPanel, "scoreLines");
    QCOMPARE(cell(lines, 0, ScoreLineModel::kTask), QStringLiteral("triviaqa"));
    QVERIFY(cell(lines, 0, ScoreLineModel::kFirstMethod) != QStringLiteral("–"));

    ask("cut");
    const auto cancel = connect(test, &Experiment::resultAdded, test, [test] { test->cancel(); });
    start->click();
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    disconnect(cancel);
    QVERIFY(!test->isFinished());
    QVERIFY(test->results().count().done > 0);
    ask("another");
    QCOMPARE(start->text(), QStringLiteral("Start"));
    ask("cut");
    QVERIFY(start->text().contains(QStringLiteral("go on")));
    start->click();
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    QVERIFY(test->isFinished());
    for (const char* file : {"results.json", "results.csv", "results.md", "pred/dense/triviaqa.jsonl",
                             "pred/window-sinks/triviaqa.jsonl"}) {
      const auto text = [&](const char* folder) {
        return read_file(
            m_window->filePath(QStringLiteral("%1/%2").arg(QLatin1String(folder), QLatin1String(file))).toStdString());
      };
      QCOMPARE(text("cut"), text("whole"));
    }
  }

  // Truncation and chat turn of a run of the command have no field in the panel.
  void longBenchGoesOnAsTheOpenedResultsWereAsked() {
    LongBenchTest* test = m_window->window()->longBenchTest();
    QWidget* benchPanel = panel("longBenchPanel");
    LongBenchSettings settings = longbench_preset("official");
    settings.max_length = 128;
    settings.truncate = Truncation::kLast;
    settings.chat = false;
    settings.limit = 1;
    const LongBenchData data = read_longbench(resource_path("longbench"), {}, {"triviaqa"}, false, settings.limit);
    LongBenchResults results = begin_longbench(settings, data, {choice("dense"), choice("window-sinks")});
    results.fingerprint = identity_of(*explorer()->session()->model()->weights, nullptr);
    const std::filesystem::path folder = m_window->filePath(QStringLiteral("commands")).toStdString();
    begin_longbench_folder(folder, results);
    in<QLineEdit>(benchPanel, "longBenchData")->clear();
    QVERIFY(test->open(QString::fromStdString((folder / "results.json").string())));
    in<QPushButton>(benchPanel, "start")->click();
    QVERIFY(QTest::qWaitFor([&] { return !test->isRunning(); }, kTimeout));
    QVERIFY(test->isFinished());
    QCOMPARE(test->results().settings, settings);
  }

  // Cancelled, a suite goes on and leaves the answers of an uncancelled one.
  void aSuiteIsCancelledAndGoesOn() {
    QWidget* suitePanel = panel("suitePanel");
    auto* shown = qobject_cast<SuitePanel*>(suitePanel);
    auto* start = in<QPushButton>(suitePanel, "start");
    SuiteSettings settings;
    settings.suite = Suite::kQuestions;
    settings.questions = 2;
    settings.lengths = {300};
    settings.prompts = 2;
    shown->setSettings(settings);
    shown->frame()->methods()->setGiven({choice("dense"), choice("window-sinks")});
    const auto ended = [&] { return !suite()->isRunning(); };
    const auto cancel = connect(suite(), &Experiment::resultAdded, suite(), [this] { suite()->cancel(); });
    start->click();
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    disconnect(cancel);
    QVERIFY(!suite()->isFinished());
    QVERIFY(suite()->results().count().done > 0);
    QVERIFY(start->text().contains(QStringLiteral("go on")));
    start->click();
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    QVERIFY(suite()->isFinished());
    const auto said = [&] {
      std::vector<std::string> all;
      for (const SuiteCell& one : suite()->results().cells) {
        for (const SuiteScore& score : one.scores) {
          for (const SuiteAnswer& answer : score.answers) all.push_back(answer.text);
        }
      }
      return all;
    };
    const std::vector<std::string> cut = said();
    QCOMPARE(cut.size(), std::size_t{16});
    QVERIFY(suite()->save(m_window->filePath(QStringLiteral("cut.json"))));
    start->click();  // finished: anew
    QVERIFY(QTest::qWaitFor(ended, kTimeout));
    QVERIFY(suite()->isFinished());
    QVERIFY(said() == cut);
  }

  void figuresAreDrawnOfWhatIsShown() {
    QVERIFY(suite()->open(openSuite()));
    in<QAction>(panel("suitePanel"), "figureOfResults")->trigger();
    auto* dialog = m_window->window()->findChild<ExportDialog*>();
    QVERIFY(dialog != nullptr);
    QVERIFY(QTest::qWaitFor(
        [&] { return !dialog->isBusy() && !in<QLabel>(dialog, "exportPreview")->pixmap().isNull(); }, kTimeout));
    QCOMPARE(in<QComboBox>(dialog, "exportWhat")->currentData().toString(), QStringLiteral("scores"));
    for (const char* name : {"table.svg", "table.pdf", "table.png"}) {
      dialog->saveTo(m_window->filePath(QString::fromLatin1(name)));
      QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, kTimeout));
      QVERIFY(QFileInfo::exists(m_window->filePath(QString::fromLatin1(name))));
    }
    const std::string csv = read_file(m_window->filePath(QStringLiteral("table.csv")).toStdString());
    QVERIFY2(csv.find("throughout,window-sinks,50.00") != std::string::npos, csv.c_str());
    // Of the same results, against budget and length.
    for (const char* kind : {"score-budget", "score-length"}) {
      auto* what = in<QComboBox>(dialog, "exportWhat");
      what->setCurrentIndex(what->findData(QString::fromLatin1(kind)));
      const QString path = m_window->filePath(QString::fromLatin1(kind) + QStringLiteral(".svg"));
      dialog->saveTo(path);
      QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, kTimeout));
      QVERIFY(QFileInfo::exists(path));
    }
    dialog->close();
  }
};

QTEST_MAIN(TestBenchmarks)
#include "tst_benchmarks.moc"
