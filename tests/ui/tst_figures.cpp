// Masks as shapes, and what the PDF's second pass leaves.
#include <QImage>
#include <QPainter>
#include <QTest>

#include "core/sparsity/key_mask.h"
#include "ui/figures/figure_drawing.h"
#include "ui/figures/figure_files.h"

using namespace dhsa;

class TestFigures : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  // Every cell of the matrix is coloured as the mask says, with and without a window, whole and in part.
  void shapesCoverExactlyTheKeptCells_data() {
    QTest::addColumn<int>("window");
    QTest::addColumn<int>("first");
    QTest::newRow("global") << 0 << 0;
    QTest::newRow("local") << 9 << 0;
    QTest::newRow("part") << 0 << 13;
    QTest::newRow("part of local") << 9 << 13;
  }
  void shapesCoverExactlyTheKeptCells() {
    QFETCH(int, window);
    QFETCH(int, first);
    constexpr int kTokens = 60;
    KeyMask::Builder builder(fixed_groups(kTokens, 7), 1, window);
    unsigned state = 3;
    const auto random = [&](unsigned below) {
      state = state * 1664525U + 1013904223U;
      return static_cast<std::int32_t>((state >> 16U) % below);
    };
    for (int group = 0; group < (kTokens + 6) / 7; ++group) {
      std::vector<KeyRange> ranges = {{0, 3}};
      for (int r = 0; r < 3; ++r) {
        const std::int32_t begin = random(kTokens);
        ranges.push_back({begin, std::min(begin + 1 + random(6), kTokens)});
      }
      builder.add(ranges);
    }
    const KeyMask mask = builder.finish();
    constexpr int kPixels = 8;  // of a cell
    const int cells = kTokens - first;
    const Viewport view{static_cast<double>(first), kTokens, 0, static_cast<double>(cells)};
    const QRectF plot(0, 0, cells * kPixels, cells * kPixels);
    int shapes = 0;
    const QPainterPath kept = maskPath(mask, 0, view, plot, 0, 10000, shapes);
    const QPainterPath causal = causalPath(window, view, plot, 0, kTokens);
    QVERIFY(shapes > 0 && shapes <= static_cast<int>(mask.all_ranges().size()));
    QImage image(cells * kPixels, cells * kPixels, QImage::Format_RGB32);
    image.fill(Qt::white);
    {
      QPainter painter(&image);
      painter.fillPath(causal, QColor(100, 100, 100));
      painter.fillPath(kept, Qt::black);
    }
    for (int row = first; row < kTokens; ++row) {
      for (int key = 0; key < cells; ++key) {
        const int shown = qRed(image.pixel(key * kPixels + kPixels / 2, (row - first) * kPixels + kPixels / 2));
        const bool visible = key <= row && key >= mask.first_visible(row);
        const int expected = mask.kept(0, row, key) ? 0 : visible ? 100 : 255;
        if (shown != expected) qWarning("row %d key %d", row, key);
        QCOMPARE(shown, expected);
      }
    }
    QVERIFY(maskPath(mask, 0, view, plot, 0, 3, shapes).isEmpty());
  }

  // Rows thinner than a quarter of a point have slanted edges; the area is that of the kept cells all the same.
  void thinRowsKeepTheirArea() {
    constexpr int kTokens = 2000;
    KeyMask::Builder builder(fixed_groups(kTokens, 100), 1, 0);
    for (int group = 0; group < kTokens / 100; ++group) builder.add({{0, 50}});
    const KeyMask mask = builder.finish();
    int shapes = 0;
    const QRectF plot(0, 0, 200, 200);
    const QPainterPath path = maskPath(mask, 0, {0, kTokens, 0, kTokens}, plot, 0, 10000, shapes);
    double area = 0;
    for (const QPolygonF& polygon : path.toSubpathPolygons()) {
      double twice = 0;
      for (qsizetype i = 0; i < polygon.size(); ++i) {
        const QPointF a = polygon[i];
        const QPointF b = polygon[(i + 1) % polygon.size()];
        twice += a.x() * b.y() - b.x() * a.y();
      }
      area += std::abs(twice) / 2;
    }
    const double cell = 200.0 / kTokens;
    const double expected = static_cast<double>(mask.kept_pairs()) * cell * cell;
    QVERIFY2(std::abs(area - expected) < 0.002 * expected, qPrintable(QString::number(area / expected)));
  }

  void numbersReadWell() {
    QCOMPARE(figureNumber(0), QStringLiteral("0"));
    QCOMPARE(figureNumber(2000), QStringLiteral("2000"));
    QCOMPARE(figureNumber(16384), QStringLiteral("16") + QChar(0x2009) + QStringLiteral("384"));
    QCOMPARE(figureNumber(0.001), QStringLiteral("10^{") + QChar(0x2212) + QStringLiteral("3}"));
    QCOMPARE(figureNumber(-0.5), QChar(0x2212) + QStringLiteral("0.5"));
  }

  void aFileWithoutATableIsNotTakenForAPdf() {
    QVERIFY_EXCEPTION_THROWN((void)settledPdf("%PDF-1.4", 1, 1), std::logic_error);
  }
};

QTEST_MAIN(TestFigures)
#include "tst_figures.moc"
