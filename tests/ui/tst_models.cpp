// Item models against Qt's own tester, while their data changes.
#include <QAbstractItemModelTester>
#include <QTest>
#include <set>

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
    sparse.result.seconds = 2;
    const int id = runs.add(sparse);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.index(0, RunModel::kSpeed).data().toString(), QStringLiteral("–"));
    Run dense = sparse;
    dense.parameters.method = Method::kDense;
    dense.result.seconds = 5;
    runs.add(dense);
    QVERIFY(model.index(0, RunModel::kSpeed).data().toString().startsWith(QLocale().toString(2.5, 'f', 2)));
    QVERIFY(model.setData(model.index(0, RunModel::kLabel), QStringLiteral("mine")));
    QCOMPARE(runs.find(id)->label, QStringLiteral("mine"));
    QVERIFY(!model.setData(model.index(0, RunModel::kLabel), QStringLiteral("  ")));
    QVERIFY(model.setData(model.index(0, RunModel::kLabel), Qt::Checked, Qt::CheckStateRole));
    QCOMPARE(runs.pinned()->id, id);
    LogitCloseness logits;
    logits.same_top.value = 0.9;
    runs.setLogits(id, logits);
    QCOMPARE(model.index(0, RunModel::columnOf("same_top")).data().toString(), formatPercent(0.9));
    runs.remove(id);
    QCOMPARE(model.rowCount(), 1);
  }

  // Whatever is measured of a run and is no part of another measure has a column, with its name and help.
  void runsHaveAColumnForEveryMeasure() {
    RunList runs;
    const RunModel model(&runs);
    for (const Measure& measure : measures()) {
      const int column = RunModel::columnOf(measure.key);
      QCOMPARE(column >= 0, !measure.part);
      if (column < 0) continue;
      QCOMPARE(model.headerData(column, Qt::Horizontal, Qt::DisplayRole).toString(), measureHeading(measure));
      QCOMPARE(model.headerData(column, Qt::Horizontal, Qt::ToolTipRole).toString(), measureHelp(measure));
    }
    const std::vector<int> leaving = RunModel::leaving();
    QCOMPARE(std::set<int>(leaving.begin(), leaving.end()).size(), leaving.size());
    for (const int column : leaving) QVERIFY(column > RunModel::kLabel && column < model.columnCount());
  }

  void numbersOfSomeRowsAreMarked() {
    RunList runs;
    const RunModel model(&runs);
    const int mass = RunModel::columnOf("retained_mass");
    Run run;
    MaskMetrics exact;
    exact.values.set("retained_mass", 0.5);
    run.result.metrics = {exact, exact};
    // Of all layers together: a local layer has few pairs.
    run.result.trace.summaries.resize(2);
    run.result.trace.summaries[0].kept_pairs = 100;
    run.result.trace.summaries[0].causal_pairs = 100;
    run.result.trace.summaries[1].kept_pairs = 100;
    run.result.trace.summaries[1].causal_pairs = 900;
    const int id = runs.add(run);
    Measured some;
    some.value = 0.5;
    some.row_step = 7;
    some.rows = 20;
    some.standard_error = 0.04;
    MaskMetrics sampled;
    sampled.values.set("retained_mass", some);
    run.result.metrics[1] = sampled;
    runs.add(run);
    QCOMPARE(model.index(0, mass).data().toString(), formatPercent(0.5));
    // Half of the error is left in the mean of an exact layer and this one.
    QCOMPARE(model.index(1, mass).data().toString(),
             QStringLiteral("≈ %1 ± %2 %").arg(QLocale().toString(50.0, 'f', 1), QLocale().toString(2.0, 'f', 1)));
    QVERIFY(model.index(1, mass).data(Qt::ToolTipRole).toString().contains(QStringLiteral("one in 7")));
    QCOMPARE(model.index(1, RunModel::columnOf("density")).data().toString(), formatPercent(0.2));
    const QStringList lines = runs.csv().split(QStringLiteral("\r\n"));
    const auto cell = [&](qsizetype line, const char* column) {
      const qsizetype at = lines[0].split(u',').indexOf(QString::fromLatin1(column));
      return at < 0 ? QStringLiteral("no such column") : lines[line].split(u',')[at];
    };
    QCOMPARE(cell(1, "retained_mass"), QStringLiteral("0.5"));
    QCOMPARE(cell(1, "retained_mass_row_step"), QStringLiteral("1"));
    QCOMPARE(cell(1, "retained_mass_standard_error"), QStringLiteral("0"));
    QCOMPARE(cell(2, "retained_mass_row_step"), QStringLiteral("7"));
    QCOMPARE(cell(2, "retained_mass_standard_error"), QStringLiteral("0.02"));
    QCOMPARE(cell(2, "density"), QStringLiteral("0.2"));
    QCOMPARE(cell(2, "mean_kl_nats"), QString());
    runs.setMetrics(id, 0, sampled);
    QVERIFY(model.index(0, mass).data().toString().startsWith(u'≈'));
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
    QCOMPARE(layers.index(2, LayerModel::columnOf("retained_mass")).data().toString(),
             formatPercent(layer->metrics.value("retained_mass")));
    QCOMPARE(layers.index(1, LayerModel::columnOf("retained_mass"), layers.index(2, 0)).data().toString(),
             formatPercent(layer->metrics.heads[1].value("retained_mass")));
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
    Measured value;
    value.value = 0.02891;
    value.row_step = 7;
    value.standard_error = 0.0021;
    QCOMPARE(formatMeasured(measure("output_error"), value),
             QStringLiteral("≈ %1 ± %2 %").arg(QLocale().toString(2.9, 'f', 1), QLocale().toString(0.2, 'f', 1)));
    QCOMPARE(formatMeasured(measure("mean_kl_nats"), value),
             QStringLiteral("≈ %1 ± %2").arg(QLocale().toString(0.029, 'f', 3), QLocale().toString(0.002, 'f', 3)));
    value.standard_error = std::nan("");  // too few rows to tell
    QVERIFY(formatMeasured(measure("output_error"), value).endsWith(QStringLiteral("± ? %")));
    value.row_step = 1;
    QCOMPARE(formatMeasured(measure("output_error"), value), formatPercent(0.02891));
    QVERIFY(sampledNote(measure("output_error"), value).isEmpty());
  }
};

QTEST_MAIN(TestModels)
#include "tst_models.moc"
