// Item models against Qt's own tester, while their data changes.
#include <QAbstractItemModelTester>
#include <QLabel>
#include <QTest>
#include <QUndoStack>
#include <memory>
#include <set>

#include "core/sparsity/parameters_name.h"
#include "tests/ui/window_under_test.h"
#include "ui/models/chunk_model.h"
#include "ui/models/format.h"
#include "ui/models/layer_model.h"
#include "ui/models/run_model.h"
#include "ui/plot/axis_ticks.h"
#include "ui/views/head_map.h"

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

  // Neither time nor masks are compared over another model, type or device, and the table says which it was.
  void runsOfAnotherModelTypeOrDeviceStandApart() {
    RunList runs;
    const RunModel model(&runs);
    Run run;
    run.modelName = QStringLiteral("demo");
    run.input = {QStringLiteral("x"), {QStringLiteral("abc"), DType::kFloat32, Device::kCpu}, 100, 0};
    run.parameters.method = Method::kDense;
    run.result.seconds = 4;
    runs.add(run);
    run.parameters.method = Method::kDhsa;
    run.result.seconds = 2;
    runs.add(run);
    QVERIFY(!model.modelsDiffer());
    const auto speed = [&](int row) { return model.index(row, RunModel::kSpeed).data().toString(); };
    const QString before = speed(1);
    Run other = run;
    other.input.model.type = DType::kBFloat16;
    runs.add(other);
    QCOMPARE(speed(2), QStringLiteral("–"));
    other.parameters.method = Method::kDense;
    other.result.seconds = 20;
    runs.add(other);
    QCOMPARE(speed(1), before);
    QVERIFY(speed(2).startsWith(QLocale().toString(10)));
    other.input.model.device = Device::kCuda;
    runs.add(other);
    QVERIFY(model.modelsDiffer());
    QCOMPARE(model.index(0, RunModel::kModel).data().toString(), QStringLiteral("demo · float32 · cpu"));
    QCOMPARE(model.index(4, RunModel::kModel).data().toString(), QStringLiteral("demo · bfloat16 · cuda"));
    const QStringList lines = runs.csv().split(QStringLiteral("\r\n"));
    QVERIFY(lines[0].contains(QStringLiteral(",model,fingerprint,dtype,device,")));
    QVERIFY(lines[1].contains(QStringLiteral(",demo,abc,float32,cpu,")));
    QVERIFY(lines[5].contains(QStringLiteral(",demo,abc,bfloat16,cuda,")));
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
    }
    QCOMPARE(length, static_cast<int>(explorer->session()->document()->tokens()));
    chunks.setLayer(explorer->session()->document(), nullptr);
    QCOMPARE(chunks.rowCount(), 0);
  }

  // A layer whose q, k and v were not kept stays as the run left it, and says so wherever its numbers stand.
  void numbersOfOtherParametersAreMarked() {
    WindowUnderTest window(400);
    QVERIFY(window.startAndSettle());
    Explorer* explorer = window.explorer();
    WhatIf* whatIf = explorer->whatIf();
    auto bare = std::make_shared<MeasuredLayer>(*whatIf->layer(2));
    bare->captured = nullptr;
    whatIf->runReached(bare);
    const LayerModel layers(explorer);
    auto* heads = window.child<HeadMap>("headMap");
    const auto marked = [&](int layer) {
      const QModelIndex cell = layers.index(layer, LayerModel::columnOf("retained_mass"));
      const bool faint = cell.data(Qt::ForegroundRole).isValid();
      const bool said = cell.data(Qt::ToolTipRole).toString().contains(QStringLiteral("not under the present"));
      const bool ofHeads = heads->describe(layer, 0).contains(QStringLiteral("not under the present"));
      return faint && said && ofHeads ? 1 : faint || said || ofHeads ? -1 : 0;
    };
    const auto time = [&] { return layers.index(1, layers.columnCount() - 1).data(Qt::ForegroundRole).isValid(); };
    QCOMPARE(marked(2), 0);
    QVERIFY(!time());

    const auto old = QString::fromStdString(parameters_name(explorer->parameters()->values()));
    QVERIFY(explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{300}));
    QCOMPARE(marked(1), 1);  // until it is planned again
    QVERIFY(window.settle(1));
    QCOMPARE(marked(1), 0);
    QCOMPARE(marked(2), 1);
    QVERIFY(time());  // of the run
    const QStringList lines = layers.tabSeparated().split(u'\n');
    QCOMPARE(lines[0].split(u'\t')[2], QStringLiteral("parameters"));
    QVERIFY(lines[2].split(u'\t')[2].contains(QStringLiteral("budget=300")));
    QCOMPARE(lines[3].split(u'\t')[2], old);

    explorer->view()->setLayer(2);
    QVERIFY(whatIf->isStale());
    QTRY_VERIFY(!explorer->engine()->isBusy());
    QVERIFY(whatIf->isStale());
    QVERIFY(window.child<QLabel>("metricsHeading")->text().contains(QStringLiteral("of the last run")));
    explorer->parameters()->undoStack()->undo();
    QVERIFY(!whatIf->isStale());
    QTRY_VERIFY(!explorer->engine()->isBusy());
    QCOMPARE(marked(2), 0);
    QVERIFY(!time());
  }

  void aPinnedRunIsOnlyComparedWithItsLike() {
    WindowUnderTest window(100);
    QVERIFY(window.startAndSettle());
    const RunHistory* history = window.explorer()->history();
    Run pinned = *history->current();
    history->runs()->setPinned(pinned.id, true);
    QVERIFY(history->comparison() != nullptr);
    for (const int what : {0, 1, 2, 3}) {
      Run other = pinned;
      if (what == 0) other.input.model.fingerprint = QStringLiteral("another");
      if (what == 1) other.input.model.type = DType::kBFloat16;
      if (what == 2) other.input.model.device = Device::kCuda;
      if (what == 3) other.input.questionTokens = 9;
      history->runs()->setPinned(history->runs()->add(other), true);
      QVERIFY(history->comparison() == nullptr);
    }
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
    value.rows = 1;
    QCOMPARE(formatMeasured(measure("output_error"), value), QStringLiteral("≈ ") + formatPercent(0.02891));
    QVERIFY2(sampledNote(measure("output_error"), value).contains(QStringLiteral("1 row,")),
             qPrintable(sampledNote(measure("output_error"), value)));
    QVERIFY(!sampledNote(measure("output_error"), value).contains(u'±'));
    value.row_step = 1;
    QCOMPARE(formatMeasured(measure("output_error"), value), formatPercent(0.02891));
    QVERIFY(sampledNote(measure("output_error"), value).isEmpty());
    // Numbers of one column have as many digits, and none is "1e+04".
    const auto real = [](double shown, int decimals) {
      return QLocale().toString(shown, 'f', decimals).replace(u'-', QChar(0x2212));
    };
    QCOMPARE(formatReal(0.08), real(0.08, 4));
    QCOMPARE(formatReal(0.0776), real(0.0776, 4));
    QCOMPARE(formatReal(-10000), real(-10000, 0));
    QCOMPARE(formatReal(0), QStringLiteral("0"));
    QCOMPARE(valueLabel(10000), QStringLiteral("10000"));
    QCOMPARE(valueLabel(-12345.6), QStringLiteral("−12346"));
    QCOMPARE(counted(1, "sample", "samples"), QStringLiteral("1 sample"));
    QCOMPARE(counted(1258430, "token", "tokens"), QLocale().toString(qlonglong{1258430}) + QStringLiteral(" tokens"));
  }
};

QTEST_MAIN(TestModels)
#include "tst_models.moc"
