// The text view without an engine: layout, hit tests, shading, find, and a very long text.
#include <QElapsedTimer>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTest>

#include "core/sparsity/key_mask.h"
#include "ui/state/view_state.h"
#include "ui/views/text_line.h"
#include "ui/views/text_view.h"

using namespace dhsa;

namespace {

// One token per word, its blank in front, as SentencePiece cuts.
std::shared_ptr<const OpenDocument> documentOf(const QString& text) {
  auto document = std::make_shared<OpenDocument>();
  document->title = QStringLiteral("test");
  document->shown = text;
  qsizetype at = 0;
  document->content.encoding.ids.push_back(2);  // <bos>
  document->begin.push_back(0);
  while (at < text.size()) {
    document->begin.push_back(at);
    document->content.encoding.ids.push_back(3);
    qsizetype end = at + 1;
    while (end < text.size() && text[end] != u' ' && text[end] != u'\n' && text[at] != u'\n') ++end;
    at = end;
  }
  document->begin.push_back(text.size());
  document->content.text = text.toStdString();
  document->content.encoding.spans.resize(document->content.encoding.ids.size());
  return document;
}

QString prose(int words) {
  QString text;
  for (int i = 0; i < words; ++i)
    text += QStringLiteral("word%1 ").arg(i % 977) + (i % 40 == 39 ? QStringLiteral("\n") : QString());
  return text;
}

std::shared_ptr<const MeasuredLayer> layerWith(std::vector<std::int32_t> boundaries) {
  auto plan = std::make_shared<Plan>();
  plan->mask = KeyMask::dense(boundaries.back());
  plan->trace.boundaries = std::move(boundaries);
  auto layer = std::make_shared<MeasuredLayer>();
  layer->plan = plan;
  return layer;
}

}  // namespace

class TestTextView : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void rightToLeftTextBeginsAtTheRight() {
    ViewState state;
    TextView view(&state);
    view.resize(420, 200);
    view.show();
    // Hebrew with a Latin word in it, then a paragraph from left to right.
    const auto document = documentOf(QStringLiteral("שלום עולם token טוב\nleft שלום עולם right"));
    view.setDocument(document);
    QTRY_VERIFY(view.isLaidOut());
    const auto at = [&](qint64 token) { return view.tokenRect(token); };
    // Tokens: <bos>, four words, the line break, four words.
    QVERIFY(at(1).right() > view.viewport()->width() * 3 / 4);
    for (qint64 token = 1; token < 4; ++token)
      QVERIFY2(at(token + 1).right() <= at(token).left() + 2, qPrintable(QString::number(token)));
    QVERIFY(at(6).left() < 20);
    QVERIFY(at(7).left() >= at(8).right() - 2);  // the two Hebrew words in turned order
    QVERIFY(at(9).left() >= at(7).right() - 2);
    for (qint64 token = 1; token < document->tokens(); ++token) {
      if (token == 5) continue;  // the line break
      QCOMPARE(view.tokenAt(at(token).center()), token);
    }
  }

  // Each letter of two byte tokens, the second without text, as a tokenizer without these letters cuts them.
  void byteTokensShareTheirCharacterAndLinesBreakAtWords() {
    for (const QString& word : {QStringLiteral("ђжљњћ"), QStringLiteral("שלוםק")}) {
      ViewState state;
      TextView view(&state);
      view.resize(200, 300);
      view.show();
      auto document = std::make_shared<OpenDocument>();
      document->shown = QString(word + u' ').repeated(20).trimmed();
      document->content.encoding.ids.push_back(2);  // <bos>
      document->begin.push_back(0);
      for (qsizetype at = 0; at < document->shown.size(); ++at) {
        for (int byte = 0; byte < (document->shown[at] == u' ' ? 1 : 2); ++byte) {
          document->begin.push_back(at + byte);
          document->content.encoding.ids.push_back(3);
        }
      }
      document->begin.push_back(document->shown.size());
      document->content.encoding.spans.resize(document->content.encoding.ids.size());
      view.setDocument(document);
      QTRY_VERIFY(view.isLaidOut());
      int lines = 1;
      for (qint64 token = 2; token < document->tokens(); ++token) {
        const QRect before = view.tokenRect(token - 1);
        const QRect rect = view.tokenRect(token);
        const auto begin = document->begin[static_cast<std::size_t>(token)];
        const bool later = document->tokenText(token).isEmpty();
        if (rect.top() != before.top()) {
          ++lines;
          const bool atBlank = document->shown[begin].isSpace() || document->shown[begin - 1].isSpace();
          QVERIFY2(!later && atBlank, qPrintable(QString::number(token)));
        }
        if (!later) continue;
        QVERIFY(std::abs(rect.width() - before.width()) <= 2);
        QCOMPARE(view.tokenAt(rect.center()), token);
      }
      QVERIFY(lines > 2);
    }
  }

  // The markers of a chat have no place in the text.
  void whatTheTemplatePutsInIsSeenAndNamed() {
    const auto tokenizer = Tokenizer::load(tokenizer_file(std::string(DHSA_RESOURCES) + "/models/demo"));
    OpenDocument origin;
    origin.source = "A name: \xd1\x92.";  // of two byte pieces
    DocumentOptions options;
    options.chat = ChatMode::kOn;
    const auto document = openDocument(origin, *tokenizer, options);
    QVERIFY2(document->shown.startsWith(QStringLiteral("<start_of_turn>user\nA name")), qPrintable(document->shown));
    QVERIFY2(document->shown.endsWith(QString::fromUtf8("ђ.<end_of_turn>\n<start_of_turn>model\n")),
             qPrintable(document->shown));
    QCOMPARE(document->content.text, std::string("A name: \xd1\x92."));
    ViewState state;
    TextView view(&state);
    view.resize(500, 200);
    view.show();
    view.setDocument(document);
    QTRY_VERIFY(view.isLaidOut());
    int named = 0;
    for (qint64 token = 1; token < document->tokens(); ++token) {
      if (!document->isInserted(token) || document->tokenText(token) == QStringLiteral("\n")) continue;
      ++named;
      const QRect rect = view.tokenRect(token);
      QVERIFY(rect.width() > 10 && !rect.intersects(view.tokenRect(token - 1).adjusted(0, 0, -1, 0)));
      QCOMPARE(view.tokenAt(rect.center()), token);
      QVERIFY(view.describeToken(token).contains(QStringLiteral("put in by the chat template")));
    }
    QVERIFY(named >= 5);  // "user" and "model" may be of several tokens
    QVERIFY(!view.describeToken(document->tokenAt(document->shown.indexOf(u'.'))).contains(QStringLiteral("put in")));
  }

  void invisibleCharactersHaveMarks() {
    QCOMPARE(drawnText(QStringView(u"a\0b", 3)), QStringLiteral("a⟨0000⟩b"));
    QCOMPARE(drawnText(u"\u200b"), QStringLiteral("⟨200B⟩"));
    QCOMPARE(drawnText(u"\t"), QStringLiteral("    "));
    QCOMPARE(drawnText(u"👩\u200d🚀\ufe0f"), QStringLiteral("👩\u200d🚀\ufe0f"));  // one sign, and seen
    ViewState state;
    TextView view(&state);
    view.resize(300, 200);
    view.show();
    view.setDocument(documentOf(QStringLiteral("one \u202etwo")));
    QTRY_VERIFY(view.isLaidOut());
    QVERIFY(view.describeToken(2).contains(QStringLiteral("⟨202E⟩")));
    QVERIFY(view.describeToken(2).contains(QStringLiteral("id 3")));
  }

  void everyTokenIsFoundWhereItIsDrawn() {
    ViewState state;
    TextView view(&state);
    view.resize(300, 200);
    view.show();
    const auto document = documentOf(prose(300));
    view.setDocument(document);
    QTRY_VERIFY(view.isLaidOut());
    for (qint64 token = 1; token < document->tokens(); token += 7) {
      view.scrollToToken(token);
      const QRect rect = view.tokenRect(token);
      QVERIFY(view.viewport()->rect().contains(rect.center()));
      QCOMPARE(view.tokenAt(rect.center()), token);
    }
  }

  void linesBreakAtWordsAndAtLineBreaks() {
    ViewState state;
    TextView view(&state);
    view.resize(300, 200);
    const auto document = documentOf(QStringLiteral("one two\n\nthree"));
    view.setDocument(document);
    // tokens: <bos> one _two \n \n three
    QCOMPARE(document->tokens(), 6);
    QCOMPARE(view.tokenRect(1).top(), view.tokenRect(2).top());
    const int line = view.tokenRect(1).height();
    QCOMPARE(view.tokenRect(5).top() - view.tokenRect(1).top(), 2 * line);
    QVERIFY(view.tokenRect(5).left() < view.tokenRect(2).left());
  }

  void resizingKeepsThePlace() {
    ViewState state;
    TextView view(&state);
    view.resize(300, 200);
    view.show();
    view.setDocument(documentOf(prose(2000)));
    QTRY_VERIFY(view.isLaidOut());
    view.scrollToToken(1000);
    const qint64 top = view.tokenAt(QPoint(10, 10));
    view.resize(500, 200);
    QTRY_VERIFY(std::abs(view.tokenAt(QPoint(10, 12)) - top) < 25);
  }

  void clickAndKeysMoveTheRow() {
    ViewState state;
    TextView view(&state);
    view.resize(300, 200);
    view.show();
    view.setDocument(documentOf(prose(200)));
    QTRY_VERIFY(view.isLaidOut());
    QTest::mouseClick(view.viewport(), Qt::LeftButton, {}, view.tokenRect(5).center());
    QCOMPARE(state.row(), 5);
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(state.row(), 6);
    QTest::keyClick(&view, Qt::Key_Down);
    QVERIFY(view.tokenRect(state.row()).top() > view.tokenRect(6).top());
    QTest::keyClick(&view, Qt::Key_End);
    QCOMPARE(state.row(), documentOf(prose(200))->tokens() - 1);
    QTest::mouseMove(view.viewport(), view.tokenRect(state.row()).center());
    QTRY_COMPARE(state.hoveredKey(), state.row());
  }

  void draggingSelectsKeys() {
    ViewState state;
    TextView view(&state);
    view.resize(400, 200);
    view.show();
    view.setDocument(documentOf(prose(200)));
    QTRY_VERIFY(view.isLaidOut());
    QTest::mousePress(view.viewport(), Qt::LeftButton, {}, view.tokenRect(2).center());
    QMouseEvent move(QEvent::MouseMove, QPointF(view.tokenRect(8).center()),
                     QPointF(view.viewport()->mapToGlobal(view.tokenRect(8).center())), Qt::NoButton, Qt::LeftButton,
                     {});
    QCoreApplication::sendEvent(view.viewport(), &move);
    QTest::mouseRelease(view.viewport(), Qt::LeftButton, {}, view.tokenRect(8).center());
    QCOMPARE(state.keysBegin(), 2);
    QCOMPARE(state.keysEnd(), 9);
    QCOMPARE(state.row(), -1);
  }

  void chunksAlternateAndARowIsShaded() {
    ViewState state;
    TextView view(&state);
    view.resize(400, 200);
    view.show();
    const auto document = documentOf(prose(60));
    view.setDocument(document);
    QTRY_VERIFY(view.isLaidOut());
    const auto tokens = static_cast<std::int32_t>(document->tokens());
    view.setLayer(layerWith({0, 4, 8, tokens}));
    // The corner of a token's cell shows its background.
    const auto background = [&](qint64 token) {
      const QRect rect = view.tokenRect(token);
      return view.viewport()->grab().toImage().pixelColor(rect.left() + 2, rect.top() + 1);
    };
    QVERIFY(background(2) != background(5));
    QCOMPARE(background(5), background(6));
    QCOMPARE(background(2), background(9));

    auto row = std::make_shared<QueryRow>();
    row->row = 12;
    row->mass.assign(static_cast<std::size_t>(tokens), 0.0F);
    row->fate.assign(static_cast<std::size_t>(tokens), KeyFate::kNotVisible);
    std::fill(row->fate.begin(), row->fate.begin() + 13, KeyFate::kDropped);
    row->fate[5] = KeyFate::kKept;
    row->fate[6] = KeyFate::kDroppedImportant;
    state.selectRow(12);
    view.setRow(row);
    QVERIFY(background(5) != background(7));
    // Dropped but important differs from kept by pattern too: several colours across the cell's empty top line.
    const QImage image = view.viewport()->grab().toImage();
    const auto coloursAcross = [&](qint64 token) {
      QSet<QRgb> seen;
      const QRect rect = view.tokenRect(token);
      for (int x = rect.left() + 2; x < rect.right() - 1; ++x) seen.insert(image.pixel(x, rect.top() + 1));
      return seen.size();
    };
    QCOMPARE(coloursAcross(5), 1);
    QVERIFY(coloursAcross(6) > 1);
  }

  void findGoesRound() {
    ViewState state;
    TextView view(&state);
    view.resize(400, 200);
    view.show();
    view.setDocument(documentOf(prose(1200)));
    QTRY_VERIFY(view.isLaidOut());
    QVERIFY(view.find(QStringLiteral("WORD12 "), false));
    QCOMPARE(view.matchCount(), 2);
    const int first = view.verticalScrollBar()->value();
    QVERIFY(view.find(QStringLiteral("WORD12 "), false));
    QVERIFY(view.verticalScrollBar()->value() > first);
    QVERIFY(view.find(QStringLiteral("WORD12 "), false));
    QVERIFY(view.find(QStringLiteral("WORD12 "), true));
    QVERIFY(!view.find(QStringLiteral("nowhere"), false));
  }

  void aHundredThousandTokensStayQuick() {
    ViewState state;
    TextView view(&state);
    view.resize(400, 700);
    view.show();
    const auto document = documentOf(prose(100000));
    QElapsedTimer clock;
    qint64 longest = 0;
    clock.start();
    view.setDocument(document);
    longest = clock.elapsed();
    while (!view.isLaidOut()) {
      clock.restart();
      QCoreApplication::processEvents();
      longest = std::max(longest, clock.elapsed());
    }
    qint64 slowest = 0;
    for (int step = 0; step < 60; ++step) {
      clock.restart();
      view.verticalScrollBar()->setValue(view.verticalScrollBar()->maximum() / 60 * step);
      (void)view.viewport()->grab();
      slowest = std::max(slowest, clock.elapsed());
    }
    qInfo("100 000 tokens: longest step of the layout %lld ms, slowest of 60 scrolled frames %lld ms",
          static_cast<long long>(longest), static_cast<long long>(slowest));
    // Every one of them can be reached.
    view.scrollToToken(document->tokens() - 1);
    QVERIFY(view.viewport()->rect().intersects(view.tokenRect(document->tokens() - 1)));
  }

  void aTextWithoutBlanksIsBrokenAnywhere() {
    ViewState state;
    TextView view(&state);
    view.resize(200, 200);
    auto document = std::make_shared<OpenDocument>();
    document->shown = QString(4000, u'x');
    for (int i = 0; i < 2000; ++i) {
      document->begin.push_back(2 * i);
      document->content.encoding.ids.push_back(5);
    }
    document->begin.push_back(4000);
    document->content.encoding.spans.resize(2000);
    view.setDocument(document);
    QTRY_VERIFY(view.isLaidOut());
    for (qint64 token = 0; token < 2000; token += 11) {
      QVERIFY(view.tokenRect(token).right() <= view.viewport()->width());
    }
  }
};

QTEST_MAIN(TestTextView)
#include "tst_text_view.moc"
