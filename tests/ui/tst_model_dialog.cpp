// What the window says of the open model.
#include <QLabel>
#include <QTest>
#include <algorithm>

#include "ui/state/session.h"
#include "ui/views/model_dialog.h"

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
};

QTEST_MAIN(TestModelDialog)
#include "tst_model_dialog.moc"
