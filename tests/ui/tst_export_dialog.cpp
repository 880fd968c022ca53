// The export dialog: preview, files, batches that can be cancelled, and a sentence when files cannot be written.
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QLabel>
#include <QPushButton>
#include <QTest>
#include <nlohmann/json.hpp>

#include "tests/ui/window_under_test.h"
#include "ui/views/export_dialog.h"

using namespace dhsa;

class TestExportDialog : public QObject {
  Q_OBJECT

  static void choose(ExportDialog* dialog, const char* box, const char* data) {
    auto* combo = dialog->findChild<QComboBox*>(QString::fromLatin1(box));
    const int index = combo->findData(QString::fromLatin1(data));
    QVERIFY(index >= 0);
    combo->setCurrentIndex(index);
    QTest::qWait(80);  // the dialog collects changes for a moment
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 60000));
  }
  static QString message(ExportDialog* dialog) {
    return dialog->findChild<QLabel*>(QStringLiteral("exportMessage"))->text();
  }
  // Saves and waits.
  static void save(ExportDialog* dialog, const QString& path) {
    dialog->saveTo(path);
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 120000));
  }

 private Q_SLOTS:
  void previewsSavesCopiesCancelsAndRefuses() {
    WindowUnderTest window(300);
    QVERIFY(window.startAndSettle());
    window->action("file.export-figure")->trigger();
    auto* dialog = window->findChild<ExportDialog*>();
    QVERIFY(dialog);
    auto* preview = dialog->findChild<QLabel*>(QStringLiteral("exportPreview"));
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy() && !preview->pixmap(Qt::ReturnByValue).isNull(); }, 30000));
    const double inches = preview->pixmap(Qt::ReturnByValue).deviceIndependentSize().width() / dialog->logicalDpiX();
    QVERIFY(std::abs(inches - width_inches(dialog->spec())) < 0.02);
    const auto there = [&](const QString& name) { return QFileInfo::exists(window.filePath(name)); };
    save(dialog, window.filePath(QStringLiteral("figure.pdf")));
    for (const char* suffix : {"pdf", "json", "npz"}) {
      QVERIFY(there(QStringLiteral("figure.%1").arg(QString::fromLatin1(suffix))));
    }
    QTest::qWait(100);  // nothing that started earlier takes the sentence away
    QVERIFY2(message(dialog).contains(QStringLiteral("saved")), qPrintable(message(dialog)));
    if (const QByteArray shot = qgetenv("DHSA_SHOT"); !shot.isEmpty())
      QVERIFY(dialog->grab().save(QString::fromLocal8Bit(shot)));
    save(dialog, QStringLiteral("/proc/none/figure.pdf"));
    QVERIFY(message(dialog).contains(QStringLiteral("/proc/none")));

    // The numbers themselves: key ranges of the mask.
    auto* copy = dialog->findChild<QPushButton*>(QStringLiteral("exportCopyData"));
    copy->click();
    const QString copied = QGuiApplication::clipboard()->text();
    QVERIFY2(copied.contains(QStringLiteral("begin\tend\n")), qPrintable(copied.left(300)));
    QVERIFY(copied.count(QLatin1Char('\n')) > 10);

    // One file for each head, each of its own head.
    choose(dialog, "exportHead", "all");
    save(dialog, window.filePath(QStringLiteral("mask.svg")));
    for (int head = 0; head < 4; ++head) {
      QVERIFY(there(QStringLiteral("mask-head%1.svg").arg(head)));
      const auto json =
          nlohmann::json::parse(read_file(window.filePath(QStringLiteral("mask-head%1.json").arg(head)).toStdString()));
      QVERIFY(json["panels"][0]["shows"].get<std::string>().ends_with("." + std::to_string(head)));
    }
    QVERIFY(!there(QStringLiteral("mask-head4.svg")));

    // The window goes on while a batch is saved, and the batch can be stopped: every file is whole or absent.
    choose(dialog, "exportLayer", "all");
    dialog->saveTo(window.filePath(QStringLiteral("batch.png")));
    QVERIFY(dialog->isBusy());
    auto* stop = dialog->findChild<QPushButton*>(QStringLiteral("exportCancel"));
    QVERIFY(stop->isVisible());
    QVERIFY(QTest::qWaitFor([&] { return there(QStringLiteral("batch-layer0-head0.png")); }, 60000));
    QVERIFY(dialog->isBusy());
    stop->click();
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 60000));
    QVERIFY(!stop->isVisible());
    const QDir folder = QFileInfo(window.filePath(QStringLiteral("x"))).dir();
    const QStringList pictures = folder.entryList({QStringLiteral("batch-*.png")});
    QVERIFY(!pictures.isEmpty() && pictures.size() < 32);
    QVERIFY2(message(dialog).contains(QStringLiteral("%1 of 32").arg(pictures.size())), qPrintable(message(dialog)));
    for (const QString& name : pictures) {
      QVERIFY(!QImage(folder.filePath(name)).isNull());
      QVERIFY(there(QFileInfo(name).completeBaseName() + QStringLiteral(".json")));
    }
    QCOMPARE(folder.entryList({QStringLiteral("batch-*.json")}).size(), pictures.size());
    QVERIFY(
        folder.entryList({QStringLiteral("*.part*"), QStringLiteral("*.tmp*")}, QDir::Files | QDir::Hidden).isEmpty());
  }
};

QTEST_MAIN(TestExportDialog)
#include "tst_export_dialog.moc"
