// Frame times of the matrix view, as a person causes them: pan by some pixels, zoom by a wheel notch, crosshair to the
// next cell. One frame is the change and the repaint that follows, on the window's thread.
//   QT_QPA_PLATFORM=offscreen QT_SCALE_FACTOR=2 bench_matrix_view [TOKENS]
#include <QApplication>
#include <QElapsedTimer>
#include <QEvent>
#include <QWindow>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "ui/views/matrix_view.h"

using namespace dhsa;

namespace {

constexpr int kFrames = 120;

// Chunks of about 64 tokens, query groups of 128 rows, budget 2048: the shape of what DHSA keeps.
std::shared_ptr<const KeyMask> chunkMask(std::int32_t tokens, std::mt19937& random) {
  std::vector<std::int32_t> chunks{0};
  while (chunks.back() < tokens)
    chunks.push_back(std::min(tokens, chunks.back() + 8 + static_cast<std::int32_t>(random() % 112)));
  KeyMask::Builder builder(fixed_groups(tokens, 128), 1, 0);
  for (std::int32_t row = 0; row < tokens; row += 128) {
    std::vector<KeyRange> ranges{{std::max(0, row - 128), row + 128}, {0, 128}};
    for (int kept = 384; kept < 2048;) {
      const auto c = static_cast<std::size_t>(random() % (chunks.size() - 1));
      kept += chunks[c + 1] - chunks[c];
      ranges.push_back({chunks[c], chunks[c + 1]});
    }
    builder.add(std::move(ranges));
  }
  return std::make_shared<const KeyMask>(builder.finish());
}

// Every row a group of its own with scattered keys: the shape of the token top-k oracle.
std::shared_ptr<const KeyMask> tokenMask(std::int32_t tokens, int keys, std::mt19937& random) {
  KeyMask::Builder builder(fixed_groups(tokens, 1), 1, 0);
  for (std::int32_t row = 0; row < tokens; ++row) {
    std::vector<KeyRange> ranges;
    for (int i = 0; i < keys; ++i) {
      const auto key = static_cast<std::int32_t>(random() % static_cast<unsigned>(row + 1));
      ranges.push_back({key, key + 1});
    }
    builder.add(std::move(ranges));
  }
  return std::make_shared<const KeyMask>(builder.finish());
}

std::shared_ptr<const MatrixSource> attention(std::int32_t tokens, std::shared_ptr<const KeyMask> mask,
                                              std::mt19937& random) {
  constexpr std::int64_t kDim = 64;
  auto data = std::make_shared<std::vector<float>>(static_cast<std::size_t>(2 * tokens * kDim));
  std::normal_distribution<float> normal;
  for (float& value : *data) value = normal(random);
  AttentionInput input;
  input.q = heads_view(data->data(), 1, tokens, kDim);
  input.k = heads_view(data->data() + tokens * kDim, 1, tokens, kDim);
  input.heads = {0};
  input.layer.scale = 0.125F;
  input.mask = std::move(mask);
  input.owner = data;
  return attention_source(AttentionLevels::build(std::move(input)), AttentionLevels::What::kDense);
}

class PaintCounter : public QObject {
 public:
  int count = 0;
  bool eventFilter(QObject* /*watched*/, QEvent* event) override {
    count += event->type() == QEvent::Paint ? 1 : 0;
    return false;
  }
};

class Bench {
 public:
  Bench(QSize size, std::int64_t tokens) : m_tokens(static_cast<double>(tokens)) {
    m_view.resize(size);
    m_view.show();
    // Nothing is painted before the window is on the screen.
    for (int i = 0; i < 100 && !m_view.windowHandle()->isExposed(); ++i) QCoreApplication::processEvents();
    m_view.installEventFilter(&m_paints);
    auto boundaries = std::make_shared<std::vector<std::int32_t>>();
    for (std::int32_t at = 0; at < tokens; at += 64) boundaries->push_back(at);
    boundaries->push_back(static_cast<std::int32_t>(tokens));
    m_view.setBoundaries(boundaries);
  }

  void measure(const char* what, MatrixLayer a, MatrixLayer b, CompareMode mode) {
    m_view.setLayers(std::move(a), std::move(b));
    m_view.setCompareMode(mode);
    std::printf("%-34s %4dx%-4d @%.1f", what, m_view.width(), m_view.height(), m_view.devicePixelRatioF());
    for (const double zoom : {1.2, 6.0}) {
      const double size = m_tokens / zoom;
      const QRectF start(m_tokens * 0.05, m_tokens * (zoom < 2 ? 0.1 : 0.55), size, size);
      m_view.setView(start);
      m_view.repaint();
      const double step = size / 300;
      report(zoom < 2 ? "" : "6x ", "pan", [&](int i) {
        m_view.moveView(start.translated(i % 60 < 30 ? step * (i % 30) : -step * (i % 30), step * (i % 7)));
      });
      m_view.setView(start);
      m_view.repaint();
      report("", "crosshair", [&](int i) {
        m_view.setCrosshair({static_cast<qint64>(start.center().y()) + i, i * 3});
      });
      m_view.setCrosshair({});
    }
    m_view.fitView();
    report("", "zoom",
           [&](int i) { m_view.zoom(i % 40 < 20 ? 1.25 : 0.8, QPointF(m_view.plotRect().center()) + QPointF(3, 40)); });
    std::printf("\n");
    std::fflush(stdout);
  }
  [[nodiscard]] double worstMedian() const { return m_worst; }

 private:
  template <class Change>
  void report(const char* zoom, const char* what, Change&& change) {
    std::vector<double> times;
    const int painted = m_paints.count;
    for (int i = 0; i < kFrames; ++i) {
      QElapsedTimer clock;
      clock.start();
      change(i);
      m_view.repaint();
      times.push_back(static_cast<double>(clock.nsecsElapsed()) / 1e6);
    }
    if (m_paints.count < painted + kFrames) {
      std::fprintf(stderr, "only %d of %d frames were painted\n", m_paints.count - painted, kFrames);
      std::exit(1);
    }
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    m_worst = std::max(m_worst, median);
    std::printf("  %s%s %.1f (%.1f)", zoom, what, median, times[times.size() * 95 / 100]);
  }

  PaintCounter m_paints;
  MatrixView m_view;
  double m_tokens;
  double m_worst = 0;
};

}  // namespace

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  const auto tokens = static_cast<std::int32_t>(argc > 1 ? std::atoi(argv[1]) : 32768);
  std::mt19937 random(1);
  const auto one = chunkMask(tokens, random);
  const auto other = chunkMask(tokens, random);
  const auto layer = [](std::shared_ptr<const KeyMask> mask) {
    return MatrixLayer{std::make_shared<MaskSource>(std::move(mask)), QStringLiteral("Mask"), {}};
  };
  std::printf("%d tokens; milliseconds a frame, median (95th percentile) of %d\n", tokens, kFrames);
  const MatrixLayer a = layer(one);
  const MatrixLayer b = layer(other);
  const MatrixLayer exact = layer(tokenMask(tokens, 64, random));
  const MatrixLayer dense{attention(tokens, one, random), QStringLiteral("Dense attention"),
                          QStringLiteral("probability")};
  double worst = 0;
  for (const QSize size : {QSize(820, 720), QSize(1400, 1000)}) {
    Bench bench(size, tokens);
    bench.measure("mask of chunks", a, {}, CompareMode::A);
    bench.measure("mask of tokens, 64 a row", exact, {}, CompareMode::A);
    bench.measure("dense attention", dense, {}, CompareMode::A);
    bench.measure("attention beside mask", dense, a, CompareMode::SideBySide);
    bench.measure("composite of two masks", a, b, CompareMode::Composite);
    bench.measure("difference of two masks", a, b, CompareMode::Difference);
    worst = std::max(worst, bench.worstMedian());
  }
  std::printf("slowest median: %.1f ms a frame\n", worst);
  return 0;
}
