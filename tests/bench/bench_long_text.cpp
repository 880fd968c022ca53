// A long text in the whole window: what a run costs the window, then frame times of scrolled text and panned matrix.
//   QT_QPA_PLATFORM=offscreen bench_long_text FILE [METHOD [SCREENSHOT]]
#include <QApplication>
#include <QElapsedTimer>
#include <QScrollBar>
#include <algorithm>
#include <cstdio>

#include "tests/ui/window_under_test.h"
#include "ui/views/matrix_view.h"
#include "ui/views/text_view.h"

using namespace dhsa;

namespace {

constexpr int kFrames = 120;

template <class Change>
void frames(const char* what, QWidget* widget, Change&& change) {
  std::vector<double> times;
  for (int i = 0; i < kFrames; ++i) {
    QElapsedTimer clock;
    clock.start();
    change(i);
    widget->repaint();
    times.push_back(static_cast<double>(clock.nsecsElapsed()) / 1e6);
    QCoreApplication::processEvents();
  }
  std::sort(times.begin(), times.end());
  std::printf("%-28s median %.1f ms a frame, 95th percentile %.1f, slowest %.1f\n", what, times[kFrames / 2],
              times[kFrames * 95 / 100], times.back());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  if (argc < 2) return 2;
  WindowUnderTest window(60);
  window->resize(1600, 1000);
  Explorer* explorer = window.explorer();
  if (!window.startAndSettle()) return 1;
  if (argc > 2) {
    SparsityParameters parameters;
    apply_preset(parameters, argv[2]);
    explorer->parameters()->apply(parameters, QString::fromLocal8Bit(argv[2]));
  }
  QObject::connect(explorer, &Explorer::message, explorer, [](const QString& sentence, bool failed) {
    std::printf("%s: %s\n", failed ? "failed" : "message", qPrintable(sentence));
  });

  QElapsedTimer beat;
  qint64 longest = 0;
  const auto takeGap = [&] { longest = std::max(longest, beat.restart()); };
  QTimer timer;
  timer.setInterval(10);
  QObject::connect(&timer, &QTimer::timeout, explorer, takeGap);
  QElapsedTimer clock;
  clock.start();
  beat.start();
  timer.start();
  const auto sayGap = [&](const char* until) {
    std::printf("%s after %.1f s; longest gap of a 10 ms timer %lld ms\n", until,
                static_cast<double>(clock.elapsed()) / 1000, static_cast<long long>(longest));
    std::fflush(stdout);
    longest = 0;
  };
  DocumentRequest request;
  request.path = QString::fromLocal8Bit(argv[1]);
  request.reading.allow_long = true;
  explorer->openDocument(request);
  const std::int64_t before = explorer->document()->tokens();
  if (!QTest::qWaitFor([&] { return explorer->document()->tokens() != before; }, 120000)) return 1;
  std::printf("%lld tokens\n", static_cast<long long>(explorer->document()->tokens()));
  auto* text = window->findChild<TextView*>();
  if (!QTest::qWaitFor([&] { return text->isLaidOut(); }, 120000)) return 1;
  sayGap("text laid out");
  if (!QTest::qWaitFor([&] { return explorer->runs()->size() >= 2; }, 500000)) return 1;
  sayGap("run finished");
  if (!QTest::qWaitFor([&] { return explorer->attention() != nullptr; }, 300000)) return 1;
  sayGap("attention shown");
  QTest::qWait(500);

  QScrollBar* bar = text->verticalScrollBar();
  frames("scroll the text", text->viewport(), [&](int i) { bar->setValue(bar->maximum() * i / kFrames); });
  auto* matrix = window->findChild<MatrixView*>();
  const auto tokens = static_cast<double>(explorer->document()->tokens());
  frames("pan the matrix, 1.2x", matrix, [&](int i) {
    matrix->moveView({tokens * (0.02 + 0.001 * i), tokens * 0.1, tokens / 1.2, tokens / 1.2});
  });
  frames("pan the matrix, 40x", matrix, [&](int i) {
    matrix->moveView({tokens * (0.3 + 0.0002 * i), tokens * 0.6, tokens / 40, tokens / 40});
  });
  longest = 0;
  beat.restart();
  explorer->view()->selectRow(explorer->document()->tokens() - 5);
  if (!QTest::qWaitFor([&] { return explorer->row() != nullptr; }, 60000)) return 1;
  QTest::qWait(1000);
  sayGap("row selected, matrix at rest");
  if (argc > 3 && !window->grab().save(QString::fromLocal8Bit(argv[3]))) return 1;
  return 0;
}
