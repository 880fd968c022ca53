// What the matrix view paints, pixel by pixel, at the scale factor this process was started with; and what it answers
// to mouse, keyboard and screen readers.
#include <QAccessible>
#include <QSignalSpy>
#include <QTest>
#include <QWheelEvent>
#include <cmath>
#include <random>
#include <set>

#include "core/analysis/pyramid.h"
#include "ui/views/matrix_picture.h"
#include "ui/views/matrix_view.h"

using namespace dhsa;

namespace {

using Ranges = std::vector<KeyRange>;

std::shared_ptr<const KeyMask> maskOf(std::vector<std::int32_t> edges, const std::function<Ranges(std::int32_t)>& keys,
                                      std::int64_t window = 0) {
  KeyMask::Builder builder(edges, 1, window);
  for (std::size_t g = 0; g + 1 < edges.size(); ++g) builder.add(keys(edges[g]));
  return std::make_shared<const KeyMask>(builder.finish());
}

std::vector<std::int32_t> edgesOf(std::int32_t tokens, std::int32_t step, const std::set<std::int32_t>& single = {}) {
  std::set<std::int32_t> edges(single.begin(), single.end());
  for (const std::int32_t row : single) edges.insert(row + 1);
  for (std::int32_t row = 0; row < tokens; row += step) edges.insert(row);
  edges.insert(tokens);
  return {edges.begin(), edges.end()};
}

// Kept cells besides the diagonal, and the mask that keeps nothing else.
struct Pattern {
  std::shared_ptr<const KeyMask> mask;
  std::shared_ptr<const KeyMask> without;  // the diagonal alone
  std::vector<MatrixCell> cells;           // to be found on the picture
};

Pattern isolatedCells(std::int32_t tokens, int count) {
  std::mt19937 random(11);
  std::map<std::int32_t, std::int32_t> key;  // of each chosen row; far from the diagonal, which is kept everywhere
  const std::int32_t far = tokens / 32;
  while (static_cast<int>(key.size()) < count) {
    const auto row = far + 1 + static_cast<std::int32_t>(random() % static_cast<unsigned>(tokens - far - 1));
    key[row] = static_cast<std::int32_t>(random() % static_cast<unsigned>(row - far));
  }
  std::set<std::int32_t> rows;
  Pattern pattern;
  for (const auto& [row, at] : key) {
    rows.insert(row);
    pattern.cells.push_back({row, at});
  }
  const auto edges = edgesOf(tokens, 16, rows);
  pattern.without = maskOf(edges, [](std::int32_t) { return Ranges{}; });
  pattern.mask = maskOf(edges, [&](std::int32_t row) {
    const auto found = key.find(row);
    return found == key.end() ? Ranges{} : Ranges{{found->second, found->second + 1}};
  });
  return pattern;
}

// `count` lines one token wide: keys that every row keeps, or rows that keep every key.
Pattern oneTokenLines(std::int32_t tokens, int count, bool ofKeys) {
  std::mt19937 random(12);
  const std::int32_t far = tokens / 32;
  std::set<std::int32_t> lines;
  while (static_cast<int>(lines.size()) < count)
    lines.insert(2 * far + static_cast<std::int32_t>(random() % static_cast<unsigned>(tokens - 4 * far)));
  const auto edges = edgesOf(tokens, 16, ofKeys ? std::set<std::int32_t>{} : lines);
  Pattern pattern;
  pattern.without = maskOf(edges, [](std::int32_t) { return Ranges{}; });
  pattern.mask = maskOf(edges, [&](std::int32_t row) {
    Ranges ranges;
    if (!ofKeys && lines.contains(row)) ranges.push_back({0, row});
    if (ofKeys)
      for (const std::int32_t key : lines) ranges.push_back({key, key + 1});
    return ranges;
  });
  // Twenty places along each line.
  for (const std::int32_t line : lines)
    for (int i = 0; i < 20; ++i) {
      if (ofKeys)
        pattern.cells.push_back({line + far + (tokens - line - far - 1) * i / 20, line});
      else
        pattern.cells.push_back({line, (line - far) * i / 20});
    }
  return pattern;
}

MatrixLayer layerOf(std::shared_ptr<const KeyMask> mask) {
  return {std::make_shared<MaskSource>(std::move(mask)), QStringLiteral("Mask"), {}};
}

// The device pixel of a picture of the whole widget in which a cell has to show.
QPoint pixelOf(const MatrixView& view, MatrixCell cell) {
  const QPointF centre = view.cellRect(cell).center() * view.devicePixelRatioF();
  // A cell whose centre is on the edge of two pixels belongs to the first.
  return {static_cast<int>(std::ceil(centre.x() - 1e-6)) - 1, static_cast<int>(std::ceil(centre.y() - 1e-6)) - 1};
}

bool shows(const MatrixView& view, MatrixCell cell) {
  const QRectF area = view.view();
  return area.contains(QPointF(static_cast<double>(cell.key) + 0.5, static_cast<double>(cell.row) + 0.5));
}

void prepare(MatrixView& view, QSize size = {713, 617}) {
  view.resize(size);
  view.setMinimapVisible(false);
  view.show();
}

std::shared_ptr<const KeyMask> randomMask(std::int32_t tokens, std::int64_t window, unsigned seed) {
  std::mt19937 random(seed);
  return maskOf(
      edgesOf(tokens, 13),
      [&](std::int32_t row) {
        Ranges ranges;
        for (auto r = random() % 6; r > 0; --r) {
          const auto begin = static_cast<std::int32_t>(random() % static_cast<unsigned>(row + 13));
          ranges.push_back({begin, begin + 1 + static_cast<std::int32_t>(random() % 9)});
        }
        return ranges;
      },
      window);
}

}  // namespace

class TestMatrixView : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void noKeptCellDisappears_data() {
    QTest::addColumn<int>("tokens");
    QTest::addColumn<int>("pattern");
    for (const int tokens : {4096, 32768}) {
      QTest::addRow("300 cells, %d", tokens) << tokens << 0;
      QTest::addRow("100 keys, %d", tokens) << tokens << 1;
      QTest::addRow("100 rows, %d", tokens) << tokens << 2;
    }
  }
  void noKeptCellDisappears() {
    QFETCH(const int, tokens);
    QFETCH(const int, pattern);
    const Pattern made = pattern == 0 ? isolatedCells(tokens, 300) : oneTokenLines(tokens, 100, pattern == 1);
    MatrixView with;
    MatrixView without;
    prepare(with);
    prepare(without);
    with.setLayers(layerOf(made.mask));
    without.setLayers(layerOf(made.without));
    const auto whole = static_cast<double>(tokens);
    std::mt19937 random(5);
    int seen = 0;
    for (const double zoom : {1.0, 1.31, 2.0, 3.7, 8.0, 41.0}) {
      const double size = whole / zoom;
      // Where the pattern is: below the diagonal.
      const double row = zoom == 1.0 ? 0.0 : whole - size * 1.03;
      const double key = zoom == 1.0 ? 0.0 : size * 0.11 + static_cast<double>(random() % 7) / 3;
      for (MatrixView* view : {&with, &without}) view->setView(QRectF(key, row, size, size));
      const QImage painted = with.grab().toImage();
      const QImage empty = without.grab().toImage();
      QCOMPARE(painted.devicePixelRatio(), with.devicePixelRatioF());
      std::set<QRgb> kept;
      for (const MatrixCell cell : made.cells) {
        if (!shows(with, cell)) continue;
        const QPoint at = pixelOf(with, cell);
        QVERIFY2(painted.pixel(at) != empty.pixel(at),
                 qPrintable(QStringLiteral("query %1, key %2 at zoom %3: pixel %4, %5 %6")
                                .arg(cell.row)
                                .arg(cell.key)
                                .arg(zoom)
                                .arg(at.x())
                                .arg(at.y())
                                .arg(painted.pixel(at), 0, 16)));
        kept.insert(painted.pixel(at));
        ++seen;
      }
      QVERIFY2(kept.size() <= 1, "kept cells have one colour");
    }
    QVERIFY(seen > static_cast<int>(made.cells.size()));
  }

  // A child at an odd position lies between device pixels at fractional scale factors.
  void thePictureIsTheSameInsideAWindow() {
    const Pattern made = isolatedCells(4096, 300);
    QWidget window;
    window.resize(760, 660);
    auto* view = new MatrixView(&window);
    view->setMinimapVisible(false);
    view->setGeometry(7, 11, 713, 617);
    view->setLayers(layerOf(made.mask));
    window.show();
    const QImage alone = view->grab().toImage();
    const QImage all = window.grab().toImage();
    const double ratio = view->devicePixelRatioF();
    const QRectF plot = view->plotRect();
    const QRect part(
        QPoint(static_cast<int>(std::lround(plot.left() * ratio)), static_cast<int>(std::lround(plot.top() * ratio))),
        QSize(static_cast<int>(std::lround(plot.width() * ratio)),
              static_cast<int>(std::lround(plot.height() * ratio))));
    bool same = false;
    for (const int dx : {0, 1})
      for (const int dy : {0, 1})
        same |= all.copy(part.translated(static_cast<int>(7 * ratio) + dx, static_cast<int>(11 * ratio) + dy)) ==
                alone.copy(part);
    QVERIFY(same);
  }

  // Words in place of numbers once each has room; whoever sees all tokens sees numbers.
  void axesSayTheWordsOfWideCells() {
    MatrixView view;
    view.setLayers(layerOf(randomMask(300, 0, 3)), {});
    std::set<qint64> asked;
    view.setTokenText([&asked](qint64 token) {
      asked.insert(token);
      return QStringLiteral("w%1").arg(token);
    });
    prepare(view);
    static_cast<void>(view.grab());
    QVERIFY(asked.empty());
    view.setView(QRectF(40, 80, 12, 12));
    QTRY_VERIFY(view.isAtRest());
    const QImage words = view.grab().toImage();
    for (qint64 i = 0; i < 12; ++i) QVERIFY(asked.contains(40 + i) && asked.contains(80 + i));
    view.setTokenText([](qint64) { return QString(); });
    QVERIFY(view.grab().toImage() != words);
  }

  // Kept is not the colour of a large value.
  void aMaskHasColoursOfItsOwn() {
    constexpr std::int32_t kTokens = 64;
    const std::vector<std::int32_t> whole = {0, kTokens};
    const std::vector<float> score = {0.5F};
    const MatrixLayer scores = {
        std::make_shared<ScoreSource>(score, whole, whole, false), QStringLiteral("Scores"), {}};
    const MatrixLayer mask = layerOf(maskOf(edgesOf(kTokens, 16, {}), [](std::int32_t) { return Ranges{{0, 8}}; }));
    const ViewTheme theme = ViewTheme::of(QPalette(Qt::white));
    const QRgb kept = ColourMap(ColourMapId::Mask).at(1);
    const QRgb dropped = ColourMap(ColourMapId::Mask).at(0);
    MatrixPicture picture;
    const auto paint = [&](CompareMode mode) {
      picture.sample({0, kTokens, 0, kTokens}, {kTokens, kTokens}, 0, mode);
      picture.paint({}, Reducer::kMax, mode, theme);
    };
    picture.setLayers(scores, mask);
    paint(CompareMode::SideBySide);
    QVERIFY(picture.hasMaskBesideValues(CompareMode::SideBySide));
    QCOMPARE(picture.image(1).pixel(3, 40), kept);
    QCOMPARE(picture.image(1).pixel(20, 40), dropped);
    QVERIFY(picture.image(0).pixel(3, 40) != kept && picture.map().at(1) != kept);
    picture.setLayers(mask, mask);
    paint(CompareMode::A);
    QCOMPARE(picture.image(0).pixel(3, 40), kept);
    QCOMPARE(picture.map().at(0), dropped);  // as the legend draws it
    QVERIFY(!picture.hasMaskBesideValues(CompareMode::A));
  }

  void theDifferenceOfMasksIsMadeOfPairs_data() {
    QTest::addColumn<qint64>("window");  // of B; A has none
    QTest::addRow("one window") << qint64{0};
    QTest::addRow("two windows") << qint64{90};
  }
  void theDifferenceOfMasksIsMadeOfPairs() {
    QFETCH(const qint64, window);
    constexpr std::int32_t kTokens = 300;
    const auto a = randomMask(kTokens, 0, 1);
    const auto b = randomMask(kTokens, window, 2);
    const ViewTheme theme = ViewTheme::of(QPalette(Qt::white));
    MatrixPicture picture;
    picture.setLayers(layerOf(a), layerOf(b));
    const auto keys = MatrixPicture::compositeKeys(theme);
    for (const int cellsPerPixel : {1, 4, 10}) {
      const int pixels = kTokens / cellsPerPixel;
      const Viewport whole{0, kTokens, 0, kTokens};
      picture.sample(whole, {pixels, pixels}, 0, CompareMode::Composite);
      picture.paint({}, Reducer::kMax, CompareMode::Composite, theme);
      const QImage composite = picture.image(0);
      picture.sample(whole, {pixels, pixels}, 0, CompareMode::Difference);
      picture.paint({}, Reducer::kMax, CompareMode::Difference, theme);
      const QImage difference = picture.image(0);
      const QRgb none = QColor::fromRgb(picture.map().at(picture.scale().position(0.0))).rgb();
      for (int y = 0; y < pixels; ++y) {
        for (int x = 0; x < pixels; ++x) {
          int both = 0;
          int only_a = 0;
          int only_b = 0;
          bool causal = false;
          for (int row = y * cellsPerPixel; row < (y + 1) * cellsPerPixel; ++row)
            for (int key = x * cellsPerPixel; key < (x + 1) * cellsPerPixel; ++key) {
              if (key > row) continue;
              causal = true;
              const bool in_a = a->kept(0, row, key);
              const bool in_b = b->kept(0, row, key);
              both += in_a && in_b ? 1 : 0;
              only_a += in_a && !in_b ? 1 : 0;
              only_b += in_b && !in_a ? 1 : 0;
            }
          if (!causal) {
            QCOMPARE(qAlpha(composite.pixel(x, y)), 0);
            continue;
          }
          const int category = only_a > 0 && only_b > 0 ? 3 : only_a > 0 ? 1 : only_b > 0 ? 2 : both > 0 ? 0 : -1;
          const QColor expected = category < 0 ? QColor(Qt::white) : keys[static_cast<std::size_t>(category)].colour;
          const QColor stroke = mixed(expected, Qt::white, 0.45);
          const QRgb got = composite.pixel(x, y) | 0xff000000U;
          QVERIFY2(got == expected.rgb() || got == stroke.rgb(),
                   qPrintable(QStringLiteral("row %1 key %2: category %3").arg(y).arg(x).arg(category)));
          QCOMPARE((difference.pixel(x, y) | 0xff000000U) == none, only_a == 0 && only_b == 0);
        }
      }
    }
  }

  // Masks of many ranges are compared off the window's thread, and come out the same.
  void manyRangesAreComparedInTheEnd() {
    constexpr std::int32_t kTokens = 900;
    const auto lines = [](std::int32_t from) {
      return maskOf(edgesOf(kTokens, 1), [from](std::int32_t row) {
        Ranges ranges;
        for (std::int32_t key = from; key <= row; key += 4) ranges.push_back({key, key + 1});
        return ranges;
      });
    };
    const auto a = lines(0);
    const auto b = lines(1);
    QVERIFY(a->all_ranges().size() + b->all_ranges().size() > 200'000);
    MatrixPicture picture;
    picture.setLayers(layerOf(a), layerOf(b));
    const Viewport whole{0, kTokens, 0, kTokens};
    const QSize size(90, 90);
    picture.sample(whole, size, 0, CompareMode::Composite);
    QVERIFY(!picture.compositeOfMasks());
    QVERIFY(picture.refines(whole, size, CompareMode::Composite));
    picture.takeRefined(MatrixPicture::refined(picture.sources(), whole, size, 0, CompareMode::Composite, nullptr),
                        CompareMode::Composite);
    QVERIFY(picture.compositeOfMasks());
    QVERIFY(!picture.refines(whole, size, CompareMode::Composite));
    const ViewTheme theme = ViewTheme::of(QPalette(Qt::white));
    picture.paint({}, Reducer::kMax, CompareMode::Composite, theme);
    // Every pixel below the diagonal holds pairs of A alone and of B alone.
    const QColor expected = MatrixPicture::compositeKeys(theme)[3].colour;
    const QRgb got = picture.image(0).pixel(10, 70) | 0xff000000U;
    QVERIFY(got == expected.rgb() || got == mixed(expected, Qt::white, 0.45).rgb());
  }

  void theCellUnderThePointerStaysUnderItAtEveryZoom() {
    MatrixView view;
    prepare(view);
    view.setLayers(layerOf(isolatedCells(32768, 10).mask));
    const QPointF pointer = view.plotRect().topLeft() + QPointF(137.3, 251.8);
    const auto cell = view.cellAt(pointer);
    QVERIFY(cell.has_value());
    for (int step = 0; step < 40; ++step) {
      view.zoom(step < 30 ? 1.4 : 1 / 1.7, pointer);
      const auto now = view.cellAt(pointer);
      QVERIFY(now.has_value());
      // Half a pixel at the start is some cells.
      QVERIFY(std::abs(now->row - cell->row) <= 1 && std::abs(now->key - cell->key) <= 1);
      QVERIFY(view.cellRect(*now).adjusted(-1e-6, -1e-6, 1e-6, 1e-6).contains(pointer));
    }
  }

  void theValueReadOutIsThatOfTheCellNotOfThePixel() {
    const Pattern made = isolatedCells(32768, 300);
    MatrixView view;
    prepare(view);
    view.setLayers(layerOf(made.mask));
    view.grab();
    QVERIFY(view.reducerText().contains(QStringLiteral("pairs")));
    const MatrixCell kept = made.cells[100];
    QVERIFY(view.describe(kept).contains(QStringLiteral("kept")));
    QVERIFY(view.describe({kept.row, kept.key + 1}).contains(QStringLiteral("dropped")));
    QVERIFY(view.describe({kept.row, kept.row + 1}).contains(QStringLiteral("not causal")));
  }

  void theCellIsSpoken() {
    const Pattern made = isolatedCells(4096, 300);
    MatrixView view;
    prepare(view);
    view.setLayers(layerOf(made.mask));
    view.setTokenText([](qint64 token) { return QStringLiteral("word%1").arg(token); });
    QAccessibleInterface* spoken = QAccessible::queryAccessibleInterface(&view);
    QVERIFY(spoken != nullptr);
    QVERIFY(!spoken->text(QAccessible::Name).isEmpty());
    view.setCrosshair(made.cells[7]);
    for (const auto kind : {QAccessible::Value, QAccessible::Description}) {
      const QString text = spoken->text(kind);
      QVERIFY2(text.contains(QStringLiteral("word%1").arg(made.cells[7].row)), qPrintable(text));
      QVERIFY2(text.contains(QStringLiteral("word%1").arg(made.cells[7].key)), qPrintable(text));
      QVERIFY2(text.contains(QStringLiteral("kept")), qPrintable(text));
    }
  }

  void mouse() {
    MatrixView view;
    prepare(view);
    view.setLayers(layerOf(isolatedCells(4096, 300).mask));
    QSignalSpy rows(&view, &MatrixView::rowSelected);
    QSignalSpy keys(&view, &MatrixView::keyRangeSelected);
    QSignalSpy views(&view, &MatrixView::viewChanged);
    const QPoint at = view.cellRect({3000, 1000}).center().toPoint();
    const MatrixCell hit = *view.cellAt(at);
    QTest::mouseClick(&view, Qt::LeftButton, {}, at);
    QCOMPARE(rows.count(), 1);
    QCOMPARE(rows.front().front().toLongLong(), hit.row);
    QCOMPARE(views.count(), 0);

    // Shift and drag: a range of keys.
    QTest::mousePress(&view, Qt::LeftButton, Qt::ShiftModifier, at);
    QTest::mouseMove(&view, at + QPoint(40, 10));
    QTest::mouseRelease(&view, Qt::LeftButton, Qt::ShiftModifier, at + QPoint(40, 10));
    QCOMPARE(view.selectedKeys().begin, hit.key);
    QCOMPARE(view.selectedKeys().end, view.cellAt(at + QPoint(40, 10))->key + 1);
    QVERIFY(keys.count() >= 1);

    // The wheel zooms about the pointer, a drag moves what is under it, a double click shows all.
    QWheelEvent wheel(QPointF(at), view.mapToGlobal(QPointF(at)), {}, {0, 480}, Qt::NoButton, Qt::NoModifier,
                      Qt::NoScrollPhase, false);
    QCoreApplication::sendEvent(&view, &wheel);
    QVERIFY(view.view().width() < 4096 / 2.0);
    const MatrixCell before = *view.cellAt(at);
    QVERIFY(std::abs(before.key - hit.key) <= 4 && std::abs(before.row - hit.row) <= 4);
    QTest::mousePress(&view, Qt::LeftButton, {}, at);
    QTest::mouseMove(&view, at + QPoint(30, -20));
    QTest::mouseRelease(&view, Qt::LeftButton, {}, at + QPoint(30, -20));
    const MatrixCell after = *view.cellAt(at + QPoint(30, -20));
    QVERIFY(std::abs(after.key - before.key) <= 1 && std::abs(after.row - before.row) <= 1);
    QCOMPARE(rows.count(), 1);  // moving selects nothing
    QTest::mouseDClick(&view, Qt::LeftButton, {}, at);
    QCOMPARE(view.view(), QRectF(0, 0, 4096, 4096));
  }

  void keyboard() {
    MatrixView view;
    prepare(view);
    view.setLayers(layerOf(isolatedCells(4096, 300).mask));
    QSignalSpy hovered(&view, &MatrixView::hovered);
    QTest::keyClick(&view, Qt::Key_Down);  // appears in the middle
    const MatrixCell start = view.cursor();
    QCOMPARE(start, (MatrixCell{2048, 2048}));
    QTest::keyClick(&view, Qt::Key_Left);
    QTest::keyClick(&view, Qt::Key_Down);
    QCOMPARE(view.cursor(), (MatrixCell{2049, 2047}));
    QCOMPARE(view.crosshair(), view.cursor());
    QCOMPARE(view.selectedRow(), 2049);
    QTest::keyClick(&view, Qt::Key_Left, Qt::ShiftModifier);
    QTest::keyClick(&view, Qt::Key_Left, Qt::ShiftModifier);
    QCOMPARE(view.selectedKeys(), (KeySpan{2045, 2048}));
    for (int i = 0; i < 20; ++i) QTest::keyClick(&view, Qt::Key_Plus);
    QVERIFY(view.view().width() < 100);
    QVERIFY(view.view().contains(QPointF(2045.5, 2049.5)));
    // The view follows the cursor.
    for (int i = 0; i < 150; ++i) QTest::keyClick(&view, Qt::Key_Up);
    QVERIFY(view.view().contains(
        QPointF(static_cast<double>(view.cursor().key) + 0.5, static_cast<double>(view.cursor().row) + 0.5)));
    QTest::keyClick(&view, Qt::Key_Home);
    QCOMPARE(view.view(), QRectF(0, 0, 4096, 4096));
    QTest::keyClick(&view, Qt::Key_Escape);
    QVERIFY(view.selectedKeys().empty());
    QTest::keyClick(&view, Qt::Key_Escape);
    QCOMPARE(view.selectedRow(), -1);
    QVERIFY(hovered.count() > 100);
  }
};

QTEST_MAIN(TestMatrixView)
#include "tst_matrix_view.moc"
