// The walk through what the masks lose, going to a place by its number, and matches of a search in the matrix.
#include <QAbstractItemView>
#include <QDockWidget>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QSpinBox>
#include <QTest>
#include <QTreeView>
#include <set>

#include "tests/ui/window_under_test.h"
#include "ui/models/loss_model.h"
#include "ui/views/go_to_dialog.h"
#include "ui/views/matrix_view.h"
#include "ui/views/message_bar.h"
#include "ui/views/text_panel.h"
#include "ui/views/text_view.h"

using namespace dhsa;

class TestLosses : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<WindowUnderTest> m_test;

  [[nodiscard]] QTreeView* table() const { return m_test->child<QTreeView>("lossTable"); }
  [[nodiscard]] double number(int row, int column) const {
    return table()->model()->index(row, column).data(LossModel::kSortRole).toDouble();
  }
  // The row in view is the one that line of the table names, and the keys are its worst one.
  [[nodiscard]] bool isAt(int line) const {
    const ViewState* view = m_test->explorer()->view();
    return view->layer() == static_cast<int>(number(line, LossModel::kLayer)) &&
           view->head() == static_cast<int>(number(line, LossModel::kHead)) &&
           view->row() == static_cast<qint64>(number(line, LossModel::kRow)) &&
           view->keysBegin() == static_cast<qint64>(number(line, LossModel::kKey)) &&
           view->keysEnd() == view->keysBegin() + 1;
  }

 private Q_SLOTS:
  void initTestCase() {
    m_test = std::make_unique<WindowUnderTest>();
    // Few keys of many, so that something is lost.
    ParameterSet* parameters = m_test->explorer()->parameters();
    parameters->set(QStringLiteral("sink-tokens"), std::int64_t{8});
    parameters->set(QStringLiteral("local-tokens"), std::int64_t{16});
    parameters->set(QStringLiteral("instruction-tokens"), std::int64_t{0});
    parameters->set(QStringLiteral("budget"), std::int64_t{64});
    QVERIFY(m_test->startAndSettle());
    QTRY_VERIFY(table()->model()->rowCount() > 8);
  }
  void cleanupTestCase() { m_test.reset(); }
  void init() {
    m_test->explorer()->view()->clearSelection();
    table()->setCurrentIndex({});
    table()->sortByColumn(LossModel::kDropped, Qt::DescendingOrder);
  }

  void theListIsTrueAndWorstFirst() {
    for (int line = 0; line < table()->model()->rowCount(); ++line) {
      const auto layer = m_test->explorer()->whatIf()->layer(static_cast<int>(number(line, LossModel::kLayer)));
      QVERIFY(layer && layer->captured);
      const auto row = view_row(*layer, static_cast<int>(number(line, LossModel::kHead)),
                                static_cast<std::int64_t>(number(line, LossModel::kRow)));
      QVERIFY(std::abs(number(line, LossModel::kDropped) - (1 - row->kept_mass)) < 1e-4);
      const auto key = static_cast<std::size_t>(number(line, LossModel::kKey));
      QVERIFY(row->fate[key] == KeyFate::kDropped || row->fate[key] == KeyFate::kDroppedImportant);
      QVERIFY(std::abs(number(line, LossModel::kKeyMass) - static_cast<double>(row->mass[key])) < 1e-4);
      if (line > 0) QVERIFY(number(line, LossModel::kDropped) <= number(line - 1, LossModel::kDropped));
    }
  }

  void oneKeyGoesFromTheWorstRowToTheNext() {
    QAction* next = m_test->window()->action("go.next-row");
    next->trigger();
    QVERIFY(isAt(0));
    next->trigger();
    QVERIFY(isAt(1));
    m_test->window()->action("go.previous-row")->trigger();
    m_test->window()->action("go.previous-row")->trigger();
    QVERIFY(isAt(table()->model()->rowCount() - 1));
    // The text has the row in sight, the matrix the cell, whatever was zoomed into.
    m_test->explorer()->view()->setZoom(QRectF(0, 0, 40, 40));
    next->trigger();
    QVERIFY(isAt(0));
    const ViewState* view = m_test->explorer()->view();
    const auto* matrix = m_test->child<MatrixView>("matrixView");
    QVERIFY(matrix->view().contains(
        QPointF(static_cast<double>(view->keysBegin()) + 0.5, static_cast<double>(view->row()) + 0.5)));
    const auto* text = m_test->child<TextView>("textView");
    QTRY_VERIFY(text->viewport()->rect().intersects(text->tokenRect(view->row())));
    QTRY_VERIFY(m_test->explorer()->whatIf()->row() && m_test->explorer()->whatIf()->row()->row == view->row());
  }

  void clickAndEnterGoThereAndTheHeaderSorts() {
    m_test->window()->dock(QStringLiteral("losses"))->raise();
    QTRY_VERIFY(!table()->visibleRegion().isEmpty());
    QTest::mouseClick(table()->viewport(), Qt::LeftButton, {},
                      table()->visualRect(table()->model()->index(2, LossModel::kDropped)).center());
    QVERIFY(isAt(2));
    table()->setFocus();
    QTest::keyClick(table(), Qt::Key_Up);
    QTest::keyClick(table(), Qt::Key_Return);
    QVERIFY(isAt(1));
    QTest::mouseClick(table()->header()->viewport(), Qt::LeftButton, {},
                      QPoint(table()->header()->sectionViewportPosition(LossModel::kLayer) + 8, 8));
    const int last = table()->model()->rowCount() - 1;
    QVERIFY(number(0, LossModel::kLayer) != number(last, LossModel::kLayer));
    const bool up = number(0, LossModel::kLayer) < number(last, LossModel::kLayer);
    for (int line = 1; line <= last; ++line) {
      const double step = number(line, LossModel::kLayer) - number(line - 1, LossModel::kLayer);
      QVERIFY(up ? step >= 0 : step <= 0);
    }
    // The walk follows the order that is shown.
    table()->setCurrentIndex({});
    m_test->window()->action("go.next-row")->trigger();
    QVERIFY(isAt(0));
  }

  void theNextHeadIsTheOneThatLosesNextMost() {
    QAction* next = m_test->window()->action("go.next-head");
    std::vector<double> lost;
    std::set<std::pair<int, int>> heads;
    ViewState* view = m_test->explorer()->view();
    view->setHead((view->head() + 1) % m_test->explorer()->session()->heads());  // away from any earlier walk
    for (;;) {
      next->trigger();
      if (!heads.emplace(view->layer(), view->head()).second) break;
      const auto layer = m_test->explorer()->whatIf()->layerInView();
      const double kept = layer->metrics.heads[static_cast<std::size_t>(view->head())].value("retained_mass");
      lost.push_back(1 - kept);
      QVERIFY(view->row() >= 0);
    }
    QVERIFY(lost.size() > 3);
    QVERIFY(std::is_sorted(lost.rbegin(), lost.rend()));
  }

  void theNextTokenIsTheRowsNextImportantOne() {
    const ViewState* view = m_test->explorer()->view();
    const WhatIf* whatIf = m_test->explorer()->whatIf();
    const auto known = [&] {
      return whatIf->row() && whatIf->row()->row == view->row() && whatIf->row()->layer == view->layer() &&
             whatIf->row()->head == view->head();
    };
    int line = -1;
    do {
      m_test->window()->action("go.next-row")->trigger();
      QVERIFY(++line + 1 < table()->model()->rowCount());
      QTRY_VERIFY(known());
    } while (whatIf->row()->dropped_important < 3);
    const qint64 worst = view->row();
    const auto row = whatIf->row();
    QAction* next = m_test->window()->action("go.next-token");
    float mass = row->mass[static_cast<std::size_t>(view->keysBegin())];
    for (std::int64_t i = 1; i < row->dropped_important; ++i) {
      next->trigger();
      QCOMPARE(view->row(), worst);
      const auto key = static_cast<std::size_t>(view->keysBegin());
      QVERIFY(row->fate[key] == KeyFate::kDroppedImportant);
      QVERIFY(row->mass[key] <= mass);
      mass = row->mass[key];
    }
    next->trigger();  // that was the last one: on to the next row
    QVERIFY(isAt(line + 1));
  }

  void rowsOfWhichSomeWereLookedAtSaySo() {
    WindowUnderTest test(6000);
    test.window()->start();
    const auto* note = test.child<QLabel>("lossNote");
    QTRY_VERIFY_WITH_TIMEOUT(note->text().contains(u'≈'), 120000);
  }

  void aTokenAndAChunkAreGoneToByNumber() {
    ViewState* view = m_test->explorer()->view();
    view->setZoom(QRectF(0, 0, 40, 40));
    const auto go = [&](int kind, int number) {
      m_test->window()->action("go.to")->trigger();
      auto* dialog = m_test->window()->findChild<GoToDialog*>();
      dialog->findChild<QComboBox*>(QStringLiteral("goToKind"))->setCurrentIndex(kind);
      auto* box = dialog->findChild<QSpinBox*>(QStringLiteral("goToNumber"));
      box->setValue(number);
      const int taken = box->value();
      QTest::keyClick(box, Qt::Key_Return);
      delete dialog;
      return taken;
    };
    QCOMPARE(go(0, 321), 321);
    QCOMPARE(view->row(), 321);
    const auto* matrix = m_test->child<MatrixView>("matrixView");
    QVERIFY(matrix->view().contains(QPointF(321.5, 321.5)));
    const auto layer = m_test->explorer()->whatIf()->layerInView();
    QVERIFY(go(1, 5) == 5);
    QCOMPARE(view->keysBegin(), layer->plan->trace.boundaries[5]);
    QCOMPARE(view->keysEnd(), layer->plan->trace.boundaries[6]);
    QCOMPARE(view->row(), 321);
    // There is nothing past the last one.
    const auto last = static_cast<int>(m_test->explorer()->session()->document()->tokens()) - 1;
    QCOMPARE(go(0, last + 100), last);
  }

  void aMatchIsSelectedByEnterAndMarkedInTheMatrix() {
    auto* panel = m_test->window()->findChild<TextPanel*>();
    const ViewState* view = m_test->explorer()->view();
    auto* matrix = m_test->child<MatrixView>("matrixView");
    m_test->window()->dock(QStringLiteral("matrix"))->raise();
    matrix->fitView();
    QTRY_VERIFY(matrix->isAtRest());
    const QImage before = matrix->grab().toImage();
    panel->openFind();
    auto* field = m_test->child<QLineEdit>("findText");
    QTest::keyClicks(field, QStringLiteral("harbour"));
    QCOMPARE(view->row(), -1);
    const std::vector<qint64> marks = view->marks();
    QVERIFY(marks.size() > 1);
    const auto document = m_test->explorer()->session()->document();
    QVERIFY(document->shown.mid(document->begin[static_cast<std::size_t>(marks[0])], 12).contains(u"harbour"));
    QTRY_VERIFY(matrix->grab().toImage() != before);
    QTest::keyClick(field, Qt::Key_Return);
    QCOMPARE(view->row(), marks[0]);
    QTest::keyClick(field, Qt::Key_Return);
    QCOMPARE(view->row(), marks[1]);
    m_test->explorer()->view()->selectRow(-1);
    QTest::keyClick(field, Qt::Key_Escape);
    QVERIFY(view->marks().empty());
    QTRY_VERIFY(matrix->grab().toImage() == before);
  }

  void aDenseMethodHasNoLosses() {
    m_test->explorer()->parameters()->set(QStringLiteral("method"), std::string("dense"));
    QVERIFY(m_test->settle(1));
    QTRY_COMPARE(table()->model()->rowCount(), 0);
    m_test->window()->action("go.next-row")->trigger();
    m_test->window()->action("go.next-head")->trigger();
    QCOMPARE(m_test->explorer()->view()->row(), -1);
    QVERIFY(m_test->window()->messageBar()->text().contains(QStringLiteral("drop nothing")));
  }
};

QTEST_MAIN(TestLosses)
#include "tst_losses.moc"
