// What the window says of the open model.
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QTest>
#include <algorithm>

#include "ui/state/session.h"
#include "ui/views/model_dialog.h"
#include "ui/views/reading_dialog.h"

using namespace dhsa;

class TestModelDialog : public QObject {
  Q_OBJECT

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

  void readsTheTextAsAsked() {
    Engine engine;
    Session session(&engine);
    DocumentRequest text;
    text.text = "Some text.\nAsk> what is it?";
    session.start({}, text);
    QTRY_VERIFY_WITH_TIMEOUT(session.document() != nullptr, 60000);
    QCOMPARE(session.document()->content.question_tokens, std::int64_t{0});
    const auto plain = session.document()->content.encoding.ids;

    ReadingDialog dialog(&session);
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
    QCOMPARE(session.request().questionMarks, std::string("Ask>"));
  }
};

QTEST_MAIN(TestModelDialog)
#include "tst_model_dialog.moc"
