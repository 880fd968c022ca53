// A window with settings of its own, a text of known length, and helpers to wait for its engine.
#pragma once

#include <QComboBox>
#include <QElapsedTimer>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <algorithm>
#include <memory>

#include "core/files/atomic_write.h"
#include "ui/state/explorer.h"
#include "ui/views/main_window.h"

namespace dhsa {

// How long the window's thread did not come round: gaps between the beats of a 10 ms timer.
class Heartbeat {
 public:
  Heartbeat() {
    m_timer.setTimerType(Qt::PreciseTimer);
    m_timer.setInterval(10);
    QObject::connect(&m_timer, &QTimer::timeout, &m_timer, [this] {
      m_longest = std::max(m_longest, m_since.restart());
      ++m_beats;
    });
    m_since.start();
    m_timer.start();
  }
  void say(const char* during) const {
    qInfo("longest gap of a 10 ms timer during %s: %lld ms (%d ticks)", during, static_cast<long long>(m_longest),
          m_beats);
  }
  [[nodiscard]] int beats() const { return m_beats; }

 private:
  QTimer m_timer;
  QElapsedTimer m_since;
  qint64 m_longest = 0;
  int m_beats = 0;
};

class WindowUnderTest {
 public:
  // About four tokens of the demo model for every three words.
  static QByteArray proseOf(int words) {
    static const char* const kWords[] = {"the",   "river",   "ran",     "past",   "old",     "mills",
                                         "and",   "carried", "letters", "from",   "harbour", "towns",
                                         "where", "people",  "counted", "winter", "ships"};
    QByteArray text;
    unsigned state = 7;
    for (int i = 0; i < words; ++i) {
      state = state * 1664525U + 1013904223U;
      text += kWords[(state >> 16U) % std::size(kWords)];
      text += i % 11 == 10 ? ". " : " ";
      if (i % 97 == 96) text += "\n";
    }
    return text + "end.\n";
  }

  explicit WindowUnderTest(int words = 700) {
    QSettings::setDefaultFormat(QSettings::IniFormat);
    QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, m_folder.path());
    QCoreApplication::setOrganizationName(QStringLiteral("dhsa-test"));
    QCoreApplication::setApplicationName(QStringLiteral("dhsa-test"));
    m_text = m_folder.filePath(QStringLiteral("prose.txt"));
    write_file(m_text.toStdString(), proseOf(words).toStdString());
    open();
  }

  void open() {
    m_window.reset();
    StartOptions options;
    options.text = m_text;
    m_window = std::make_unique<MainWindow>(options);
    m_window->resize(1280, 800);
    m_window->setAnimated(false);  // panels are where they belong at once, however busy the machine is
    m_window->explorer()->history()->setCompareAfterRun(false);
    m_window->action("run.compare-after")->setChecked(false);
    m_window->show();
  }
  void close() { m_window.reset(); }

  // Starts and waits until the first run is over and all figures are exact.
  [[nodiscard]] bool startAndSettle() {
    m_window->start();
    return settle(1);
  }
  [[nodiscard]] bool settle(int runs) {
    return QTest::qWaitFor(
        [&] {
          Explorer* explorer = m_window->explorer();
          const auto layer = explorer->whatIf()->layerInView();
          return explorer->history()->runs()->size() >= runs && !explorer->engine()->isBusy() &&
                 !explorer->whatIf()->isStale() && layer && layer->row_step() == 1 && explorer->whatIf()->attention() &&
                 everyLayerFollows();
        },
        120000);
  }

  // The engine rests for a moment between one layer and the next; that is not the end of the work.
  [[nodiscard]] bool everyLayerFollows() const {
    const Explorer* explorer = m_window->explorer();
    for (int index = 0; index < explorer->whatIf()->layers(); ++index) {
      const auto layer = explorer->whatIf()->layer(index);
      if (layer && layer->captured && layer->parameters != explorer->parameters()->values()) return false;
    }
    return true;
  }

  MainWindow* operator->() const { return m_window.get(); }
  [[nodiscard]] MainWindow* window() const { return m_window.get(); }
  [[nodiscard]] Explorer* explorer() const { return m_window->explorer(); }
  [[nodiscard]] QString filePath(const QString& name) const { return m_folder.filePath(name); }
  [[nodiscard]] QString textPath() const { return m_text; }
  template <class Widget>
  [[nodiscard]] Widget* child(const char* name) const {
    auto* found = m_window->findChild<Widget*>(QString::fromLatin1(name));
    if (found == nullptr) qFatal("no widget %s", name);
    return found;
  }

 private:
  QTemporaryDir m_folder;
  QString m_text;
  std::unique_ptr<MainWindow> m_window;
};

}  // namespace dhsa
