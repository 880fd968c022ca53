// Parameters with undo, runs, sessions, commands, and the engine's queue.
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QUndoStack>
#include <atomic>
#include <concepts>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "ui/state/commands.h"
#include "ui/state/engine.h"
#include "ui/state/parameter_set.h"
#include "ui/state/run.h"
#include "ui/state/session_file.h"

using namespace dhsa;

namespace {

const QString kBudget = QStringLiteral("budget");

// Spins until `condition`; for work on the engine thread.
template <class Condition>
void waitFor(const Condition& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::string errorOf(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

// Work may run twice, so none is taken that could use itself up.
constexpr auto kReads = [count = 1](const JobContext& /*job*/) { (void)count; };
constexpr auto kUsesUp = [count = 1](const JobContext& /*job*/) mutable { --count; };
static_assert(std::constructible_from<Engine::Work, decltype(kReads)>);
static_assert(!std::constructible_from<Engine::Work, std::remove_const_t<decltype(kUsesUp)>>);

}  // namespace

class TestState : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void aDragIsOneUndoStep() {
    ParameterSet set;
    set.beginGesture();
    for (std::int64_t budget = 1100; budget <= 2000; budget += 100) QVERIFY(set.set(kBudget, budget));
    set.endGesture();
    QCOMPARE(set.undoStack()->count(), 1);
    QCOMPARE(set.values().budget, 2000);
    set.undoStack()->undo();
    QCOMPARE(set.values().budget, SparsityParameters{}.budget);
    set.undoStack()->redo();
    QCOMPARE(set.values().budget, 2000);
  }

  void twoDragsAreTwoSteps() {
    ParameterSet set;
    for (const std::int64_t end : {2000, 3000}) {
      set.beginGesture();
      set.set(kBudget, end - 500);
      set.set(kBudget, end);
      set.endGesture();
    }
    QCOMPARE(set.undoStack()->count(), 2);
    set.undoStack()->undo();
    QCOMPARE(set.values().budget, 2000);
  }

  void aDragBackToItsStartLeavesNoStep() {
    ParameterSet set;
    const std::int64_t start = set.values().budget;
    set.beginGesture();
    set.set(kBudget, start + 64);
    set.set(kBudget, start);
    set.endGesture();
    QCOMPARE(set.undoStack()->count(), 0);
    QCOMPARE(set.values().budget, start);
  }

  void changesOfDifferentParametersStaySeparate() {
    ParameterSet set;
    set.set(kBudget, std::int64_t{2048});
    set.set(QStringLiteral("sink-tokens"), std::int64_t{4});
    QCOMPARE(set.undoStack()->count(), 2);
  }

  void aPresetIsOneStepAndResetAnother() {
    ParameterSet set;
    SparsityParameters latency;
    apply_preset(latency, "latency");
    set.apply(latency, QStringLiteral("latency"));
    QCOMPARE(set.values(), latency);
    set.resetAll();
    QCOMPARE(set.values(), SparsityParameters{});
    QCOMPARE(set.undoStack()->count(), 2);
    set.undoStack()->undo();
    QCOMPARE(set.values(), latency);
  }

  // A method's name means the same as in the command: its preset, with the present budget on top.
  void anotherMethodIsWhatItsNameStandsFor() {
    ParameterSet set;
    set.set(kBudget, std::int64_t{512});
    set.set(QStringLiteral("method"), std::string("window-sinks"));
    QCOMPARE(set.values(), named_parameters("window-sinks+budget=512"));
    QCOMPARE(set.undoStack()->count(), 2);
    set.set(QStringLiteral("sink-tokens"), std::int64_t{7});
    set.set(QStringLiteral("method"), std::string("window-sinks"));  // the same one keeps its values
    QCOMPARE(set.values().sink_tokens, 7);
    set.undoStack()->undo();
    set.undoStack()->undo();
    QCOMPARE(set.values(), named_parameters("dhsa+budget=512"));
  }

  void instructionTokensFollowTheQuestionUnlessSet() {
    ParameterSet set;
    const QString key = QStringLiteral("instruction-tokens");
    set.setQuestionTokens(20);
    QCOMPARE(set.values().instruction_tokens, 20);
    QCOMPARE(set.undoStack()->count(), 0);
    set.set(kBudget, std::int64_t{512});
    set.resetAll();
    QCOMPARE(set.values().instruction_tokens, 20);
    set.setQuestionTokens(33);  // another text: in the steps to undo as well
    QCOMPARE(set.values().instruction_tokens, 33);
    set.undoStack()->undo();
    QCOMPARE(set.values().budget, 512);
    QCOMPARE(set.values().instruction_tokens, 33);
    set.set(key, std::int64_t{0});
    set.setQuestionTokens(12);  // set by hand: stays
    QCOMPARE(set.values().instruction_tokens, 0);
    set.reset(key);
    QCOMPARE(set.values().instruction_tokens, 12);
    set.undoStack()->undo();
    QCOMPARE(set.values().instruction_tokens, 0);
  }

  void aValueOutOfRangeIsRefusedWithASentence() {
    ParameterSet set;
    const QSignalSpy refused(&set, &ParameterSet::refused);
    const QSignalSpy changed(&set, &ParameterSet::changed);
    QVERIFY(!set.set(kBudget, std::int64_t{0}));
    QCOMPARE(refused.count(), 1);
    QVERIFY(refused.front().front().toString().contains(kBudget));
    QCOMPARE(changed.count(), 0);
    QCOMPARE(set.undoStack()->count(), 0);
  }

  void aContradictionIsSaidAndClears() {
    ParameterSet set;
    set.set(kBudget, std::int64_t{100});  // less than sinks and local tokens together
    QVERIFY(!set.problem().isEmpty());
    set.undoStack()->undo();
    QVERIFY(set.problem().isEmpty());
  }

  void runsArePinnedOneAtATime() {
    RunList runs;
    Run run;
    run.label = QStringLiteral("=SUM(A1), \"quoted\"");
    const int first = runs.add(run);
    const int second = runs.add(run);
    runs.setPinned(first, true);
    runs.setPinned(second, true);
    QCOMPARE(runs.pinned()->id, second);
    runs.remove(second);
    QVERIFY(runs.pinned() == nullptr);
    QCOMPARE(runs.size(), 1);
  }

  void csvQuotesAndDefusesFormulas() {
    RunList runs;
    Run run;
    run.label = QStringLiteral("=SUM(A1), \"quoted\"");
    run.input.tokens = 42;
    runs.add(run);
    const QStringList lines = runs.csv().split(QStringLiteral("\r\n"));
    QCOMPARE(lines.size(), 3);
    QVERIFY(lines[1].startsWith(QStringLiteral("1,\"'=SUM(A1), \"\"quoted\"\"\",")));
    QVERIFY(lines[1].contains(QStringLiteral(",42,")));
  }

  void aSessionComesBackAndKeepsUnknownKeys() {
    const QTemporaryDir folder;
    const QString text = folder.filePath(QStringLiteral("a.txt"));
    write_file(text.toStdString(), "words");
    SessionFile session;
    session.reading.chat = "on";
    session.reading.question_marks = "Ask>,Query:";
    session.documentPath = text;
    session.documentSha = QStringLiteral("abc");
    session.modelOptions = {.device = Device::kCuda, .compute = DType::kBFloat16};
    session.parameters.budget = 777;
    session.parameters.method = Method::kBlockSparse;
    session.layer = 3;
    session.row = 99;
    session.keysBegin = 5;
    session.keysEnd = 9;
    session.zoom = QRectF(1.5, 2, 30, 40);
    session.windowState = QByteArray("\x00\xff state", 8);
    session.file = {{"future", {{"x", 1}}}};
    const QString path = folder.filePath(QStringLiteral("s.dhsa-session"));
    session.save(path);

    const SessionFile back = SessionFile::load(path);
    QCOMPARE(back.reading, session.reading);
    QCOMPARE(back.documentPath, text);
    QVERIFY(back.modelOptions.device == Device::kCuda && back.modelOptions.compute == DType::kBFloat16);
    QCOMPARE(back.parameters, session.parameters);
    QCOMPARE(back.runParameters, SparsityParameters{});
    QCOMPARE(back.layer, 3);
    QCOMPARE(back.row, 99);
    QCOMPARE(back.keysEnd, 9);
    QCOMPARE(back.zoom, session.zoom);
    QCOMPARE(back.windowState, session.windowState);
    back.save(path);
    QCOMPARE(SessionFile::load(path).file["future"]["x"].get<int>(), 1);
  }

  void aMovedFolderIsFoundByItsRelativePath() {
    const QTemporaryDir folder;
    const QDir dir(folder.path());
    QVERIFY(dir.mkdir(QStringLiteral("old")));
    write_file(dir.filePath(QStringLiteral("old/a.txt")).toStdString(), "words");
    SessionFile session;
    session.documentPath = dir.filePath(QStringLiteral("old/a.txt"));
    session.save(dir.filePath(QStringLiteral("old/s.dhsa-session")));
    QVERIFY(QDir().rename(dir.filePath(QStringLiteral("old")), dir.filePath(QStringLiteral("new"))));
    QCOMPARE(SessionFile::load(dir.filePath(QStringLiteral("new/s.dhsa-session"))).documentPath,
             dir.filePath(QStringLiteral("new/a.txt")));
  }

  void badSessionsAreRefusedWithASentence_data() {
    QTest::addColumn<QByteArray>("content");
    QTest::addColumn<QString>("says");
    QTest::newRow("no json") << QByteArray("{\"application\": \"dhsa") << QStringLiteral("damaged");
    QTest::newRow("other json") << QByteArray("[1, 2]") << QStringLiteral("not a session");
    QTest::newRow("newer") << QByteArray(R"({"application": "dhsa-explorer", "schema": 99})")
                           << QStringLiteral("newer");
    QTest::newRow("wrong type") << QByteArray(R"({"application": "dhsa-explorer", "schema": 1, "view": 3})")
                                << QStringLiteral("\"view\"");
    QTest::newRow("bad parameter")
        << QByteArray(R"({"application": "dhsa-explorer", "schema": 1, "parameters": {"budget": -4}})")
        << QStringLiteral("budget");
    QTest::newRow("bad type") << QByteArray(
                                     R"({"application": "dhsa-explorer", "schema": 1, "model": {"dtype": "int4"}})")
                              << QStringLiteral("use float32 or bfloat16");
    QTest::newRow("bad zoom") << QByteArray(R"({"application": "dhsa-explorer", "schema": 1, "view": {"zoom": [1]}})")
                              << QStringLiteral("damaged");
  }
  void badSessionsAreRefusedWithASentence() {
    QFETCH(QByteArray, content);
    QFETCH(QString, says);
    const QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("bad.dhsa-session"));
    write_file(path.toStdString(), content.toStdString());
    const QString sentence = QString::fromStdString(errorOf([&] { (void)SessionFile::load(path); }));
    QVERIFY2(sentence.contains(says), qPrintable(sentence));
    QVERIFY2(sentence.contains(QStringLiteral("bad.dhsa-session")), qPrintable(sentence));
  }

  void everyCommandHasItsOwnIdAndShortcut() {
    std::set<std::string> ids;
    std::set<QString> shortcuts;
    for (const CommandInfo& command : commandTable()) {
      QVERIFY2(ids.insert(command.id).second, command.id);
      const QString shortcut = commandShortcut(command).toString();
      if (command.shortcut[0] == '\0') continue;
      QVERIFY2(!shortcut.isEmpty(), command.id);
      QVERIFY2(shortcuts.insert(shortcut).second, command.id);
    }
  }

  void newerJobsSupersedeOlderOnes() {
    Engine engine;
    std::atomic<bool> started = false;
    int delivered = 0;
    engine.submit(JobKind::kLayer, [&](const JobContext& job) {
      started = true;
      waitFor([&] { return job.cancel()->cancelled(); });
      job.post([&] { delivered += 1; });
    });
    waitFor([&] { return started.load(); });
    engine.submit(JobKind::kLayer, [&](const JobContext& job) { job.post([&] { delivered += 10; }); });
    engine.submit(JobKind::kLayer, [&](const JobContext& job) { job.post([&] { delivered += 100; }); });
    QTRY_VERIFY(!engine.isBusy());
    QCoreApplication::processEvents();
    QCOMPARE(delivered, 100);
  }

  void cancelStopsAndSaysSoOnce() {
    Engine engine;
    const QSignalSpy cancelled(&engine, &Engine::cancelled);
    const QSignalSpy finished(&engine, &Engine::finished);
    std::atomic<bool> started = false;
    engine.submit(JobKind::kPrefill, [&](const JobContext& job) {
      started = true;
      waitFor([&] { return job.cancel()->cancelled(); });
      job.cancel()->check();
    });
    waitFor([&] { return started.load(); });
    engine.cancel(JobKind::kPrefill);
    QTRY_COMPARE(cancelled.count(), 1);
    QCOMPARE(finished.count(), 0);
    QVERIFY(!engine.isBusy(JobKind::kPrefill));
  }

  void theEndIsToldOnceTheJobIsGone() {
    Engine engine;
    int ended = 0;
    int busy = 0;
    connect(&engine, &Engine::finished, this, [&](JobKind kind) {
      ++ended;
      busy += engine.isBusy(kind) ? 1 : 0;
    });
    for (int i = 1; i <= 50; ++i) {
      engine.submit(JobKind::kRow, [](const JobContext&) {});
      QTRY_COMPARE(ended, i);
    }
    QCOMPARE(busy, 0);
  }

  void errorsArriveAsSentences() {
    Engine engine;
    QSignalSpy failed(&engine, &Engine::failed);
    engine.submit(JobKind::kLoadModel, [](const JobContext&) { throw Error("No such folder."); });
    QTRY_COMPARE(failed.count(), 1);
    QCOMPARE(failed.front().at(2).toString(), QStringLiteral("No such folder."));
  }

  void interactiveWorkRunsInsideALongJob() {
    Engine engine;
    std::atomic<bool> inside = false;
    std::atomic<bool> seen = false;
    std::atomic<bool> go = false;
    engine.submit(JobKind::kPrefill, [&](const JobContext& job) {
      inside = true;
      waitFor([&] { return go.load(); });
      job.serveInteractive();
      QVERIFY(seen.load());
    });
    waitFor([&] { return inside.load(); });
    engine.submit(JobKind::kLayer, [&](const JobContext&) { seen = true; });
    go = true;
    QTRY_VERIFY(!engine.isBusy());
    QVERIFY(seen.load());
  }

  void whatALongJobServesDoesNotDelayItsCancel() {
    Engine engine;
    std::atomic<int> attempts = 0;
    std::atomic<bool> begun = false;
    const QSignalSpy cancelled(&engine, &Engine::cancelled);
    engine.submit(JobKind::kPrefill, [&](const JobContext& job) {
      begun = true;
      waitFor([&] { return engine.isBusy(JobKind::kPicture); });
      job.serveInteractive();
      job.cancel()->check();
      QFAIL("the prefill went on");
    });
    waitFor([&] { return begun.load(); });
    std::atomic<bool> after = false;
    engine.submit(JobKind::kPicture, [&](const JobContext& job) {
      if (++attempts > 1) {
        after = !engine.isBusy(JobKind::kPrefill);
        return;
      }
      waitFor([&] { return job.cancel()->cancelled(); });
      job.cancel()->check();
    });
    waitFor([&] { return attempts.load() == 1; });
    engine.cancel(JobKind::kPrefill);
    QTRY_VERIFY(!engine.isBusy());
    QCOMPARE(attempts.load(), 2);
    QVERIFY2(after.load(), "the picture came before the prefill had stopped");
    QTRY_COMPARE(cancelled.count(), 1);
    QCOMPARE(cancelled.front().front().value<JobKind>(), JobKind::kPrefill);
  }

  void idleWorkMakesWayAndIsTakenUpAgain() {
    Engine engine;
    std::atomic<int> attempts = 0;
    std::atomic<bool> urgent = false;
    const QSignalSpy cancelled(&engine, &Engine::cancelled);
    engine.submit(JobKind::kRefine, [&](const JobContext& job) {
      if (++attempts > 1) return;
      waitFor([&] { return job.cancel()->cancelled(); });
      job.cancel()->check();
    });
    waitFor([&] { return attempts.load() == 1; });
    engine.submit(JobKind::kLayer, [&](const JobContext&) { urgent = attempts == 1; });
    QTRY_VERIFY(!engine.isBusy());
    QCOMPARE(attempts.load(), 2);
    QVERIFY(urgent.load());
    QCOMPARE(cancelled.count(), 0);
  }

  void workInTheBackgroundMakesWayForAllButItsLike() {
    Engine engine;
    QStringList order;  // written by one job after the other
    std::atomic<bool> inside = false;
    std::atomic<bool> go = false;
    engine.submit(JobKind::kNeedle, [&](const JobContext& job) {
      inside = true;
      waitFor([&] { return go.load(); });
      job.serveAll();
      order << QStringLiteral("needle test");
    });
    waitFor([&] { return inside.load(); });
    engine.submit(JobKind::kSweep, [&](const JobContext&) { order << QStringLiteral("sweep"); });
    engine.submit(JobKind::kPrefill, [&](const JobContext& job) {
      engine.submit(JobKind::kRow, [&](const JobContext&) { order << QStringLiteral("row in the run"); });
      job.serveInteractive();
      order << QStringLiteral("run");
    });
    engine.submit(JobKind::kLayer, [&](const JobContext&) { order << QStringLiteral("layer"); });
    go = true;
    QTRY_VERIFY(!engine.isBusy());
    QCOMPARE(order.join(u' '), QStringLiteral("layer row in the run run needle test sweep"));
  }

  void theEngineJoinsWhileBusy() {
    std::atomic<bool> started = false;
    std::atomic<bool> stopped = false;
    {
      Engine engine;
      engine.submit(JobKind::kPrefill, [&](const JobContext& job) {
        started = true;
        waitFor([&] { return job.cancel()->cancelled(); });
        stopped = true;
        job.cancel()->check();
      });
      engine.submit(JobKind::kCompare, [](const JobContext&) { QFAIL("queued work ran after the engine was closed"); });
      waitFor([&] { return started.load(); });
    }
    QVERIFY(stopped.load());
  }
};

QTEST_GUILESS_MAIN(TestState)
#include "tst_state.moc"
