// The export dialog: preview, files, batches that can be cancelled, and a sentence when files cannot be written.
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QLabel>
#include <QProcess>
#include <QPushButton>
#include <QTest>
#include <nlohmann/json.hpp>

#include "app/revision.h"
#include "core/evaluate/provenance.h"
#include "tests/ui/window_under_test.h"
#include "ui/figures/figure_files.h"
#include "ui/views/export_dialog.h"

using namespace dhsa;

// As the program's main() does, before there is an application.
[[maybe_unused]] static const bool settled = [] {
  settleFigures();
  set_program(DHSA_VERSION, built_revision());
  return true;
}();

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
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 120000));
    dialog->saveTo(path);
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 120000));
  }

  // Runs the command of NAME.json in an empty folder and compares every file with those the window wrote.
  static void makeAgain(const WindowUnderTest& window, const QString& name, const QString& suffix) {
    const QDir folder = QFileInfo(window.filePath(QStringLiteral("x"))).dir();
    const auto read = [](const QString& path) {
      QFile file(path);
      return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    };
    const QString description = folder.filePath(name + QStringLiteral(".json"));
    const auto json = nlohmann::json::parse(read(description).toStdString());
    const QString command = QString::fromStdString(json.at("command"));
    QVERIFY2(command.startsWith(QStringLiteral("dhsa export ")), qPrintable(command));
    QTemporaryDir elsewhere;
    for (const QString& text : folder.entryList({QStringLiteral("pasted-*.txt")}))
      QVERIFY(QFile::copy(folder.filePath(text), elsewhere.filePath(text)));
    QProcess shell;
    shell.setWorkingDirectory(elsewhere.path());
    shell.start(QStringLiteral("sh"),
                {QStringLiteral("-c"), QStringLiteral("exec '" DHSA_BINARY "' ") + command.mid(5)});
    QVERIFY(shell.waitForFinished(120000));
    QVERIFY2(shell.exitCode() == 0, shell.readAllStandardError().constData());
    int compared = 0;
    for (const QString& kind : {suffix, QStringLiteral("json"), QStringLiteral("npz"), QStringLiteral("csv")}) {
      const QString file = name + QLatin1Char('.') + kind;
      const QByteArray ours = read(folder.filePath(file));
      const QByteArray theirs = read(elsewhere.filePath(file));
      if (ours != theirs && kind == QStringLiteral("json"))
        QCOMPARE(QString::fromUtf8(theirs), QString::fromUtf8(ours));
      QVERIFY2(ours == theirs, qPrintable(file + QStringLiteral(" differs: ") + command));
      if (!ours.isEmpty()) ++compared;
    }
    QVERIFY(compared >= 2);
  }

 private Q_SLOTS:
  void theCommandMakesTheSameBytesAsTheWindow() {
    WindowUnderTest window(300);
    QVERIFY(window.startAndSettle());
    window->action("file.export-figure")->trigger();
    auto* dialog = window->findChild<ExportDialog*>();
    QVERIFY(dialog);
    save(dialog, window.filePath(QStringLiteral("run.pdf")));
    makeAgain(window, QStringLiteral("run"), QStringLiteral("pdf"));
    const auto json = nlohmann::json::parse(read_file(window.filePath(QStringLiteral("run.json")).toStdString()));
    for (const char* key : {"machine", "model", "document", "parameters", "program"}) QVERIFY2(json.contains(key), key);
    QVERIFY(!json["program"]["revision"].get<std::string>().empty());
    QVERIFY(json["model"].contains("tokenizer_sha256") && json["model"].contains("dtype"));

    // What-if: planned with other parameters than the run had, all layers with the same ones, seen yet or not.
    window.explorer()->parameters()->set(QStringLiteral("budget"), std::int64_t{64});
    window.explorer()->parameters()->set(QStringLiteral("sink-tokens"), std::int64_t{8});
    window.explorer()->parameters()->set(QStringLiteral("local-tokens"), std::int64_t{16});
    QVERIFY(QTest::qWaitFor(
        [&] {
          const auto layer = window.explorer()->layerInView();
          return layer && layer->parameters == window.explorer()->parameters()->values();
        },
        60000));
    choose(dialog, "exportWhat", "dense,sparse");
    save(dialog, window.filePath(QStringLiteral("what-if.svg")));
    makeAgain(window, QStringLiteral("what-if"), QStringLiteral("svg"));
    choose(dialog, "exportWhat", "head-mass");
    save(dialog, window.filePath(QStringLiteral("mass.png")));
    makeAgain(window, QStringLiteral("mass"), QStringLiteral("png"));
    choose(dialog, "exportWhat", "mask");
    choose(dialog, "exportLayer", "all");
    save(dialog, window.filePath(QStringLiteral("m.pdf")));
    makeAgain(window, QStringLiteral("m-layer5"), QStringLiteral("pdf"));

    // A pasted text goes along as a file; its question is sparse where the window says so.
    const int runs = window.explorer()->runs()->size();
    window.explorer()->openDocument(
        {{}, WindowUnderTest::proseOf(120) + "\nQuestion: Which river ran past the mills?\nAnswer:", {}, false});
    QVERIFY(window.settle(runs + 1));
    QVERIFY(window.explorer()->document()->content.question_tokens > 0);
    window.explorer()->parameters()->set(QStringLiteral("instruction-tokens"), std::int64_t{0});
    QVERIFY(window.settle(runs + 1));
    choose(dialog, "exportLayer", "1");
    save(dialog, window.filePath(QStringLiteral("pasted.pdf")));
    makeAgain(window, QStringLiteral("pasted"), QStringLiteral("pdf"));
  }

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
