// Masks as shapes, and what the PDF's second pass leaves.
#include <QImage>
#include <QPainter>
#include <QTest>
#include <cmath>
#include <set>

#include "core/analysis/pyramid.h"
#include "core/sparsity/key_mask.h"
#include "ui/figures/figure_drawing.h"
#include "ui/figures/figure_files.h"
#include "ui/plot/curve_style.h"

using namespace dhsa;

class TestFigures : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void everyMethodHasAColourAndAMarkerOfItsOwn() {
    std::vector<Method> methods = all_methods();
    methods.push_back(static_cast<Method>(methods.size()));  // one to come: in no table yet
    for (const bool dark : {false, true}) {
      const Ground ground{dark ? QColor(Qt::white) : QColor(Qt::black), dark};
      std::set<QRgb> colours;
      std::set<int> markers;
      for (const Method method : methods) {
        colours.insert(curveStyle(method, 0, ground).colour.rgb());
        markers.insert(curveStyle(method, 0, ground).marker);
      }
      QCOMPARE(colours.size(), methods.size());
      QCOMPARE(markers.size(), methods.size());
      QVERIFY(curveStyle(Method::kDense, 0, ground).colour == ground.ink);
    }
  }

  void settingsOfAMethodKeepItsHueAndDifferInMarker() {
    std::set<int> markers;
    for (int setting = 0; setting < kMarkers; ++setting) {
      const CurveStyle style = curveStyle(Method::kDhsa, setting, {});
      markers.insert(style.marker);
      QVERIFY(std::abs(style.colour.hsvHue() - curveStyle(Method::kDhsa, 0, {}).colour.hsvHue()) <= 2);
    }
    QCOMPARE(markers.size(), static_cast<std::size_t>(kMarkers));
  }

  void namesOfResultsStandForMethods() {
    for (const Preset& preset : presets()) QVERIFY(methodNamed(preset.name) == preset.parameters.method);
    for (const Method method : all_methods()) QVERIFY(methodNamed(name_of(method)) == method);
    QVERIFY(methodNamed("vertical-slash+budget=1024") == Method::kVerticalSlash);
    QVERIFY(!methodNamed("received"));
  }

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

  // Every kind of plot at every venue's widths, with large numbers, many methods and long names.
  void nothingIsCutAtAnyWidth_data() {
    QTest::addColumn<QString>("venue");
    QTest::addColumn<QString>("columns");
    for (const Venue& venue : venues()) {
      for (const char* columns : {"one", "full"}) {
        if (venue.column == 0 && columns[0] == 'o') continue;
        QTest::addRow("%s, %s", venue.key, columns) << QString::fromLatin1(venue.key) << QString::fromLatin1(columns);
      }
    }
  }
  void nothingIsCutAtAnyWidth() {
    QFETCH(QString, venue);
    QFETCH(QString, columns);
    constexpr std::int64_t kTokens = 13000;
    auto plan = std::make_shared<Plan>();
    KeyMask::Builder builder(fixed_groups(kTokens, 500), 1, 0);
    for (int group = 0; group < kTokens / 500; ++group) builder.add({{0, 700}});
    plan->mask = builder.finish();
    plan->trace.boundaries = {0, 5000, 5100, 9000, kTokens};
    const auto panel = [&](FigureKind what) {
      FigurePanelData data;
      data.panel.what = what;
      data.name = data.long_name = figure_kind(what).label;
      data.brief = figure_kind(what).brief;
      data.plan = plan;
      return data;
    };
    FigurePanelData mask = panel(FigureKind::kMask);
    mask.matrix = std::make_shared<MaskSource>(std::shared_ptr<const KeyMask>(plan, &plan->mask), 0);
    FigurePanelData strips = panel(FigureKind::kImportance);
    for (const char* name : {"received", "predicted", "retention"}) {
      FigureSeries series;
      series.name = name;
      for (std::int64_t i = 0; i < kTokens; ++i) series.y.push_back(name[0] == 'r' ? 1e-5 * double(1 + i % 99) : 12.5);
      strips.series.push_back(series);
    }
    FigurePanelData cells = panel(FigureKind::kHeadMass);
    for (int i = 0; i < 26; ++i) cells.cells.row_names.push_back(std::to_string(i));
    for (int i = 0; i < 8; ++i) cells.cells.column_names.push_back(std::to_string(i));
    cells.cells.values.assign(26 * 8, 0.98765);
    cells.cells.values[3] = std::nan("");
    cells.cells.local.assign(26, true);
    cells.cells.row_title = "layer";
    cells.cells.column_title = "query head";
    cells.value_title = "retained mass";
    FigurePanelData curves = panel(FigureKind::kLatency);
    curves.log_x = true;
    curves.x_title = "length (tokens)";
    curves.y_title = "prefill time (s)";
    for (const char* method : {"dense", "dhsa", "best", "oracle", "block-sparse", "vertical-slash", "window-sinks"}) {
      for (int budget = 256; budget <= 8192; budget *= 2) {
        FigureSeries series;
        series.method = method;
        series.setting = "budget " + std::to_string(budget);
        series.name = series.method + ", " + series.setting;
        series.x = {4096, 131072};
        series.y = {0.001 * budget, 12345};
        curves.series.push_back(series);
      }
    }
    FigurePanelData memory = curves;
    memory.panel.what = FigureKind::kMemory;
    memory.name = "Memory";
    for (const std::vector<FigurePanelData>& panels : std::vector<std::vector<FigurePanelData>>{
             {mask}, {mask, mask, mask, mask}, {strips}, {cells}, {curves}, {curves, memory}, {mask, cells, strips}}) {
      FigureSpec spec;
      spec.venue = venue.toStdString();
      spec.columns = columns.toStdString();
      spec.title = true;
      FigureData data{"A title, longer than most columns are wide: every panel has its own name", panels};
      for (const FigurePanelData& one : panels) spec.panels.push_back(one.panel);
      const QImage image = figureImage(data, spec, 2);
      for (int x = 0; x < image.width(); ++x)
        QVERIFY(image.pixel(x, 0) == 0xffffffff && image.pixel(x, image.height() - 1) == 0xffffffff);
      for (int y = 0; y < image.height(); ++y)
        QVERIFY(image.pixel(0, y) == 0xffffffff && image.pixel(image.width() - 1, y) == 0xffffffff);
      QVERIFY(image.height() <= std::ceil(2 * 72 * venue_of(spec).page_height));
      const std::string svg = figureSvg(data, spec, "{}");
      if (const QByteArray shot = qgetenv("DHSA_SHOT"); !shot.isEmpty()) image.save(QString::fromLocal8Bit(shot));
      QVERIFY2(svg.find("…") == std::string::npos, figure_kind(panels.front().panel.what).key);
    }
  }

  void axesHaveSeveralNumbersThatDoNotTouch() {
    FigureSpec spec;
    const FigureStyle style(spec);
    for (const double tokens : {8.0, 99.0, 3900.0, 4300.0, 7208.0, 16384.0, 131072.0}) {
      for (const double length : {60.0, 103.0, 240.0, 380.0}) {
        for (const bool upright : {false, true}) {
          const auto ticks = fittingTicks(style, 0, tokens, length, upright);
          QVERIFY2(ticks.size() > 1, qPrintable(QStringLiteral("%1 tokens on %2").arg(tokens).arg(length)));
          const double apart = (ticks[1] - ticks[0]) / tokens * length;
          QVERIFY(apart > (upright ? style.tickHeight : textWidth(style.tick, figureNumber(ticks.back()))));
          QVERIFY(ticks.size() < 12);
        }
      }
    }
  }

  void numbersReadWell() {
    using List = QStringList;
    QCOMPARE(figureNumbers({0, 0.005, 0.01}),
             (List{QStringLiteral("0"), QStringLiteral("0.005"), QStringLiteral("0.010")}));
    QCOMPARE(figureNumbers({0, 2000, 4000}),
             (List{QStringLiteral("0"), QStringLiteral("2000"), QStringLiteral("4000")}));
    QCOMPARE(figureNumbers({0, 0.2 * 100 + 1e-14, 100}),
             (List{QStringLiteral("0"), QStringLiteral("20"), QStringLiteral("100")}));
    QCOMPARE(figureNumbers({-0.5, 0.25}), (List{QChar(0x2212) + QStringLiteral("0.50"), QStringLiteral("0.25")}));

    QCOMPARE(figureNumber(0), QStringLiteral("0"));
    QCOMPARE(figureNumber(2000), QStringLiteral("2000"));
    QCOMPARE(figureNumber(16384), QStringLiteral("16") + QChar(0x2009) + QStringLiteral("384"));
    QCOMPARE(figureNumber(0.001), QStringLiteral("10^{") + QChar(0x2212) + QStringLiteral("3}"));
    QCOMPARE(figureNumber(-0.5), QChar(0x2212) + QStringLiteral("0.5"));
  }

  void aFileWithoutATableIsNotTakenForAPdf() {
    QVERIFY_EXCEPTION_THROWN((void)reproduciblePdf("%PDF-1.4", 1, 1), std::logic_error);
  }
};

QTEST_MAIN(TestFigures)
#include "tst_figures.moc"
