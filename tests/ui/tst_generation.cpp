// Continuations of the open text in the window, side by side.
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTest>
#include <span>

#include "core/run/run.h"
#include "core/text/tokenizer.h"
#include "ui/state/explorer.h"
#include "ui/views/generation_dialog.h"

using namespace dhsa;

namespace {

constexpr int kTimeout = 60000;

std::string answer(const Session& session, const SparsityParameters& parameters, int most) {
  RunOptions options;
  options.metrics_rows = 0;
  options.logit_positions = 0;
  options.max_new_tokens = most;
  const LoadedModel& model = *session.model();
  const Document& document = session.document()->content;
  return run_method({*model.weights, document.encoding.ids, document.info(), model.tokenizer.get(),
                     loadPredictor(parameters, model)},
                    {name_of(parameters.method), parameters}, options)
      .answer_text;
}

}  // namespace

class TestGeneration : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<Explorer> m_explorer;
  std::unique_ptr<GenerationDialog> m_dialog;

  template <class Widget>
  [[nodiscard]] Widget* child(const char* name) const {
    auto* found = m_dialog->findChild<Widget*>(QString::fromLatin1(name));
    if (found == nullptr) qFatal("no widget %s", name);
    return found;
  }
  [[nodiscard]] QString text(int side) const {
    return m_dialog->findChild<QPlainTextEdit*>(QStringLiteral("continuation%1").arg(side))->toPlainText();
  }
  [[nodiscard]] QString state(int side) const {
    return m_dialog->findChild<QLabel*>(QStringLiteral("continuationState%1").arg(side))->text();
  }

 private Q_SLOTS:
  void initTestCase() {
    m_explorer = std::make_unique<Explorer>();
    m_explorer->history()->setCompareAfterRun(false);
    DocumentRequest text;  // without a question
    for (int i = 0; i < 12; ++i) text.text += "The old man walked along the river and counted the boats. ";
    m_explorer->session()->start({}, text);
    QTRY_VERIFY_WITH_TIMEOUT(m_explorer->session()->document() != nullptr && !m_explorer->engine()->isBusy(), kTimeout);
    m_explorer->parameters()->set(QStringLiteral("sink-tokens"), std::int64_t{4});
    m_explorer->parameters()->set(QStringLiteral("local-tokens"), std::int64_t{16});
    m_explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{32});
    m_dialog = std::make_unique<GenerationDialog>(m_explorer->generation());
    m_dialog->show();
  }

  void bothStreamWhatTheCommandSays() {
    QCOMPARE(m_explorer->session()->document()->content.question_tokens, std::int64_t{0});
    child<QSpinBox>("mostTokens")->setValue(6);
    QSignalSpy grown(m_explorer->generation(), &Generation::grown);
    QSignalSpy ended(m_explorer->generation(), &Generation::ended);
    child<QPushButton>("startGeneration")->click();
    QVERIFY(child<QPushButton>("cancelGeneration")->isEnabled());
    QVERIFY(!child<QPushButton>("startGeneration")->isEnabled());
    QTRY_COMPARE_WITH_TIMEOUT(ended.size(), 1, kTimeout);
    QVERIFY2(grown.size() >= 6, "not piece by piece");
    SparsityParameters dense;
    dense.method = Method::kDense;
    const Session& session = *m_explorer->session();
    QCOMPARE(text(0), QString::fromStdString(answer(session, dense, 6)));
    QCOMPARE(text(1), QString::fromStdString(answer(session, m_explorer->parameters()->values(), 6)));
    QVERIFY(!text(0).isEmpty());
    for (const int side : {0, 1}) QCOMPARE(state(side), QStringLiteral("6 tokens, the most asked for"));
    QVERIFY(child<QPushButton>("startGeneration")->isEnabled());
  }

  // Lengths and speeds side by side, and the first token in which they differ marked in both.
  void theTwoAreCompared() {
    const std::vector<Continued>& sides = m_explorer->generation()->sides();
    QCOMPARE(sides.size(), std::size_t{2});
    for (const int side : {0, 1}) {
      const QString figures = child<QLabel>(side == 0 ? "continuationFigures0" : "continuationFigures1")->text();
      QVERIFY2(
          figures.startsWith(QStringLiteral("6 tokens · prefill ")) && figures.endsWith(QStringLiteral("tokens/s")),
          qPrintable(figures));
    }
    const std::size_t common = commonTokens(sides[0], sides[1]);
    QVERIFY2(common < 6, "a budget of 32 keys changes nothing");
    for (std::size_t i = 0; i < common; ++i) QCOMPARE(sides[0].ids[i], sides[1].ids[i]);
    QVERIFY(sides[0].ids[common] != sides[1].ids[common]);
    const auto& tokenizer = *m_explorer->session()->model()->tokenizer;
    for (const int side : {0, 1}) {
      const auto* pane = child<QPlainTextEdit>(side == 0 ? "continuation0" : "continuation1");
      QCOMPARE(pane->extraSelections().size(), 1);
      const QTextCursor mark = pane->extraSelections().front().cursor;
      const std::span<const std::int32_t> ids = sides[static_cast<std::size_t>(side)].ids;
      QCOMPARE(mark.selectionStart(), QString::fromStdString(tokenizer.decode(ids.first(common))).size());
      QCOMPARE(mark.selectionEnd(), QString::fromStdString(tokenizer.decode(ids.first(common + 1))).size());
    }
    QVERIFY(child<QLabel>("agreement")->text().contains(QStringLiteral("differ")));
  }

  void theHeadingsFollowTheParameters() {
    const auto heading = [&] {
      const QString name = child<QPlainTextEdit>("continuation1")->accessibleName();
      for (const QLabel* label : m_dialog->findChildren<QLabel*>())
        if (!label->text().isEmpty() && name.endsWith(label->text())) return label->text();
      return QString();
    };
    const QString before = heading();
    QVERIFY(!before.isEmpty());
    m_explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{48});
    QVERIFY2(heading().contains(QStringLiteral("changed")) && heading().startsWith(before), qPrintable(heading()));
    m_explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{32});
    QCOMPARE(heading(), before);
  }

  void bothScrollTogether() {
    auto* first = child<QPlainTextEdit>("continuation0");
    auto* second = child<QPlainTextEdit>("continuation1");
    for (QPlainTextEdit* pane : {first, second}) pane->setPlainText(QStringLiteral("line\n").repeated(200));
    first->verticalScrollBar()->setValue(40);
    QCOMPARE(second->verticalScrollBar()->value(), 40);
    second->verticalScrollBar()->setValue(7);
    QCOMPARE(first->verticalScrollBar()->value(), 7);
  }

  void cancelStopsAtOnceAndKeepsWhatCame() {
    child<QSpinBox>("mostTokens")->setValue(4096);
    QSignalSpy grown(m_explorer->generation(), &Generation::grown);
    child<QPushButton>("startGeneration")->click();
    QTRY_VERIFY_WITH_TIMEOUT(grown.size() >= 3, kTimeout);
    QElapsedTimer clock;
    clock.start();
    child<QPushButton>("cancelGeneration")->click();
    QTRY_VERIFY(!m_explorer->generation()->isRunning());
    QVERIFY2(clock.elapsed() < 1000, qPrintable(QString::number(clock.elapsed())));
    QCOMPARE(state(1), QStringLiteral("Cancelled"));
    QVERIFY(!text(0).isEmpty());
    const qsizetype pieces = grown.size();
    QTest::qWait(50);
    QCOMPARE(grown.size(), pieces);
    QVERIFY(child<QPushButton>("startGeneration")->isEnabled());
  }

  void denseAloneHasOneSide() {
    m_explorer->parameters()->set(QStringLiteral("method"), std::string("dense"));
    child<QSpinBox>("mostTokens")->setValue(1);
    child<QPushButton>("startGeneration")->click();
    QTRY_COMPARE_WITH_TIMEOUT(state(0), QStringLiteral("1 token, the most asked for"), kTimeout);
    QVERIFY(m_dialog->findChild<QPlainTextEdit*>(QStringLiteral("continuation1"))->isHidden());
  }

  void whatWasBegunDuringALoadGoesWithTheTextBefore() {
    DocumentRequest text;
    text.text = "A third text, read while something is asked of the first.";
    const auto before = m_explorer->session()->document();
    QSignalSpy grown(m_explorer->generation(), &Generation::grown);
    m_explorer->session()->openDocument(text);
    m_explorer->generation()->start(4);
    QTRY_VERIFY_WITH_TIMEOUT(m_explorer->session()->document() != before && !m_explorer->engine()->isBusy(), kTimeout);
    QVERIFY(!m_explorer->generation()->isRunning());
    QCOMPARE(grown.size(), 0);
    QVERIFY(this->text(0).isEmpty());
  }

  void anotherTextTakesItAway() {
    DocumentRequest text;
    text.text = "Another text.";
    m_explorer->session()->openDocument(text);
    QTRY_VERIFY_WITH_TIMEOUT(m_explorer->session()->document()->tokens() < 20, kTimeout);
    QVERIFY(this->text(0).isEmpty());
    QVERIFY(state(0).isEmpty());
  }

  void cleanupTestCase() {
    m_dialog.reset();
    m_explorer.reset();
  }
};

QTEST_MAIN(TestGeneration)
#include "tst_generation.moc"
