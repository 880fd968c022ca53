// The export dialog: preview, files, and a sentence when they cannot be written.
#include <QLabel>
#include <QTest>

#include "tests/ui/window_under_test.h"
#include "ui/views/export_dialog.h"

using namespace dhsa;

class TestExportDialog : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void previewsSavesAndRefuses() {
    WindowUnderTest window(300);
    QVERIFY(window.startAndSettle());
    window->action("file.export-figure")->trigger();
    auto* dialog = window->findChild<ExportDialog*>();
    QVERIFY(dialog);
    auto* preview = dialog->findChild<QLabel*>(QStringLiteral("exportPreview"));
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy() && !preview->pixmap(Qt::ReturnByValue).isNull(); }, 30000));
    const double inches = preview->pixmap(Qt::ReturnByValue).deviceIndependentSize().width() / dialog->logicalDpiX();
    QVERIFY(std::abs(inches - width_inches(dialog->spec())) < 0.02);
    const QString path = window.filePath(QStringLiteral("figure.pdf"));
    QVERIFY(dialog->saveTo(path));
    for (const char* suffix : {"pdf", "json", "npz"}) {
      QVERIFY(QFileInfo::exists(window.filePath(QStringLiteral("figure.%1").arg(QString::fromLatin1(suffix)))));
    }
    if (const QByteArray shot = qgetenv("DHSA_SHOT"); !shot.isEmpty())
      QVERIFY(dialog->grab().save(QString::fromLocal8Bit(shot)));
    QVERIFY(!dialog->saveTo(QStringLiteral("/proc/none/figure.pdf")));
    QVERIFY(dialog->findChild<QLabel*>(QStringLiteral("exportMessage"))->text().contains(QStringLiteral("/proc/none")));
  }
};

QTEST_MAIN(TestExportDialog)
#include "tst_export_dialog.moc"
