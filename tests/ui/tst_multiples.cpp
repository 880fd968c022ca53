// Small multiples: one picture for each head or layer, made while they are seen, and exported as one figure.
#include <QDockWidget>
#include <QFile>
#include <QLabel>
#include <QPushButton>
#include <QTest>
#include <cmath>

#include "core/analysis/pyramid.h"
#include "tests/ui/window_under_test.h"
#include "ui/views/export_dialog.h"
#include "ui/views/matrix_panel.h"
#include "ui/views/multiples_panel.h"
#include "ui/views/multiples_view.h"

using namespace dhsa;

class TestMultiples : public QObject {
  Q_OBJECT

 private:
  enum What { kDropped, kMask, kDense };
  std::unique_ptr<WindowUnderTest> m_test;

  [[nodiscard]] MultiplesView* view() const { return m_test->child<MultiplesView>("multiplesView"); }
  [[nodiscard]] Explorer* explorer() const { return m_test->explorer(); }
  void choose(const char* name, int index) const { m_test->child<QComboBox>(name)->setCurrentIndex(index); }
  [[nodiscard]] bool isMade() const {
    const auto& all = view()->multiples();
    return !all.empty() && !m_test->child<QLabel>("multiplesNote")->text().contains(QStringLiteral(" made")) &&
           std::all_of(all.begin(), all.end(), [](const Multiple& one) { return one.values != nullptr; });
  }

 private Q_SLOTS:
  void initTestCase() {
    m_test = std::make_unique<WindowUnderTest>();
    ParameterSet* parameters = explorer()->parameters();
    parameters->set(QStringLiteral("sink-tokens"), std::int64_t{8});
    parameters->set(QStringLiteral("local-tokens"), std::int64_t{16});
    parameters->set(QStringLiteral("instruction-tokens"), std::int64_t{0});
    parameters->set(QStringLiteral("budget"), std::int64_t{64});
    QVERIFY(m_test->startAndSettle());
  }
  void cleanupTestCase() { m_test.reset(); }
  void init() {
    m_test->window()->dock(QStringLiteral("multiples"))->raise();
    QTRY_VERIFY(!view()->visibleRegion().isEmpty());
    choose("multiplesOver", 0);
    choose("multiplesWhat", kDropped);
    explorer()->view()->setLayer(3);
    QVERIFY(m_test->settle(1));
  }

  void everyHeadHasItsPicture() {
    QTRY_VERIFY(isMade());
    QCOMPARE(static_cast<int>(view()->multiples().size()), explorer()->session()->heads());
    // As the matrix has them: nothing is brighter than the largest of all cells.
    for (const int what : {kDropped, kDense}) {
      choose("multiplesWhat", what);
      QTRY_VERIFY(isMade());
      const auto levels = explorer()->whatIf()->attention();
      const int head = levels->input().heads.front();
      const Multiple& one = view()->multiples()[static_cast<std::size_t>(head)];
      QCOMPARE(one.head, head);
      SampleGrid grid;
      const auto tokens = static_cast<double>(levels->tokens());
      attention_source(levels, what == kDense ? AttentionLevels::What::kDense : AttentionLevels::What::kDropped)
          ->sample({0, tokens, 0, tokens}, one.side, one.side, {}, grid);
      double most = 0;
      double shown = 0;
      for (std::size_t at = 0; at < grid.max.size(); ++at) {
        if (std::isnan((*one.values)[at])) continue;
        shown = std::max(shown, static_cast<double>((*one.values)[at]));
        most = std::max(most, static_cast<double>(grid.max[at]));
      }
      QVERIFY(shown > 0 && shown <= most * 1.001);
    }
    choose("multiplesWhat", kMask);
    QTRY_VERIFY(isMade());
    double sum = 0;
    double cells = 0;
    const Multiple& first = view()->multiples().front();
    const auto layer = explorer()->whatIf()->layerInView();
    SampleGrid grid;
    const auto tokens = static_cast<double>(layer->plan->mask.rows());
    layer->masks.front()->sample({0, tokens, 0, tokens}, first.side, first.side, {}, grid);
    for (std::size_t at = 0; at < grid.cells.size(); ++at) {
      if (grid.cells[at] <= 0) continue;
      sum += static_cast<double>((*first.values)[at] * grid.cells[at]);
      cells += static_cast<double>(grid.cells[at]);
    }
    QVERIFY(std::abs(sum / cells - layer->metrics.value("density")) < 0.02);
  }

  void clickAndEnterGoThere() {
    QTRY_VERIFY(isMade());
    QTest::mouseClick(view(), Qt::LeftButton, {}, view()->pictureRect(2).center().toPoint());
    QCOMPARE(explorer()->view()->head(), 2);
    QCOMPARE(explorer()->view()->layer(), 3);
    choose("multiplesOver", 1);
    QTRY_VERIFY(isMade());
    QCOMPARE(static_cast<int>(view()->multiples().size()), explorer()->whatIf()->layers());
    view()->setFocus();
    QTest::keyClick(view(), Qt::Key_Home);
    QTest::keyClick(view(), Qt::Key_Right);
    QTest::keyClick(view(), Qt::Key_Return);
    QCOMPARE(explorer()->view()->layer(), 1);
    QCOMPARE(explorer()->view()->head(), 2);
  }

  void anotherPlanMakesOtherPictures() {
    QTRY_VERIFY(isMade());
    const auto before = view()->multiples().front().values;
    explorer()->parameters()->set(QStringLiteral("budget"), std::int64_t{256});
    QVERIFY(m_test->settle(1));
    QTRY_VERIFY(view()->multiples().front().values != before);
    QTRY_VERIFY(isMade());
    const auto sum = [](const std::vector<float>& values) {
      double all = 0;
      for (const float value : values) all += std::isnan(value) ? 0.0 : static_cast<double>(value);
      return all;
    };
    QVERIFY(sum(*view()->multiples().front().values) < sum(*before));
    explorer()->parameters()->set(QStringLiteral("budget"), std::int64_t{64});
    QVERIFY(m_test->settle(1));
  }

  void nothingIsMadeWhereNoneLooks() {
    QTRY_VERIFY(isMade());
    QSignalSpy started(explorer()->engine(), &Engine::started);
    m_test->window()->dock(QStringLiteral("matrix"))->raise();
    QTRY_VERIFY(view()->visibleRegion().isEmpty());
    explorer()->view()->setLayer(5);
    QVERIFY(m_test->settle(1));
    QTest::qWait(300);
    for (const auto& job : started) QVERIFY(job.front().value<JobKind>() != JobKind::kMultiples);
    m_test->window()->dock(QStringLiteral("multiples"))->raise();
    QTRY_VERIFY(isMade());
    QCOMPARE(view()->multiples().front().layer, 5);
  }

  void allOfThemAreExportedAsOneFigure() {
    for (const int over : {0, 1}) {
      choose("multiplesOver", over);
      QTRY_VERIFY(isMade());
      m_test->child<QPushButton>("multiplesExport")->click();
      auto* dialog = m_test->window()->findChild<ExportDialog*>();
      QVERIFY(dialog);
      const FigureSpec spec = dialog->spec();
      QCOMPARE(spec.panels.size(), view()->multiples().size());
      for (std::size_t i = 0; i < spec.panels.size(); ++i) {
        const Multiple& one = view()->multiples()[i];
        QVERIFY(spec.panels[i] == (FigurePanel{FigureKind::kDropped, one.layer, one.head}));
      }
      QTRY_VERIFY_WITH_TIMEOUT(!dialog->isBusy(), 60000);
      const QString path = m_test->filePath(QStringLiteral("multiples%1.pdf").arg(over));
      dialog->saveTo(path);
      QTRY_VERIFY_WITH_TIMEOUT(!dialog->isBusy(), 60000);
      QVERIFY2(QFile::exists(path), qPrintable(dialog->findChild<QLabel*>(QStringLiteral("exportMessage"))->text()));
      delete dialog;
    }
  }

  void theMatrixShowsDroppedMassToo() {
    auto* panel = m_test->child<MatrixPanel>("matrixPanel");
    panel->setContent(0, MatrixContent::kDropped);
    panel->setMode(CompareMode::A);
    const auto* matrix = m_test->child<MatrixView>("matrixView");
    explorer()->view()->setLayer(3);
    QVERIFY(m_test->settle(1));
    const auto& mask = explorer()->whatIf()->layerInView()->plan->mask;
    const int list = mask.mask_head(explorer()->view()->head(), explorer()->session()->heads());
    const qint64 row = mask.rows() / 2;
    for (qint64 key = 0; key <= row; ++key) {
      const QString text = matrix->describe({row, key});
      if (mask.kept(list, row, key)) QVERIFY2(text.contains(QStringLiteral("0 (probability)")), qPrintable(text));
    }
  }
};

QTEST_MAIN(TestMultiples)
#include "tst_multiples.moc"
