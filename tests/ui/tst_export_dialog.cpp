// The export dialog: preview, files, batches that can be cancelled, and a sentence when files cannot be written.
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QLabel>
#include <QProcess>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QTest>
#include <nlohmann/json.hpp>

#include "app/revision.h"
#include "core/run/provenance.h"
#include "tests/ui/window_under_test.h"
#include "ui/figures/figure_files.h"
#include "ui/views/export_dialog.h"

using namespace dhsa;

// As the program's main() does, before there is an application.
[[maybe_unused]] static const bool reproducible = [] {
  makeFiguresReproducible();
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

  struct Outcome {
    int code = -1;
    QString said;  // on standard error
  };
  static Outcome dhsa(const QString& arguments, const QString& folder) {
    QProcess shell;
    shell.setWorkingDirectory(folder);
    // As a person without a display would run it.
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"})
      environment.remove(QString::fromLatin1(name));
    shell.setProcessEnvironment(environment);
    shell.start(QStringLiteral("sh"), {QStringLiteral("-c"), QStringLiteral("exec '" DHSA_BINARY "' ") + arguments});
    if (!shell.waitForFinished(120000)) return {};
    return {shell.exitCode(), QString::fromUtf8(shell.readAllStandardError())};
  }
  static QByteArray contentOf(const QString& path) {
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
  }

  // Runs the command of NAME.json in an empty folder and compares every file with those the window wrote.
  static void makeAgain(const WindowUnderTest& window, const QString& name, const QString& suffix) {
    const QDir folder = QFileInfo(window.filePath(QStringLiteral("x"))).dir();
    const QString description = folder.filePath(name + QStringLiteral(".json"));
    const auto json = nlohmann::json::parse(contentOf(description).toStdString());
    const QString command = QString::fromStdString(json.at("command"));
    QVERIFY2(command.startsWith(QStringLiteral("dhsa export ")), qPrintable(command));
    QTemporaryDir elsewhere;
    for (const QString& text : folder.entryList({QStringLiteral("p*-*.txt")}))
      QVERIFY(QFile::copy(folder.filePath(text), elsewhere.filePath(text)));
    const Outcome outcome = dhsa(command.mid(5), elsewhere.path());
    QVERIFY2(outcome.code == 0, qPrintable(outcome.said));
    int compared = 0;
    for (const QString& kind : {suffix, QStringLiteral("json"), QStringLiteral("npz"), QStringLiteral("csv")}) {
      const QString file = name + QLatin1Char('.') + kind;
      const QByteArray ours = contentOf(folder.filePath(file));
      const QByteArray theirs = contentOf(elsewhere.filePath(file));
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
          const auto layer = window.explorer()->whatIf()->layerInView();
          return layer && layer->parameters == window.explorer()->parameters()->values();
        },
        60000));
    choose(dialog, "exportWhat", "dense,sparse");
    save(dialog, window.filePath(QStringLiteral("what-if.svg")));
    makeAgain(window, QStringLiteral("what-if"), QStringLiteral("svg"));
    // The part that the matrix shows.
    window.explorer()->view()->setZoom(QRectF(40.5, 100, 59, 80));
    choose(dialog, "exportPart", "zoom");
    choose(dialog, "exportScale", "sqrt");
    save(dialog, window.filePath(QStringLiteral("part.svg")));
    makeAgain(window, QStringLiteral("part"), QStringLiteral("svg"));
    const auto part = nlohmann::json::parse(contentOf(window.filePath(QStringLiteral("part.json"))).toStdString());
    QVERIFY(part["panels"][0]["drawing"]["rows"] == nlohmann::json({100, 180}));
    QVERIFY(part["panels"][0]["drawing"]["keys"] == nlohmann::json({40, 100}));
    choose(dialog, "exportPart", "all");
    choose(dialog, "exportWhat", "head-mass");
    save(dialog, window.filePath(QStringLiteral("mass.png")));
    makeAgain(window, QStringLiteral("mass"), QStringLiteral("png"));
    choose(dialog, "exportWhat", "mask");
    choose(dialog, "exportLayer", "all");
    save(dialog, window.filePath(QStringLiteral("m.pdf")));
    makeAgain(window, QStringLiteral("m-layer5"), QStringLiteral("pdf"));

    // A text that has changed on the disk since it was opened goes along as it was.
    const QByteArray text = contentOf(window.textPath());
    write_file(window.textPath().toStdString(), "Something else.");
    choose(dialog, "exportLayer", "1");
    save(dialog, window.filePath(QStringLiteral("edited.pdf")));
    makeAgain(window, QStringLiteral("edited"), QStringLiteral("pdf"));
    write_file(window.textPath().toStdString(), text.toStdString());

    // So does a pasted text, read as a turn of a chat, with a question of its own kind; its question is sparse where
    // the window says so.
    const int runs = window.explorer()->history()->runs()->size();
    DocumentRequest pasted;
    pasted.text = WindowUnderTest::proseOf(120) + "\nAsk> Which river ran past the mills?\nAnswer:";
    pasted.reading.chat = "on";
    pasted.reading.question_marks = "Ask>";
    window.explorer()->session()->openDocument(pasted);
    QVERIFY(window.settle(runs + 1));
    QVERIFY(window.explorer()->session()->document()->content.question_tokens > 0);
    window.explorer()->parameters()->set(QStringLiteral("instruction-tokens"), std::int64_t{0});
    QVERIFY(window.settle(runs + 1));
    save(dialog, window.filePath(QStringLiteral("pasted.pdf")));
    makeAgain(window, QStringLiteral("pasted"), QStringLiteral("pdf"));
  }

  // What a session holds is drawn without a display: its text, its parameters as they are set, its layer.
  void aSessionIsDrawnWithoutADisplay() {
    WindowUnderTest window(300);
    QVERIFY(window.startAndSettle());
    window.explorer()->view()->setLayer(3);
    window.explorer()->parameters()->set(QStringLiteral("sink-tokens"), std::int64_t{8});
    window.explorer()->parameters()->set(QStringLiteral("local-tokens"), std::int64_t{16});
    window.explorer()->parameters()->set(QStringLiteral("budget"), std::int64_t{64});
    QVERIFY(window.settle(1));
    const QString session = window.filePath(QStringLiteral("a b.dhsa-session"));
    QVERIFY(window->saveSession(session));
    window->action("file.export-figure")->trigger();
    auto* dialog = window->findChild<ExportDialog*>();
    QVERIFY(dialog);
    save(dialog, window.filePath(QStringLiteral("window.pdf")));

    const QString folder = QFileInfo(session).path();
    const QString start = QStringLiteral("export mask --session 'a b.dhsa-session' --out session.pdf --quiet");
    Outcome outcome = dhsa(start, folder);
    QVERIFY2(outcome.code == 0, qPrintable(outcome.said));
    const auto in = [&](const char* name) { return contentOf(window.filePath(QString::fromLatin1(name))); };
    QCOMPARE(in("session.npz"), in("window.npz"));
    auto json = nlohmann::json::parse(in("session.json").toStdString());
    const auto same = nlohmann::json::parse(in("window.json").toStdString());
    QVERIFY(json["panels"][0]["facts"] == same["panels"][0]["facts"]);
    for (const char* key : {"parameters", "ran_with", "document", "model", "machine"})
      QVERIFY2(json.at(key) == same.at(key), key);
    QCOMPARE(json["parameters"]["budget"].get<int>(), 64);
    // Its command says the session, and makes the same bytes.
    const QByteArray figure = in("session.pdf");
    const QByteArray description = in("session.json");
    const QString command = QString::fromStdString(json["command"]);
    QVERIFY2(command.contains(QStringLiteral("--session 'a b.dhsa-session'")), qPrintable(command));
    QVERIFY(QFile::remove(window.filePath(QStringLiteral("session.pdf"))));
    outcome = dhsa(command.mid(5), folder);
    QVERIFY2(outcome.code == 0, qPrintable(outcome.said));
    QVERIFY(in("session.pdf") == figure && in("session.json") == description);

    // One sentence, and nothing taken away, where the text is another or gone, or the model is another.
    const auto refused = [&](const char* part) {
      const Outcome wrong = dhsa(start, folder);
      QCOMPARE(wrong.code, 2);
      QCOMPARE(wrong.said.count(QLatin1Char('\n')), 1);
      QVERIFY2(wrong.said.contains(QString::fromLatin1(part)), qPrintable(wrong.said));
      QVERIFY(in("session.pdf") == figure);
    };
    const QByteArray text = contentOf(window.textPath());
    write_file(window.textPath().toStdString(), text.toStdString() + "More.");
    refused("prose.txt has changed since the session was saved");
    QVERIFY(QFile::rename(window.textPath(), window.filePath(QStringLiteral("moved.txt"))));
    refused("prose.txt: cannot be read");
    write_file(window.textPath().toStdString(), text.toStdString());
    auto damaged = nlohmann::json::parse(contentOf(session).toStdString());
    damaged["model"]["fingerprint"] = "sha256:another";
    write_file(session.toStdString(), damaged.dump());
    refused("is not the one that the session was saved with");
    damaged["view"]["layer"] = 99;
    damaged["model"].erase("fingerprint");
    write_file(session.toStdString(), damaged.dump());
    refused("layers 0 to 7");
  }

  void previewsSavesCopiesCancelsAndRefuses() {
    WindowUnderTest window(300);
    QVERIFY(window.startAndSettle());
    window->action("file.export-figure")->trigger();
    auto* dialog = window->findChild<ExportDialog*>();
    QVERIFY(dialog);
    auto* preview = dialog->findChild<QLabel*>(QStringLiteral("exportPreview"));
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy() && !preview->pixmap(Qt::ReturnByValue).isNull(); }, 30000));
    auto* area = dialog->findChild<QScrollArea*>();
    const auto shown = [&] { return preview->pixmap(Qt::ReturnByValue).deviceIndependentSize(); };
    QVERIFY(shown().width() <= area->maximumViewportSize().width());
    QVERIFY(shown().height() <= area->maximumViewportSize().height());
    dialog->findChild<QCheckBox*>(QStringLiteral("exportFit"))->setChecked(false);
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

    // What is too large to draw is said, in the file and on the clipboard.
    auto* dpi = dialog->findChild<QSpinBox*>(QStringLiteral("exportDpi"));
    choose(dialog, "exportVenue", "poster");
    dpi->setValue(2400);
    QTest::qWait(80);
    QVERIFY(QTest::qWaitFor([&] { return !dialog->isBusy(); }, 60000));
    dialog->findChild<QPushButton*>(QStringLiteral("exportCopyFigure"))->click();
    QVERIFY2(message(dialog).contains(QStringLiteral("lower --dpi")), qPrintable(message(dialog)));
    dpi->setValue(300);
    choose(dialog, "exportVenue", "neurips");
    dialog->findChild<QPushButton*>(QStringLiteral("exportCopyFigure"))->click();
    QCOMPARE(QGuiApplication::clipboard()->image().width(), 1650);  // 5.5 in at 300 dpi

    // The numbers themselves: key ranges of the mask.
    auto* copy = dialog->findChild<QPushButton*>(QStringLiteral("exportCopyData"));
    copy->click();
    const QString copied = QGuiApplication::clipboard()->text();
    QVERIFY2(copied.contains(QStringLiteral("begin\tend\n")), qPrintable(copied.left(300)));
    QVERIFY(copied.count(QLatin1Char('\n')) > 10);

    // Results of a needle test, from a file; without one there is a sentence.
    choose(dialog, "exportWhat", "needle");
    QTRY_VERIFY2(message(dialog).contains(QStringLiteral("Choose the file")), qPrintable(message(dialog)));
    QVERIFY(!dialog->findChild<QComboBox*>(QStringLiteral("exportLayer"))->isEnabled());
    const QString results = QStringLiteral(DHSA_FIXTURES "/../fuzz/corpus/figure/needle_finished");
    dialog->setResults(results);
    QTest::qWait(80);
    save(dialog, window.filePath(QStringLiteral("needle.pdf")));
    QVERIFY2(message(dialog).contains(QStringLiteral("saved")), qPrintable(message(dialog)));
    makeAgain(window, QStringLiteral("needle"), QStringLiteral("pdf"));
    choose(dialog, "exportWhat", "budget");
    QTRY_VERIFY2(message(dialog).contains(QStringLiteral("dhsa sweep")), qPrintable(message(dialog)));
    choose(dialog, "exportWhat", "mask");
    QVERIFY(dialog->findChild<QComboBox*>(QStringLiteral("exportLayer"))->isEnabled());

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
