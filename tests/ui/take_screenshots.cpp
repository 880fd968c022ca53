// Pictures of the window on the demo model and the sample text, for people to look at: take_screenshots FOLDER NAME
// WIDTH HEIGHT light|dark [text-file]. And with --icons: the program's icons from their drawing.
#include <QApplication>
#include <QDialog>
#include <QDir>
#include <QDockWidget>
#include <QElapsedTimer>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QPushButton>
#include <QSettings>
#include <QSvgRenderer>
#include <QTemporaryDir>
#include <QTest>

#include "core/base/resources.h"
#include "ui/state/longbench_test.h"
#include "ui/state/needle_test.h"
#include "ui/state/suite_test.h"
#include "ui/state/sweep_run.h"
#include "ui/views/main_window.h"
#include "ui/views/matrix_panel.h"
#include "ui/views/message_bar.h"
#include "ui/views/needle_map.h"

using namespace dhsa;

namespace {

int makeIcons(const QString& folder) {
  QSvgRenderer drawing(folder + QStringLiteral("/icon.svg"));
  if (!drawing.isValid()) return 1;
  for (const int size : {32, 48, 64, 128, 256}) {
    QImage image(size, size, QImage::Format_ARGB32_Premultiplied);
    image.fill(Qt::transparent);
    QPainter painter(&image);
    painter.setRenderHint(QPainter::Antialiasing);
    drawing.render(&painter, QRectF(0, 0, size, size));
    painter.end();
    if (!image.save(QStringLiteral("%1/icon-%2.png").arg(folder).arg(size))) return 1;
  }
  return 0;
}

bool settle(Explorer* explorer, int runs) {
  return QTest::qWaitFor(
      [&] {
        const auto layer = explorer->whatIf()->layerInView();
        return explorer->history()->runs()->size() >= runs && !explorer->engine()->isBusy() &&
               !explorer->whatIf()->isStale() && layer && layer->row_step() == 1 && explorer->whatIf()->attention();
      },
      300000);
}

}  // namespace

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  const QStringList arguments = QApplication::arguments();
  if (arguments.size() == 3 && arguments[1] == QStringLiteral("--icons")) return makeIcons(arguments[2]);
  if (arguments.size() < 6) return 2;
  const QString folder = arguments[1];
  const QString name = arguments[2];
  const QSize size(arguments[3].toInt(), arguments[4].toInt());
  const QTemporaryDir settingsFolder;
  QSettings::setDefaultFormat(QSettings::IniFormat);
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, settingsFolder.path());
  QCoreApplication::setOrganizationName(QStringLiteral("dhsa-screenshots"));

  StartOptions options;
  if (arguments.size() > 6) options.text = QDir(arguments[6]).absolutePath();
  MainWindow window(options);
  window.setTheme(arguments[5] == QStringLiteral("dark") ? Theme::kDark : Theme::kLight);
  window.resize(size);
  window.show();
  QDir().mkpath(folder);
  int taken = 0;
  const auto shoot = [&](const char* what) {
    window.messageBar()->hide();
    QTest::qWait(500);
    const QString path = QStringLiteral("%1/%2-%3.png").arg(folder, name, QString::fromLatin1(what));
    if (!window.grab().save(path)) qFatal("cannot write %s", qPrintable(path));
    ++taken;
  };
  QElapsedTimer clock;
  clock.start();
  window.start();
  Explorer* explorer = window.explorer();
  if (!QTest::qWaitFor([&] { return explorer->whatIf()->layer(0) != nullptr; }, 60000)) qFatal("no layer came");
  qInfo("first layer on the screen %lld ms after the window", static_cast<long long>(clock.elapsed()));
  shoot("running");
  if (!settle(explorer, 2)) qFatal("the run did not end");
  explorer->view()->setLayer(3);
  settle(explorer, 2);
  shoot("overview");
  // Before the question, whose rows keep every key.
  explorer->view()->selectRow(explorer->session()->document()->tokens() - 60);
  if (!QTest::qWaitFor([&] { return explorer->whatIf()->row() != nullptr; }, 10000)) qFatal("no row came");
  shoot("row");
  // The worst row of all, the matrix with every other head's loss.
  window.dock(QStringLiteral("losses"))->raise();
  window.dock(QStringLiteral("multiples"))->raise();
  window.action("go.next-row")->trigger();
  if (!QTest::qWaitFor([&] { return !explorer->engine()->isBusy(); }, 60000)) qFatal("no small multiples came");
  shoot("losses");
  window.dock(QStringLiteral("importance"))->raise();
  window.dock(QStringLiteral("matrix"))->raise();
  explorer->view()->selectKeys(0, 0);
  explorer->view()->selectRow(-1);
  explorer->view()->setLayer(3);
  explorer->view()->setHead(0);
  settle(explorer, 2);
  explorer->history()->runs()->setPinned(explorer->history()->runs()->at(0).id, true);
  explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{512});
  settle(explorer, 2);
  window.dock(QStringLiteral("runs"))->raise();
  window.dock(QStringLiteral("chunks"))->raise();
  window.findChild<MatrixPanel*>()->setMode(CompareMode::Composite);
  window.findChild<MatrixPanel*>()->setContent(0, MatrixContent::kMask);
  window.findChild<MatrixPanel*>()->setContent(1, MatrixContent::kPinnedMask);
  shoot("what-if");

  // A small needle test, a sweep, some of RULER and of LongBench, in seconds.
  const auto runPanel = [&](const char* dock, const char* panel, const Experiment* experiment) {
    window.dock(QString::fromLatin1(dock))->raise();
    auto* content = window.findChild<QWidget*>(QString::fromLatin1(panel));
    auto* start = content->findChild<QPushButton*>(QStringLiteral("start"));
    if (!start->isEnabled()) {
      qFatal("%s: %s", panel, qPrintable(content->findChild<QLabel*>(QStringLiteral("plan"))->text()));
    }
    start->click();
    if (!QTest::qWaitFor([&] { return experiment->isFinished() && !experiment->isRunning(); }, 600000))
      qFatal("%s did not end", panel);
  };
  window.dock(QStringLiteral("text"))->raise();
  window.dock(QStringLiteral("importance"))->raise();
  runPanel("needle", "needlePanel", window.needleTest());
  window.findChild<NeedleMap*>()->setFocus(Qt::TabFocusReason);
  QTest::keyClick(window.findChild<NeedleMap*>(), Qt::Key_End);
  shoot("needle");
  runPanel("sweeps", "sweepPanel", window.sweep());
  shoot("sweeps");
  const auto fill = [&](const char* field, const QString& text) {
    window.findChild<QLineEdit*>(QString::fromLatin1(field))->setText(text);
  };
  fill("suite-tasks", QStringLiteral("niah_single_1,niah_multikey_1"));
  fill("suiteLengths", QStringLiteral("2K, 3K"));
  runPanel("ruler", "suitePanel", window.suiteTest());
  shoot("ruler");
  fill("longBenchResults", settingsFolder.filePath(QStringLiteral("longbench")));
  fill("longBenchTasks", QStringLiteral("musique,trec"));
  runPanel("longbench", "longBenchPanel", window.longBenchTest());
  shoot("longbench");
  const auto shootDialog = [&](const char* command, const char* what) {
    window.action(command)->trigger();
    QDialog* dialog = window.findChildren<QDialog*>().back();
    if (auto* generate = dialog->findChild<QPushButton*>(QStringLiteral("startGeneration"))) {
      generate->click();
      if (!QTest::qWaitFor([&] { return !explorer->generation()->isRunning(); }, 300000))
        qFatal("%s did not end", what);
    }
    QTest::qWait(200);
    const QString path = QStringLiteral("%1/%2-%3.png").arg(folder, name, QString::fromLatin1(what));
    if (!dialog->grab().save(path)) qFatal("cannot write %s", qPrintable(path));
    ++taken;
    dialog->close();
  };
  shootDialog("run.generate", "generate");
  shootDialog("file.model", "model");
  return taken == 11 ? 0 : 1;
}
