// What the window says of the open model.
#include <QComboBox>
#include <QFile>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QUndoStack>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/files/atomic_write.h"
#include "ui/state/run.h"
#include "ui/state/session.h"
#include "ui/views/model_dialog.h"
#include "ui/views/reading_dialog.h"

using namespace dhsa;

class TestModelDialog : public QObject {
  Q_OBJECT

  // The demo model and this text.
  static void start(Session& session, const char* text) {
    DocumentRequest request;
    request.text = text;
    session.start({}, request);
  }

 private Q_SLOTS:
  void saysWhatTheModelIs() {
    Engine engine;
    Session session(&engine);
    ModelDialog dialog(&session);
    const auto says = [&](const QString& part) {
      const auto labels = dialog.findChildren<QLabel*>();
      return std::any_of(labels.begin(), labels.end(),
                         [&](const QLabel* label) { return label->text().contains(part); });
    };
    QVERIFY(says(QStringLiteral("None is open")));
    session.start({}, {});
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    for (const char* part : {"8: 4 local with a window of 512 tokens, 4 global", "4 query, 2 key/value, 64 dimensions",
                             "90 × BF16", "Base model", "in float32 on the CPU", "beside the weights", "sha256:"}) {
      QVERIFY2(says(QString::fromUtf8(part)), part);
    }
    QVERIFY(!says(QStringLiteral("None is open")));
  }

  void loadsAgainInAnotherType() {
    Engine engine;
    Session session(&engine);
    start(session, "Some text.");
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    const auto first = session.model();
    ModelDialog dialog(&session);
    auto* type = dialog.findChild<QComboBox*>(QStringLiteral("computeType"));
    auto* device = dialog.findChild<QComboBox*>(QStringLiteral("computeDevice"));
    auto* reload = dialog.findChild<QPushButton*>(QStringLiteral("reloadModel"));
    auto* cancel = dialog.findChild<QPushButton*>(QStringLiteral("cancelLoading"));
    auto* state = dialog.findChild<QLabel*>(QStringLiteral("loadingState"));
    if (!cuda_available()) {
      const QModelIndex cuda = device->model()->index(1, 0);
      QVERIFY(!cuda.flags().testFlag(Qt::ItemIsEnabled));
      QVERIFY(cuda.data(Qt::ToolTipRole).toString().contains(QStringLiteral("CUDA is not there")));
    }
    QVERIFY(!reload->isEnabled());  // nothing else is chosen
    QVERIFY(cancel->isHidden());

    // Cancelled: the model before stays, and what is chosen says so.
    const auto other = type->findText(QStringLiteral("bfloat16"));
    type->setCurrentIndex(other);
    QVERIFY(reload->isEnabled());
    reload->click();
    QVERIFY(!cancel->isHidden() && !reload->isEnabled());
    QVERIFY(state->text().contains(QStringLiteral("Under way")));
    cancel->click();
    QTRY_VERIFY(state->text().contains(QStringLiteral("Cancelled")));
    QCOMPARE(session.model(), first);
    QCOMPARE(type->currentText(), QStringLiteral("float32"));
    QVERIFY(cancel->isHidden());

    type->setCurrentIndex(other);
    reload->click();
    QTRY_VERIFY_WITH_TIMEOUT(session.model() != first, 60000);
    QVERIFY(session.model()->weights->options().compute == DType::kBFloat16);
    // Runs of before are of another model, though its weights are the same.
    QCOMPARE(session.model()->fingerprint, first->fingerprint);
    QVERIFY(inputOf(*session.document(), *session.model()) != inputOf(*session.document(), *first));
    QCOMPARE(type->currentText(), QStringLiteral("bfloat16"));
    QVERIFY(cancel->isHidden() && state->text().isEmpty());
    QTRY_VERIFY(!engine.isBusy());

    // Fails: the same.
    const auto second = session.model();
    session.openModel(QStringLiteral("/nowhere"));
    QTRY_VERIFY(state->text().contains(QStringLiteral("nowhere")));
    QCOMPARE(session.model(), second);
    QVERIFY(session.modelOptions().compute == DType::kBFloat16);
  }

  void writesTheTokensWithTheirIds() {
    Engine engine;
    Session session(&engine);
    start(session, "Say \"no\", please.");
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    const QTemporaryDir folder;
    const auto ids = session.document()->content.encoding.ids;
    session.exportTokens(folder.filePath(QStringLiteral("t.json")));
    session.exportTokens(folder.filePath(QStringLiteral("t.csv")));
    const auto json =
        nlohmann::json::parse(read_file(folder.filePath(QStringLiteral("t.json")).toStdString(), 1 << 20));
    QCOMPARE(json["tokens"].size(), ids.size());
    QCOMPARE(json["document"]["tokens"].get<std::size_t>(), ids.size());
    QCOMPARE(json["document"]["name"].get<std::string>(), session.document()->title.toStdString());
    QCOMPARE(json["document"]["sha256"].get<std::string>(), session.document()->sha256.toStdString());
    for (std::size_t i = 0; i < ids.size(); ++i) QCOMPARE(json["tokens"][i]["id"].get<std::int32_t>(), ids[i]);
    const QStringList lines =
        QString::fromStdString(read_file(folder.filePath(QStringLiteral("t.csv")).toStdString(), 1 << 20))
            .split(u'\n', Qt::SkipEmptyParts);
    QCOMPARE(lines.front(), QStringLiteral("token,id,piece,begin,end"));
    QCOMPARE(lines.size(), static_cast<qsizetype>(ids.size()) + 1);
    QVERIFY(lines[2].startsWith(QStringLiteral("1,%1,").arg(ids[1])));
  }

  void readsTheTextAsAsked() {
    Engine engine;
    Session session(&engine);
    start(session, "Some text.\nAsk> what is it?");
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    QCOMPARE(session.document()->content.question_tokens, std::int64_t{0});
    const auto plain = session.document()->content.encoding.ids;

    QUndoStack undo;
    ReadingDialog dialog(&session, &undo);
    auto* marks = dialog.findChild<QLineEdit*>(QStringLiteral("questionMarks"));
    auto* chat = dialog.findChild<QComboBox*>(QStringLiteral("chat"));
    auto* result = dialog.findChild<QLabel*>(QStringLiteral("readingResult"));
    const auto before = session.document();
    marks->setText(QStringLiteral(" , "));
    dialog.accept();
    QVERIFY(result->text().contains(QStringLiteral("names none")));
    QCOMPARE(session.document(), before);

    marks->setText(QStringLiteral("Ask>"));
    chat->setCurrentIndex(chat->findData(QStringLiteral("on")));
    dialog.accept();
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != before, 60000);
    const Document& read = session.document()->content;
    QVERIFY(read.question_tokens > 3);
    QVERIFY(read.chat);
    QVERIFY(read.encoding.ids.size() > plain.size());
    QVERIFY(result->text().contains(QStringLiteral("one turn of the user")));
    QCOMPARE(session.request().reading.question_marks, std::string("Ask>"));

    undo.undo();
    QTRY_COMPARE_WITH_TIMEOUT(session.document()->content.encoding.ids, plain, 60000);
    QVERIFY(chat->currentData() != QStringLiteral("on") && marks->text().isEmpty());
    undo.redo();
    QTRY_VERIFY_WITH_TIMEOUT(session.document()->content.chat, 60000);
    // Not of another text.
    DocumentRequest text;
    text.text = "Another text.";
    session.openDocument(text);
    QTRY_COMPARE_WITH_TIMEOUT(session.document()->source, text.text, 60000);
    const auto another = session.document();
    undo.undo();
    QTRY_VERIFY(!engine.isBusy());
    QCOMPARE(session.document(), another);
    QVERIFY(!undo.canUndo() && !undo.canRedo());
  }

  // A reading that fails is no step that could be undone, and what is said of the text is of the one that is open.
  void aReadingThatFailsLeavesNoStep() {
    const QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("text.txt"));
    write_file(path.toStdString(), "Some text.\nAsk> what is it?");
    Engine engine;
    Session session(&engine);
    DocumentRequest request;
    request.path = path;
    session.start({}, request);
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    const auto before = session.document();
    QVERIFY(QFile::remove(path));
    QUndoStack undo;
    ReadingDialog dialog(&session, &undo);
    dialog.findChild<QLineEdit*>(QStringLiteral("questionMarks"))->setText(QStringLiteral("Ask>"));
    const QSignalSpy failed(&engine, &Engine::failed);
    dialog.accept();
    QTRY_COMPARE(failed.count(), 1);
    QCOMPARE(undo.count(), 0);
    QCOMPARE(session.document(), before);
    QVERIFY(session.request().reading == before->reading);
    // There again, the same is a step.
    write_file(path.toStdString(), "Some text.\nAsk> what is it?");
    dialog.findChild<QLineEdit*>(QStringLiteral("questionMarks"))->setText(QStringLiteral("Ask>"));
    dialog.accept();
    QTRY_COMPARE_WITH_TIMEOUT(undo.count(), 1, 60000);
    QVERIFY(session.document()->content.question_tokens > 0);
    undo.undo();
    QTRY_COMPARE_WITH_TIMEOUT(session.document()->content.question_tokens, std::int64_t{0}, 60000);
  }

  void aWrittenChatIsOfferedAsOne() {
    Engine engine;
    Session session(&engine);
    const QSignalSpy offered(&session, &Session::chatOffered);
    start(session, "<start_of_turn>user\nHow are you?<end_of_turn>\n");
    QTRY_COMPARE_WITH_TIMEOUT(offered.count(), 1, 60000);
    QVERIFY(!session.document()->content.chat);
    QVERIFY(offered.front().front().toString().contains(QStringLiteral("chat on reads it as the chat")));
    DocumentRequest asChat = session.request();
    asChat.reading.chat = "on";
    session.openDocument(asChat);
    QTRY_VERIFY_WITH_TIMEOUT(session.document()->content.chat, 60000);
    QCOMPARE(offered.count(), 1);
  }

  void aLongTextSaysHowMuchIsReadAndCanBeLeft() {
    Engine engine;
    Session session(&engine);
    start(session, "Some text.");
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    const auto before = session.document();
    std::vector<double> shares;
    QObject::connect(&session, &Session::reading, &session, [&](double share) {
      shares.push_back(share);
      if (shares.size() == 2) engine.cancel(JobKind::kLoadDocument);
    });
    DocumentRequest text;
    text.text = QByteArray("Every word of it is new, 1234. ").repeated(200'000);
    text.reading = as_it_is();
    const QSignalSpy cancelled(&engine, &Engine::cancelled);
    session.openDocument(text);
    QTRY_COMPARE_WITH_TIMEOUT(cancelled.count(), 1, 60000);
    QVERIFY(shares.size() >= 2 && shares[0] < shares[1] && shares.back() < 1);
    QCOMPARE(session.document(), before);
  }
};

QTEST_MAIN(TestModelDialog)
#include "tst_model_dialog.moc"
