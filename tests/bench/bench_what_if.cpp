// From a change of the budget to the layer that follows it, in the whole window, by the signals; and how the first run
// compares with dense.
//   QT_QPA_PLATFORM=offscreen bench_what_if [WORDS]   (6200 words are about 8200 tokens)
#include <QApplication>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/ui/window_under_test.h"

using namespace dhsa;

namespace {

constexpr int kChanges = 15;
const QString kBudget = QStringLiteral("budget");

double percentile(std::vector<double> times, std::size_t percent) {
  std::sort(times.begin(), times.end());
  return times[(times.size() - 1) * percent / 100];
}

void report(const char* what, const std::vector<double>& times) {
  std::printf("%-44s median %.1f ms, 95th percentile %.1f, slowest %.1f of %zu\n", what, percentile(times, 50),
              percentile(times, 95), percentile(times, 100), times.size());
  std::fflush(stdout);
}

class Bench {
 public:
  explicit Bench(int words) : m_window(words), m_explorer(m_window.explorer()) {
    QObject::connect(m_explorer->parameters(), &ParameterSet::changed, m_explorer, [this] { m_changed.restart(); });
    QObject::connect(m_explorer, &Explorer::layerChanged, m_explorer, [this](int layer) {
      const auto shown = m_explorer->layerInView();
      if (layer != m_explorer->view()->layer() || shown->parameters == m_known) return;
      m_known = shown->parameters;
      m_times.push_back(static_cast<double>(m_changed.nsecsElapsed()) / 1e6);
    });
  }

  bool run() {
    m_explorer->setCompareAfterRun(true);
    m_window->start();
    if (!m_window.settle(2)) return false;
    const RunList& runs = *m_explorer->runs();
    std::printf("%lld tokens; first run %.2f s, dense after it %.2f s: %.2fx\n",
                static_cast<long long>(m_explorer->document()->tokens()), runs.at(0).seconds, runs.at(1).seconds,
                runs.at(1).seconds / runs.at(0).seconds);
    std::fflush(stdout);
    return true;
  }

  // Once everything is at rest, then in the middle of the refinement that the change before has caused.
  bool change(const char* what, int layer, bool atRest) {
    m_explorer->view()->setLayer(layer);
    if (!m_window.settle(2)) return false;
    m_known = m_explorer->layerInView()->parameters;
    m_times.clear();
    for (int i = 0; i < kChanges; ++i) {
      const std::size_t before = m_times.size();
      m_explorer->parameters()->set(kBudget, std::int64_t{512 + 16 * (i + 1)});
      if (!QTest::qWaitFor([&] { return m_times.size() > before; }, 20000)) return false;
      if (!atRest) {
        QTest::qWait(20 + 7 * i);
      } else if (!m_window.settle(2)) {
        return false;
      }
    }
    report(what, m_times);
    m_explorer->parameters()->set(kBudget, std::int64_t{1024});
    return m_window.settle(2);
  }

 private:
  WindowUnderTest m_window;
  Explorer* m_explorer;
  QElapsedTimer m_changed;
  SparsityParameters m_known;
  std::vector<double> m_times;
};

}  // namespace

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  Bench bench(argc > 1 ? std::atoi(argv[1]) : 6200);
  const bool done = bench.run() && bench.change("global layer, at rest", 1, true) &&
                    bench.change("global layer, while the last is refined", 1, false) &&
                    bench.change("local layer, at rest", 0, true);
  return done ? 0 : 1;
}
