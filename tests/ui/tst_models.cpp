// Item models against Qt's own tester, while their data changes.
#include <QAbstractItemModelTester>
#include <QTest>

#include "tests/ui/window_under_test.h"
#include "ui/models/chunk_model.h"
#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/models/run_model.h"

using namespace dhsa;

class TestModels : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void runModelFollowsTheList() {
    RunList runs;
    RunModel model(&runs);
    const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    Run sparse;
    sparse.label = QStringLiteral("DHSA 1024");
    sparse.input.documentSha = QStringLiteral("x");
    sparse.input.tokens = 100;
    sparse.seconds = 2;
    const int id = runs.add(sparse);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.index(0, RunModel::kSpeed).data().toString(), QStringLiteral("–"));
    Run dense = sparse;
    dense.parameters.method = Method::kDense;
    dense.seconds = 5;
    runs.add(dense);
    QVERIFY(model.index(0, RunModel::kSpeed).data().toString().startsWith(QLocale().toString(2.5, 'f', 2)));
    QVERIFY(model.setData(model.index(0, RunModel::kLabel), QStringLiteral("mine")));
    QCOMPARE(runs.find(id)->label, QStringLiteral("mine"));
    QVERIFY(!model.setData(model.index(0, RunModel::kLabel), QStringLiteral("  ")));
    QVERIFY(model.setData(model.index(0, RunModel::kLabel), Qt::Checked, Qt::CheckStateRole));
    QCOMPARE(runs.pinned()->id, id);
    runs.setLogits(id, {0.25, 0.9, 10});
    QCOMPARE(model.index(0, RunModel::kSameTop).data().toString(), formatPercent(0.9));
    runs.remove(id);
    QCOMPARE(model.rowCount(), 1);
  }

  void numbersOfSomeRowsAreMarked() {
    RunList runs;
    const RunModel model(&runs);
    Run run;
    MaskMetrics metrics;
    metrics.values.set("retained_mass", 0.5);
    run.metrics = {metrics, metrics};
    run.rowSteps = {1, 1};
    RunTrace trace;
    // Of all layers together: a local layer has few pairs.
    trace.summaries.resize(2);
    trace.summaries[0].kept_pairs = 100;
    trace.summaries[0].causal_pairs = 100;
    trace.summaries[1].kept_pairs = 100;
    trace.summaries[1].causal_pairs = 900;
    run.trace = std::make_shared<const RunTrace>(trace);
    const int exact = runs.add(run);
    run.rowSteps = {1, 7};
    runs.add(run);
    QCOMPARE(model.index(0, RunModel::kRetained).data().toString(), formatPercent(0.5));
    QCOMPARE(model.index(1, RunModel::kRetained).data().toString(), QStringLiteral("≈ ") + formatPercent(0.5));
    QCOMPARE(model.index(1, RunModel::kDensity).data().toString(), formatPercent(0.2));
    const QStringList lines = runs.csv().split(QStringLiteral("\r\n"));
    QVERIFY(lines[0].endsWith(QStringLiteral(",sampled")));
    QVERIFY(lines[1].endsWith(u",0") && lines[2].endsWith(u",1"));
    runs.setMetrics(exact, 0, metrics, 3);
    QVERIFY(model.index(0, RunModel::kRetained).data().toString().startsWith(u'≈'));
  }

  void chunkAndLayerModelsFollowARun() {
    WindowUnderTest window(400);
    ChunkModel chunks;
    const QAbstractItemModelTester chunkTester(&chunks, QAbstractItemModelTester::FailureReportingMode::QtTest);
    LayerModel layers(window.explorer());
    const QAbstractItemModelTester layerTester(&layers, QAbstractItemModelTester::FailureReportingMode::QtTest);
    QCOMPARE(layers.rowCount(), 0);
    QVERIFY(window.startAndSettle());
    const Explorer* explorer = window.explorer();

    QCOMPARE(layers.rowCount(), explorer->whatIf()->layers());
    QCOMPARE(layers.rowCount(layers.index(2, 0)), explorer->session()->heads());
    const auto layer = explorer->whatIf()->layer(2);
    QCOMPARE(layers.index(2, LayerModel::kRetained).data().toString(),
             formatPercent(layer->metrics->value("retained_mass")));
    QCOMPARE(layers.index(1, LayerModel::kRetained, layers.index(2, 0)).data().toString(),
             formatPercent(layer->metrics->heads[1].value("retained_mass")));
    QCOMPARE(layers.tabSeparated().count(u'\n'), explorer->whatIf()->layers() + 1);

    chunks.setLayer(explorer->session()->document(), layer);
    const auto& boundaries = layer->plan->trace.boundaries;
    QCOMPARE(chunks.rowCount(), static_cast<int>(boundaries.size()) - 1);
    int length = 0;
    for (int row = 0; row < chunks.rowCount(); ++row) {
      length += chunks.index(row, ChunkModel::kLength).data().toInt();
      QCOMPARE(chunks.rowOf(chunks.beginOf(row)), row);
      QCOMPARE(chunks.rowOf(chunks.endOf(row) - 1), row);
    }
    QCOMPARE(length, static_cast<int>(explorer->session()->document()->tokens()));
    chunks.setLayer(explorer->session()->document(), nullptr);
    QCOMPARE(chunks.rowCount(), 0);
  }

  void numbersReadWell() {
    QCOMPARE(formatBytes(512), QStringLiteral("512 B"));
    QCOMPARE(formatBytes(qint64{5} << 30), QStringLiteral("%1 GiB").arg(QLocale().toString(5.0, 'f', 2)));
    QCOMPARE(formatSeconds(0.0824), QStringLiteral("82 ms"));
    QCOMPARE(formatSeconds(125), QStringLiteral("2 min 05 s"));
    QCOMPARE(formatPercent(std::nan("")), QStringLiteral("–"));
  }
};

QTEST_MAIN(TestModels)
#include "tst_models.moc"
