// The whole window on the demo model: what a person does, and what has to show.
#include <QClipboard>
#include <QDialog>
#include <QDockWidget>
#include <QDropEvent>
#include <QElapsedTimer>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QMimeData>
#include <QProgressBar>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QStatusBar>
#include <QTableView>
#include <QTest>
#include <QTreeView>
#include <QTreeWidget>
#include <QUndoStack>
#include <semaphore>

#include "core/analysis/pyramid.h"
#include "core/files/atomic_write.h"
#include "tests/ui/window_under_test.h"
#include "ui/models/layer_model.h"
#include "ui/state/commands.h"
#include "ui/state/session_file.h"
#include "ui/views/head_map.h"
#include "ui/views/importance_strip.h"
#include "ui/views/matrix_panel.h"
#include "ui/views/message_bar.h"
#include "ui/views/metrics_panel.h"
#include "ui/views/parameters_panel.h"
#include "ui/views/performance_panel.h"
#include "ui/views/text_view.h"

using namespace dhsa;

namespace {

const char* const kDocks[] = {"text",        "matrix", "importance", "parameters", "metrics",
                              "performance", "chunks", "runs",       "losses",     "multiples"};

// Colours on a picture: an empty widget has one or two.
int coloursOf(const QImage& image) {
  QSet<QRgb> seen;
  for (int y = 0; y < image.height(); y += 2) {
    for (int x = 0; x < image.width(); x += 2) seen.insert(image.pixel(x, y));
  }
  return static_cast<int>(seen.size());
}

void dragSlider(QSlider* slider, int to) {
  slider->setSliderDown(true);
  const int from = slider->value();
  for (int step = 1; step <= 10; ++step) slider->setValue(from + (to - from) * step / 10);
  slider->setSliderDown(false);
}

}  // namespace

class TestWindow : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<WindowUnderTest> m_shared;  // settled once, used by tests that leave it as it was

 private Q_SLOTS:
  void initTestCase() {
    m_shared = std::make_unique<WindowUnderTest>();
    QVERIFY(m_shared->startAndSettle());
  }
  void cleanupTestCase() { m_shared.reset(); }

  void everyDockOpensAndShowsData() {
    MainWindow* window = m_shared->window();
    for (const char* name : kDocks) {
      QDockWidget* dock = window->dock(QString::fromLatin1(name));
      QVERIFY2(dock != nullptr, name);
      dock->raise();
      QTRY_VERIFY2(!dock->visibleRegion().isEmpty(), name);
      QVERIFY2(coloursOf(dock->grab().toImage()) > 6, name);
    }
    const Explorer* explorer = m_shared->explorer();
    QVERIFY(m_shared->child<TextView>("textView")->isLaidOut());
    QVERIFY(m_shared->child<MatrixView>("matrixView")->tokens() == explorer->session()->document()->tokens());
    QVERIFY(m_shared->child<ImportanceStrip>("importanceStrip")->tokens() == explorer->session()->document()->tokens());
    const auto* metrics = m_shared->child<MetricTile>("metric-retained_mass");
    QVERIFY(metrics->value().contains(u'%'));
    QVERIFY(m_shared->child<QTreeView>("chunkTable")->model()->rowCount() > 5);
    QCOMPARE(m_shared->child<QTableView>("runTable")->model()->rowCount(), 1);
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer) {
      QVERIFY(m_shared->child<StageBars>("stageBars")->layerSeconds(layer) > 0);
    }
    window->dock(QStringLiteral("text"))->raise();
    window->dock(QStringLiteral("importance"))->raise();
  }

  void tablesShowTheColumnsThatFit() {
    MainWindow* window = m_shared->window();
    window->dock(QStringLiteral("chunks"))->raise();
    window->dock(QStringLiteral("runs"))->raise();
    const auto* layers = m_shared->child<QTreeView>("layerTable");
    const std::pair<const QAbstractItemView*, const QHeaderView*> tables[] = {
        {layers, layers->header()},
        {m_shared->child<QTreeView>("chunkTable"), m_shared->child<QTreeView>("chunkTable")->header()},
        {m_shared->child<QTableView>("runTable"), m_shared->child<QTableView>("runTable")->horizontalHeader()}};
    for (const auto& [view, header] : tables)
      QTRY_VERIFY2(header->length() <= view->viewport()->width(), qPrintable(view->objectName()));
    const int plan = LayerModel::leaving().front();
    QTRY_VERIFY(layers->isColumnHidden(plan));
    QVERIFY(!layers->isColumnHidden(LayerModel::columnOf("retained_mass")));
    window->dock(QStringLiteral("metrics"))->setFloating(true);
    window->dock(QStringLiteral("metrics"))->resize(1100, 500);
    QTRY_VERIFY(!layers->isColumnHidden(plan));
    window->restoreDefaultLayout();
    QVERIFY(!window->dock(QStringLiteral("metrics"))->isFloating());
  }

  // To the panel, and away from it once one is there.
  void everyDockHasAShortcutThatGoesThere() {
    MainWindow* window = m_shared->window();
    window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(window));
    for (const char* name : kDocks) {
      QAction* action = window->action((std::string("panel.") + name).c_str());
      QVERIFY2(!action->shortcut().isEmpty(), name);
      QDockWidget* dock = window->dock(QString::fromLatin1(name));
      dock->show();
      dock->raise();
      QTRY_VERIFY2(!dock->visibleRegion().isEmpty(), name);
      // Hiding a panel hands the keyboard to a neighbour, which may be this one.
      if (QWidget* focus = window->focusWidget()) focus->clearFocus();
      QVERIFY2(!dock->isAncestorOf(window->focusWidget()), name);
      action->trigger();
      QVERIFY2(!dock->isHidden() && action->isChecked(), name);
      QVERIFY2(dock->isAncestorOf(window->focusWidget()), name);
      action->trigger();
      QVERIFY2(dock->isHidden() && !action->isChecked(), name);
      action->trigger();
      QVERIFY2(!dock->isHidden(), name);
    }
    window->restoreDefaultLayout();
  }

  void noFieldTakesAMenusKey() {
    QSet<QString> menus;
    for (const QAction* menu : m_shared->window()->menuBar()->actions()) {
      menus << QKeySequence::mnemonic(menu->text()).toString();
    }
    QCOMPARE(menus.size(), 7);
    for (const char* dock : {"text", "matrix", "multiples", "parameters", "needle", "sweeps", "losses", "runs"}) {
      const QDockWidget* panel = m_shared->window()->dock(QString::fromLatin1(dock));
      for (const QLabel* label : panel->findChildren<QLabel*>()) {
        const QString key = label->buddy() ? QKeySequence::mnemonic(label->text()).toString() : QString();
        if (key.isEmpty()) continue;
        QVERIFY2(!menus.contains(key), qPrintable(label->text()));
      }
    }
  }

  void escapeInAChoiceLeavesTheSelection() {
    Explorer* explorer = m_shared->explorer();
    m_shared->window()->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_shared->window()));
    explorer->view()->selectRow(20);
    auto* shading = m_shared->child<QComboBox>("shading");
    shading->setFocus();
    QTest::keyClick(shading, Qt::Key_Escape);
    QCOMPARE(explorer->view()->row(), 20);
    QTest::keyClick(m_shared->child<TextView>("textView"), Qt::Key_Escape);
    QCOMPARE(explorer->view()->row(), -1);
    QVERIFY(m_shared->settle(1));
  }

  void aMessageIsWholeAndMovesNothing() {
    MainWindow* window = m_shared->window();
    window->messageBar()->hide();
    QCoreApplication::processEvents();  // what the tests before have left to be laid out
    const QRect matrix = m_shared->child<QWidget>("matrixView")->geometry();
    QString sentence;
    for (int i = 0; i < 30; ++i) sentence += QStringLiteral("Several words make a long sentence. ");
    window->messageBar()->showError(sentence);
    const MessageBar* bar = window->messageBar();
    const auto* text = bar->findChild<QLabel*>(QStringLiteral("messageText"));
    QCoreApplication::processEvents();
    QVERIFY(text->height() >= text->heightForWidth(text->width()));
    QVERIFY(window->rect().contains(bar->geometry()));
    QVERIFY(bar->geometry().bottom() < window->statusBar()->y());
    QCOMPARE(m_shared->child<QWidget>("matrixView")->geometry(), matrix);
    window->messageBar()->clear();
  }

  void theFirstWindowFitsTheScreenWithItsFrame() {
    const MainWindow window;
    const QSize room = window.screen()->availableSize() - QSize(16, 48);
    QVERIFY(window.width() <= room.width() && window.height() <= room.height());
    QVERIFY2(window.minimumSizeHint().height() <= 752, qPrintable(QString::number(window.minimumSizeHint().height())));
  }

  void everyControlHasAnAccessibleName() {
    for (const QWidget* widget : m_shared->window()->findChildren<QWidget*>()) {
      const bool control = widget->inherits("QAbstractButton") || widget->inherits("QComboBox") ||
                           widget->inherits("QAbstractSpinBox") || widget->inherits("QAbstractSlider") ||
                           widget->inherits("QAbstractItemView");
      // Parts that Qt makes inside its own controls carry the names of those.
      bool inner = widget->objectName().startsWith(QStringLiteral("qt_")) || widget->inherits("QScrollBar") ||
                   widget->inherits("QTabBar") || widget->inherits("QHeaderView");
      for (const QWidget* up = widget->parentWidget(); up != nullptr && !inner; up = up->parentWidget()) {
        inner = up->inherits("QComboBox") || up->inherits("QLineEdit") || up->inherits("QTabBar") ||
                up->inherits("QDockWidget") == (widget->parentWidget() == up) || up->inherits("QAbstractItemView");
        if (up->inherits("QDockWidget") || up->inherits("QToolBar")) {
          inner = inner && widget->parentWidget() == up;
          break;
        }
      }
      if (!control || inner) continue;
      const auto* button = qobject_cast<const QAbstractButton*>(widget);
      const bool named = !widget->accessibleName().isEmpty() || (button && !button->text().isEmpty());
      QVERIFY2(named, qPrintable(QString::fromLatin1(widget->metaObject()->className()) + u' ' + widget->objectName()));
    }
  }

  void rowSelectionGoesBothWays() {
    auto* text = m_shared->child<TextView>("textView");
    auto* matrix = m_shared->child<MatrixView>("matrixView");
    text->scrollToToken(40);
    const QRect token = text->tokenRect(40);
    QVERIFY(!token.isEmpty());
    QTest::mouseClick(text->viewport(), Qt::LeftButton, {}, token.center());
    QCOMPARE(matrix->selectedRow(), 40);
    QTRY_VERIFY(m_shared->explorer()->whatIf()->row() && m_shared->explorer()->whatIf()->row()->row == 40);

    const qint64 row = m_shared->explorer()->session()->document()->tokens() * 2 / 3;
    const QPoint cell = matrix->cellRect({row, row / 2}).center().toPoint();
    const auto hit = matrix->cellAt(cell);
    QVERIFY(hit.has_value());
    QTest::mouseClick(matrix, Qt::LeftButton, {}, cell);
    QCOMPARE(m_shared->explorer()->view()->row(), hit->row);
    QTRY_VERIFY(m_shared->explorer()->whatIf()->row() && m_shared->explorer()->whatIf()->row()->row == hit->row);
    // The text has scrolled to it.
    QTRY_VERIFY(text->viewport()->rect().intersects(text->tokenRect(hit->row)));
    m_shared->window()->action("view.clear-selection")->trigger();
    QCOMPARE(matrix->selectedRow(), -1);
  }

  void theSelectedRowIsShadedAsTheMaskSays() {
    Explorer* explorer = m_shared->explorer();
    explorer->view()->setLayer(1);  // global
    QVERIFY(m_shared->settle(1));
    const qint64 row = explorer->session()->document()->tokens() - 2;
    explorer->view()->selectRow(row);
    QTRY_VERIFY(explorer->whatIf()->row() && explorer->whatIf()->row()->row == row &&
                explorer->whatIf()->row()->layer == 1);
    const auto view = explorer->whatIf()->row();
    const KeyMask& mask = explorer->whatIf()->layerInView()->plan->mask;
    std::int64_t kept = 0;
    double kept_mass = 0;
    for (qint64 key = 0; key <= row; ++key) {
      const bool isKept = mask.kept(mask.mask_head(0, explorer->session()->heads()), row, key);
      QCOMPARE(view->fate[static_cast<std::size_t>(key)] == KeyFate::kKept, isKept);
      kept += isKept ? 1 : 0;
      kept_mass += isKept ? static_cast<double>(view->mass[static_cast<std::size_t>(key)]) : 0;
    }
    QCOMPARE(view->kept, kept);
    QVERIFY(std::abs(view->kept_mass - kept_mass) < 1e-9);
    QVERIFY(view->fate[static_cast<std::size_t>(row) + 1] == KeyFate::kNotVisible);
    // Dropped-but-important keys each hold more mass than any merely dropped one.
    float least = 2;
    float most = -1;
    for (std::size_t key = 0; key <= static_cast<std::size_t>(row); ++key) {
      if (view->fate[key] == KeyFate::kDroppedImportant) least = std::min(least, view->mass[key]);
      if (view->fate[key] == KeyFate::kDropped) most = std::max(most, view->mass[key]);
    }
    QVERIFY(least >= most);
    explorer->view()->selectRow(-1);
    explorer->view()->setLayer(0);
    QVERIFY(m_shared->settle(1));
  }

  void aSliderDragIsOneStepAndChangesMaskAndMetrics() {
    Explorer* explorer = m_shared->explorer();
    explorer->view()->setLayer(1);
    QVERIFY(m_shared->settle(1));
    auto* panel = m_shared->child<ParametersPanel>("parametersPanel");
    auto* slider = qobject_cast<QSlider*>(panel->slider(QStringLiteral("budget")));
    auto* box = qobject_cast<QSpinBox*>(panel->editor(QStringLiteral("budget")));
    QVERIFY(slider && box);
    const auto before = explorer->whatIf()->layerInView();
    const QString metric = m_shared->child<MetricTile>("metric-density")->value();
    const QImage picture = m_shared->child<MatrixView>("matrixView")->grab().toImage();
    const int steps = explorer->parameters()->undoStack()->count();
    const std::int64_t budget = explorer->parameters()->values().budget;

    dragSlider(slider, 800);
    QVERIFY(explorer->parameters()->values().budget < budget);
    QCOMPARE(static_cast<std::int64_t>(box->value()), explorer->parameters()->values().budget);
    QCOMPARE(explorer->parameters()->undoStack()->count(), steps + 1);
    QVERIFY(explorer->whatIf()->isStale());
    QVERIFY(m_shared->settle(1));
    const auto after = explorer->whatIf()->layerInView();
    QVERIFY(explorer->whatIf()->isWhatIf(1));
    QVERIFY(after->plan->mask.density() < before->plan->mask.density());
    QVERIFY(after->metrics.value("retained_mass") < before->metrics.value("retained_mass"));
    QVERIFY(m_shared->child<MetricTile>("metric-density")->value() != metric);
    QVERIFY(m_shared->child<MatrixView>("matrixView")->grab().toImage() != picture);

    m_shared->window()->action("edit.undo")->trigger();
    QCOMPARE(explorer->parameters()->values().budget, budget);
    QVERIFY(m_shared->settle(1));
    QVERIFY(explorer->whatIf()->layerInView()->plan->mask == before->plan->mask);
    QVERIFY(!explorer->whatIf()->isWhatIf(1));
    QCOMPARE(m_shared->child<MetricTile>("metric-density")->value(), metric);
    explorer->view()->setLayer(0);
    QVERIFY(m_shared->settle(1));
  }

  void aChangeStartsAtOnceAndTheLastOneOfADragIsShown() {
    Explorer* explorer = m_shared->explorer();
    const std::int64_t budget = explorer->parameters()->values().budget;
    QVERIFY(!explorer->engine()->isBusy(JobKind::kLayer));
    bool started = false;
    {
      // The engine is held, so that the job cannot be over before anyone looks.
      std::binary_semaphore held(0);
      explorer->engine()->submit(JobKind::kRow, [&held](const JobContext& /*job*/) { held.acquire(); });
      explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{400});
      started = explorer->engine()->isBusy(JobKind::kLayer);
      held.release();
      QTRY_VERIFY(!explorer->engine()->isBusy(JobKind::kRow));
    }
    QVERIFY(started);
    for (const std::int64_t next : {480, 560, 640}) explorer->parameters()->set(QStringLiteral("budget"), next);
    QVERIFY(m_shared->settle(1));
    QCOMPARE(explorer->whatIf()->layerInView()->parameters.budget, 640);
    explorer->parameters()->set(QStringLiteral("budget"), budget);
    QVERIFY(m_shared->settle(1));
  }

  void whatWasUndoneIsNotShownLate() {
    Explorer* explorer = m_shared->explorer();
    const auto before = explorer->whatIf()->layerInView();
    explorer->parameters()->beginGesture();  // a step of its own, however soon after the last one
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    explorer->parameters()->endGesture();
    while (explorer->engine()->isBusy(JobKind::kLayer)) QThread::msleep(2);  // done, and not yet delivered
    explorer->parameters()->undoStack()->undo();
    QCoreApplication::processEvents();
    QCOMPARE(explorer->whatIf()->layerInView(), before);
    QVERIFY(m_shared->settle(1));
  }

  void aWhatIfThatMadeWayForACancelIsDoneAgain() {
    WindowUnderTest fresh(6000);
    Explorer* explorer = fresh.explorer();
    QStringList refused;
    connect(explorer, &Explorer::message, this, [&](const QString& sentence, bool failed) {
      if (failed) refused << sentence;
    });
    bool cancelled = false;
    connect(explorer->engine(), &Engine::started, this, [&](JobKind kind, quint64) {
      if (kind != JobKind::kLayer || cancelled) return;
      cancelled = true;
      explorer->cancel();
    });
    fresh->start();
    QTRY_VERIFY_WITH_TIMEOUT(explorer->history()->progress().running && explorer->whatIf()->layerInView(), 60000);
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{640});
    QTRY_VERIFY_WITH_TIMEOUT(cancelled && !explorer->engine()->isBusy(), 60000);
    QVERIFY2(refused.isEmpty(), qPrintable(refused.join(u' ')));
    QCOMPARE(explorer->whatIf()->layerInView()->parameters.budget, 640);
  }

  void afterUndoEveryLayerIsAsTheRunLeftIt() {
    Explorer* explorer = m_shared->explorer();
    std::vector<double> before;
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer)
      before.push_back(explorer->whatIf()->layer(layer)->metrics.value("density"));
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    const auto all = [&](std::int64_t budget) {
      for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer)
        if (explorer->whatIf()->layer(layer)->parameters.budget != budget) return false;
      return true;
    };
    QTRY_VERIFY_WITH_TIMEOUT(all(320), 60000);
    explorer->parameters()->undoStack()->undo();
    QTRY_VERIFY_WITH_TIMEOUT(all(explorer->parameters()->values().budget), 60000);
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer) {
      QVERIFY(!explorer->whatIf()->isWhatIf(layer));
      QCOMPARE(explorer->whatIf()->layer(layer)->metrics.value("density"), before[static_cast<std::size_t>(layer)]);
    }
    QVERIFY(m_shared->settle(1));
  }

  // All layers are of one run: those that a cancelled one had replaced come back.
  void aCancelledRunLeavesTheLayersOfTheLastOne() {
    WindowUnderTest fresh(3000);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    const SparsityParameters ran = explorer->whatIf()->ranWith();
    std::vector<const void*> captured;
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer)
      captured.push_back(explorer->whatIf()->layer(layer)->captured.get());
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    QVERIFY(fresh.settle(1));
    bool cancelled = false;
    connect(explorer->whatIf(), &WhatIf::layerChanged, this, [&](int layer) {
      if (layer < 1 || cancelled || !explorer->history()->progress().running) return;
      QVERIFY(explorer->whatIf()->layer(0)->captured.get() != captured[0]);
      cancelled = true;
      explorer->cancel();
    });
    explorer->history()->run();
    QTRY_VERIFY_WITH_TIMEOUT(cancelled && !explorer->history()->progress().running, 60000);
    QVERIFY(fresh.settle(1));
    QVERIFY(explorer->whatIf()->ranWith() == ran);
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer) {
      QCOMPARE(explorer->whatIf()->layer(layer)->captured.get(), captured[static_cast<std::size_t>(layer)]);
      QCOMPARE(explorer->whatIf()->layer(layer)->parameters.budget, 320);
    }
  }

  // While figures rest on some rows, everything that shows them says so, with an error; afterwards nothing does.
  void sampledFiguresAreMarkedUntilTheyAreExact() {
    WindowUnderTest fresh(4000);
    Explorer* explorer = fresh.explorer();
    bool seen = false;
    connect(
        explorer->whatIf(), &WhatIf::layerChanged, fresh.window(),
        [&](int layer) {
          const auto shown = explorer->whatIf()->layer(layer);
          if (seen || layer != explorer->view()->layer() || shown->row_step() == 1) return;
          seen = true;
          const auto* tile = fresh.child<MetricTile>("metric-retained_mass");
          QVERIFY2(tile->value().startsWith(u'≈') && tile->value().contains(u'±'), qPrintable(tile->value()));
          QVERIFY2(tile->toolTip().contains(QStringLiteral("one in ")), qPrintable(tile->toolTip()));
          QVERIFY(!fresh.child<MetricTile>("metric-density")->value().contains(u'≈'));  // always exact
          const QString cell = fresh.child<HeadMap>("headMap")->describe(layer, 0);
          QVERIFY2(cell.contains(u'≈') && cell.contains(u'±'), qPrintable(cell));
          const QString token = fresh.child<ImportanceStrip>("importanceStrip")->describe(10);
          QVERIFY2(token.contains(u'≈'), qPrintable(token));
          const LayerModel layers(explorer);
          QVERIFY(layers.index(layer, LayerModel::columnOf("iou")).data().toString().contains(u'±'));
          const QStringList lines = layers.tabSeparated().split(u'\n');
          const qsizetype at = lines[0].split(u'\t').indexOf(QStringLiteral("iou_standard_error"));
          QVERIFY(at > 0 && lines[1 + layer].split(u'\t')[at].toDouble() > 0);
        },
        Qt::QueuedConnection);
    QVERIFY(fresh.startAndSettle());
    QVERIFY(seen);
    for (const char* name : {"metric-retained_mass", "metric-iou", "metric-output_error"})
      QVERIFY(!fresh.child<MetricTile>(name)->value().contains(u'≈'));
    const int layer = explorer->view()->layer();
    QVERIFY(!fresh.child<HeadMap>("headMap")->describe(layer, 0).contains(u'≈'));
    // Of the whole run some layers are still of some rows.
    QVERIFY(explorer->history()->current()->values.at("retained_mass").sampled());
  }

  // Numbers belong to a document: those of the text before are not shown beside another.
  void anotherTextTakesTheOldNumbersAway() {
    WindowUnderTest fresh(400);
    fresh.explorer()->history()->setCompareAfterRun(true);
    fresh->start();
    QVERIFY(fresh.settle(2));
    Explorer* explorer = fresh.explorer();
    auto* logits = fresh.child<QLabel>("logits");
    QTRY_VERIFY(logits->text().contains(QStringLiteral("KL")));
    QVERIFY(logits->isEnabled());
    // Other parameters than those of the run: said, and greyed.
    QVERIFY(explorer->history()->current()->values.find("mean_kl_nats") != nullptr);
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    QVERIFY(logits->text().contains(QStringLiteral("last run")) && !logits->isEnabled());
    explorer->parameters()->undoStack()->undo();
    QVERIFY(!logits->text().contains(QStringLiteral("last run")) && logits->isEnabled());
    const Run* run = explorer->history()->current();
    QVERIFY(run && run->elapsed >= run->result.seconds);
    QTRY_VERIFY(fresh.child<MetricTile>("elapsed")->accessibleDescription().contains(QStringLiteral("elapsed")));
    bool seen = false;
    connect(explorer->session(), &Session::opened, this, [&] {
      seen = true;
      QVERIFY(explorer->history()->current() == nullptr);
      QVERIFY(!logits->text().contains(QStringLiteral("KL")));
      QCOMPARE(explorer->history()->progress().fraction(), 0.0);
      QCOMPARE(fresh.child<MetricTile>("elapsed")->value(), QStringLiteral("–"));
      QCOMPARE(fresh.child<MetricTile>("metric-retained_mass")->value(), QStringLiteral("–"));
      QVERIFY(fresh.child<HeadMap>("headMap")->describe(0, 0).contains(QStringLiteral("not measured")));
      QCOMPARE(fresh.child<ImportanceStrip>("importanceStrip")->tokens(), 0);
    });
    DocumentRequest other;
    other.text = WindowUnderTest::proseOf(300);
    explorer->session()->openDocument(other);
    QTRY_VERIFY_WITH_TIMEOUT(seen, 30000);
    QVERIFY(fresh.settle(3));
    QTRY_VERIFY(!fresh.child<QPushButton>("cancel")->isEnabled());
    // Another model, too.
    seen = false;
    explorer->session()->openModel({});
    QTRY_VERIFY_WITH_TIMEOUT(seen, 60000);
    QVERIFY(fresh.settle(4));
  }

  void aCutTextSaysHowMuchOfItIsThere() {
    WindowUnderTest fresh(16000);
    fresh->start();
    QTRY_VERIFY_WITH_TIMEOUT(fresh.explorer()->session()->document() != nullptr, 60000);
    const auto document = fresh.explorer()->session()->document();
    QVERIFY(document->tokens() < document->content.whole_tokens);
    QVERIFY(fresh.child<QLabel>("textHeading")
                ->text()
                .contains(QLocale().toString(static_cast<qlonglong>(document->content.whole_tokens))));
    // Cancelled: there is no run, and nothing looks as if one was there.
    Explorer* explorer = fresh.explorer();
    QTRY_VERIFY_WITH_TIMEOUT(explorer->history()->progress().layer >= 0, 60000);
    fresh->action("run.cancel")->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(!explorer->engine()->isBusy(JobKind::kPrefill), 60000);
    QVERIFY(fresh.child<QLabel>("performanceHeading")->text().contains(QStringLiteral("No run yet")));
    QCOMPARE(fresh.child<PerformancePanel>("performancePanel")->findChild<QProgressBar*>()->value(), 0);
    fresh.close();
  }

  void aDifferenceIsOfMatricesOfOneKind() {
    auto* panel = m_shared->child<MatrixPanel>("matrixPanel");
    const auto* modes = m_shared->child<QComboBox>("compareMode");
    const int difference = static_cast<int>(CompareMode::Difference);
    const auto offered = [&] { return modes->model()->index(difference, 0).flags().testFlag(Qt::ItemIsEnabled); };
    panel->setContent(0, MatrixContent::kDense);
    panel->setContent(1, MatrixContent::kMask);
    QVERIFY(!offered());
    panel->setContent(1, MatrixContent::kSparse);
    QVERIFY(offered());
    panel->setMode(CompareMode::Difference);
    QCOMPARE(modes->currentIndex(), difference);
    panel->setContent(1, MatrixContent::kMask);
    QCOMPARE(modes->currentIndex(), static_cast<int>(CompareMode::SideBySide));
  }

  void goingBackToAHeadKeepsItsAttention() {
    ViewState* view = m_shared->explorer()->view();
    const int head = view->head();
    view->setHead(head + 1);
    view->setHead(head);
    QVERIFY(m_shared->settle(1));
    QCOMPARE(static_cast<int>(m_shared->explorer()->whatIf()->attention()->input().heads.front()), head);
  }

  void whatIfEqualsARunForTheFirstLayer() {
    // Layer 0 sees the same hidden states whatever the mask, so what-if must give exactly what a run would.
    WindowUnderTest fresh(400);
    QVERIFY(fresh.startAndSettle());
    fresh.explorer()->view()->setLayer(0);
    QVERIFY(fresh.settle(1));
    fresh.explorer()->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    QVERIFY(fresh.settle(1));
    const auto whatIf = fresh.explorer()->whatIf()->layer(0);
    QVERIFY(fresh.explorer()->whatIf()->isWhatIf(0));
    fresh.explorer()->history()->run();
    QVERIFY(fresh.settle(2));
    const auto ran = fresh.explorer()->whatIf()->layer(0);
    QVERIFY(!fresh.explorer()->whatIf()->isWhatIf(0));
    QVERIFY(ran->plan->mask == whatIf->plan->mask);
    QCOMPARE(ran->metrics.value("retained_mass"), whatIf->metrics.value("retained_mass"));
  }

  void parametersThatAMethodIgnoresAreHidden() {
    Explorer* explorer = m_shared->explorer();
    auto* panel = m_shared->child<ParametersPanel>("parametersPanel");
    QVERIFY(panel->editor(QStringLiteral("chunks-per-block"))->isVisibleTo(panel));
    explorer->parameters()->set(QStringLiteral("method"), std::string("dense"));
    QVERIFY(!panel->editor(QStringLiteral("chunks-per-block"))->isVisibleTo(panel));
    QVERIFY(!panel->editor(QStringLiteral("budget"))->isVisibleTo(panel));
    QVERIFY(panel->editor(QStringLiteral("method"))->isVisibleTo(panel));
    explorer->parameters()->undoStack()->undo();
    QVERIFY(panel->editor(QStringLiteral("chunks-per-block"))->isVisibleTo(panel));
    // The demo model has a predictor, whose window is its own.
    QVERIFY(panel->editor(QStringLiteral("boundary-window"))->isVisibleTo(panel));
    explorer->parameters()->set(QStringLiteral("boundaries"), std::string("auto"));
    QVERIFY(!panel->editor(QStringLiteral("boundary-window"))->isVisibleTo(panel));
    QVERIFY(panel->editor(QStringLiteral("predictor"))->isVisibleTo(panel));
    explorer->parameters()->undoStack()->undo();
    QVERIFY(m_shared->settle(1));
  }

  void aContradictionIsShownAndNothingIsLost() {
    Explorer* explorer = m_shared->explorer();
    const auto before = explorer->whatIf()->layerInView();
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{100});
    auto* problem = m_shared->child<QLabel>("problem");
    QVERIFY(problem->isVisibleTo(m_shared->window()));
    QVERIFY(!problem->text().isEmpty());
    QVERIFY(!m_shared->child<QPushButton>("run")->isEnabled());
    QCOMPARE(explorer->whatIf()->layerInView(), before);
    explorer->parameters()->undoStack()->undo();
    QVERIFY(!problem->isVisibleTo(m_shared->window()));
    QVERIFY(m_shared->settle(1));
  }

  void aBadModelFolderLeavesTheOldOne() {
    QVERIFY(m_shared->settle(1));
    Explorer* explorer = m_shared->explorer();
    const auto model = explorer->session()->model();
    const auto layer = explorer->whatIf()->layerInView();
    const QString folder = m_shared->filePath(QStringLiteral("no-model"));
    QVERIFY(QDir().mkpath(folder));
    m_shared->window()->openModelFolder(folder);
    MessageBar* messages = m_shared->window()->messageBar();
    QTRY_VERIFY(messages->isVisible() && messages->isError());
    QVERIFY2(messages->text().contains(QStringLiteral("no-model")), qPrintable(messages->text()));
    // One that begins well and then does not: config without weights.
    write_file(folder.toStdString() + "/config.json",
               read_file(std::string(DHSA_RESOURCES) + "/models/demo/config.json"));
    messages->hide();
    explorer->session()->openModel(folder);
    QTRY_VERIFY(messages->isVisible() && messages->isError());
    QTRY_VERIFY(!explorer->engine()->isBusy());
    QCOMPARE(explorer->session()->model(), model);
    QCOMPARE(explorer->whatIf()->layerInView(), layer);
    messages->hide();
  }

  void aMissingTextLeavesTheOldOne() {
    Explorer* explorer = m_shared->explorer();
    const auto document = explorer->session()->document();
    m_shared->window()->openText(m_shared->filePath(QStringLiteral("absent.txt")));
    QTRY_VERIFY(m_shared->window()->messageBar()->isError() && m_shared->window()->messageBar()->isVisible());
    QCOMPARE(explorer->session()->document(), document);
    m_shared->window()->messageBar()->hide();
  }

  void aDamagedSessionLeavesEverything() {
    Explorer* explorer = m_shared->explorer();
    const auto layer = explorer->whatIf()->layerInView();
    const QString path = m_shared->filePath(QStringLiteral("bad.dhsa-session"));
    write_file(path.toStdString(), "{\"application\": \"dhsa-expl");
    QVERIFY(!m_shared->window()->openSession(path));
    QVERIFY(m_shared->window()->messageBar()->isError());
    QCOMPARE(explorer->whatIf()->layerInView(), layer);
    m_shared->window()->messageBar()->hide();
  }

  void cancelActsAndLeavesTheLastRun() {
    WindowUnderTest fresh(4000);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    QSignalSpy cancelled(explorer->engine(), &Engine::cancelled);
    QElapsedTimer clock;
    // By the signal: on a busy machine a poll may find the run over.
    connect(explorer->history(), &RunHistory::progressChanged, this, [&] {
      if (clock.isValid() || !explorer->history()->progress().running || explorer->history()->progress().layer < 1)
        return;
      clock.start();
      fresh.child<QPushButton>("cancel")->click();
    });
    explorer->history()->run();
    QTRY_COMPARE_WITH_TIMEOUT(cancelled.count(), 1, 20000);
    qInfo("cancelled after %lld ms", static_cast<long long>(clock.elapsed()));
    QVERIFY(!explorer->history()->progress().running);
    QCOMPARE(explorer->history()->runs()->size(), 1);
    QVERIFY(explorer->whatIf()->layerInView() != nullptr);
    QVERIFY(fresh.settle(1));
  }

  void closingWithFloatingPanelsIsSafe() {
    WindowUnderTest fresh(300);
    QVERIFY(fresh.startAndSettle());
    for (const char* name : kDocks) fresh->dock(QString::fromLatin1(name))->setFloating(true);
    QTRY_VERIFY(fresh->dock(QStringLiteral("metrics"))->isWindow());
    fresh.close();
  }

  void closingWhileRunningIsSafe() {
    for (int layers = 0; layers < 3; ++layers) {
      WindowUnderTest fresh(3000);
      bool reached = false;
      connect(fresh.explorer()->history(), &RunHistory::progressChanged, this, [&] {
        reached |=
            fresh.explorer()->history()->progress().running && fresh.explorer()->history()->progress().layer >= layers;
      });
      fresh->start();
      QTRY_VERIFY_WITH_TIMEOUT(reached, 60000);
      fresh->close();
      fresh.close();
    }
    // And while the model is still being read.
    WindowUnderTest fresh(300);
    fresh->start();
    fresh.close();
  }

  void theWindowNeverWaitsForTheEngine() {
    WindowUnderTest fresh(5000);
    fresh.explorer()->history()->setCompareAfterRun(true);
    fresh->start();
    QTRY_VERIFY_WITH_TIMEOUT(fresh.explorer()->session()->document() != nullptr, 60000);
    QVERIFY(fresh.explorer()->session()->document()->tokens() > 6000);
    const Heartbeat heart;
    QVERIFY(fresh.settle(2));
    heart.say("run, comparison and refinement");
    QVERIFY(heart.beats() > 50);
    // The comparison came in: a dense run and logits.
    const Run* run = fresh.explorer()->history()->current();
    QVERIFY(run && run->result.logits && run->result.logits->positions > 100);
    QVERIFY(run->result.logits->mean_kl.value >= 0 && run->result.logits->same_top.value > 0.5);
  }

  // One runner: the same text under the same parameters gives the command's numbers.
  void aRunIsTheOneOfTheCommand() {
    WindowUnderTest fresh(900);
    write_file(fresh.textPath().toStdString(),
               WindowUnderTest::proseOf(900).toStdString() + "Question: Which towns sent letters?\n");
    fresh.explorer()->history()->setCompareAfterRun(true);
    fresh->start();
    QVERIFY(fresh.settle(2));
    const Explorer* explorer = fresh.explorer();
    QTRY_VERIFY(explorer->history()->current()->result.logits.has_value());
    const Run& run = *explorer->history()->current();
    const auto document = explorer->session()->document();
    const auto model = explorer->session()->model();
    QVERIFY(document->content.question_tokens > 0);
    QCOMPARE(run.parameters.instruction_tokens, document->content.question_tokens);
    SparsityParameters parameters;
    parameters.instruction_tokens = document->content.question_tokens;
    const std::vector<MethodChoice> choices = {{"dense", named_parameters("dense")}, {"dhsa", parameters}};
    const Comparison command =
        compare_methods(*model->weights, document->content.encoding.ids, document->content.info(), choices, {},
                        model->tokenizer.get(), loadPredictor(parameters, *model));
    const Values values = summarise(command.runs[1]);
    for (const char* key : {"density", "mean_kl_nats", "same_top", "chunks"})
      QCOMPARE(run.values.value(key), values.value(key));
    QCOMPARE(run.result.logits->positions, command.runs[1].logits->positions);
    QCOMPARE(run.result.answer, command.runs[1].answer);
    const Run* dense = explorer->history()->dense();
    QVERIFY(dense && dense->values.value("retained_mass") == 1.0 && !dense->values.sampled());
    // It answers as well: what an answer needs counts in the memory of both.
    QVERIFY(!dense->result.answer.empty());
    QCOMPARE(dense->result.answer, command.runs[0].answer);
  }

  // After a comparison the bars belong to the run in view, not to the dense one that came last.
  void theStageBarsShowTheRunInView() {
    WindowUnderTest fresh(600);
    fresh.explorer()->history()->setCompareAfterRun(true);
    fresh->start();
    QVERIFY(fresh.settle(2));
    const Run* run = fresh.explorer()->history()->current();
    QVERIFY(run && run->parameters.method == Method::kDhsa && fresh.explorer()->history()->progress().dense);
    for (int layer = 0; layer < fresh.explorer()->whatIf()->layers(); ++layer) {
      double seconds = 0;
      for (const Stage stage : {Stage::kQkv, Stage::kPlan, Stage::kAttend, Stage::kOutput, Stage::kMlp})
        seconds += run->result.trace.stage_seconds(stage, layer);
      QVERIFY(std::abs(fresh.child<StageBars>("stageBars")->layerSeconds(layer) - seconds) < 1e-12);
    }
  }

  // Side by side, a matrix that is being made keeps its place: the other does not jump.
  void theOtherMatrixStaysWhileOneIsMade() {
    Explorer* explorer = m_shared->explorer();
    auto* matrix = m_shared->child<MatrixView>("matrixView");
    const QRectF first = matrix->plotRect(0);
    const QRectF second = matrix->plotRect(1);
    explorer->view()->setLayer(explorer->view()->layer() == 3 ? 5 : 3);
    QVERIFY(explorer->whatIf()->attention() == nullptr);
    QCOMPARE(matrix->plotRect(0), first);
    QCOMPARE(matrix->plotRect(1), second);
    QVERIFY(m_shared->settle(1));
    QCOMPARE(matrix->plotRect(0), first);
    explorer->view()->setLayer(0);
    QVERIFY(m_shared->settle(1));
  }

  void allShortcutsDifferAndAreListed() {
    QSet<QString> seen;
    for (const CommandInfo& command : commandTable()) {
      const QString keys = commandShortcut(command).toString();
      if (keys.isEmpty()) continue;
      QVERIFY2(!seen.contains(keys), qPrintable(keys));
      seen.insert(keys);
    }
    m_shared->window()->action("help.shortcuts")->trigger();
    auto* dialog = m_shared->window()->findChild<QDialog*>(QStringLiteral("shortcuts"));
    QVERIFY(dialog && dialog->isVisible());
    auto* tree = dialog->findChild<QTreeWidget*>();
    QSet<QString> listed;
    for (QTreeWidgetItemIterator at(tree); *at != nullptr; ++at)
      listed.insert(QKeySequence::fromString((*at)->text(1), QKeySequence::NativeText).toString());
    for (const QString& keys : seen) QVERIFY2(listed.contains(keys), qPrintable(keys));
    dialog->close();
  }

  void restoringASessionGivesTheSamePicture() {
    const QString path = m_shared->filePath(QStringLiteral("s.dhsa-session"));
    WindowUnderTest fresh(500);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    explorer->session()->reloadModel({.device = Device::kCpu, .compute = DType::kBFloat16});
    QVERIFY(fresh.settle(2));
    explorer->view()->setLayer(3);
    explorer->view()->setHead(2);
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{288});
    explorer->view()->selectRow(200);
    explorer->view()->selectKeys(50, 80);
    auto* matrix = fresh.child<MatrixView>("matrixView");
    matrix->setView(QRectF(20, 30, 300, 300));
    fresh.child<QComboBox>("compareMode")->setCurrentIndex(static_cast<int>(CompareMode::Split));
    fresh.child<QComboBox>("shading")->setCurrentIndex(1);
    QVERIFY(fresh.settle(1));
    QTRY_VERIFY(explorer->whatIf()->row() && explorer->whatIf()->row()->layer == 3);
    static_cast<void>(matrix->grab());
    QTRY_VERIFY_WITH_TIMEOUT(matrix->isAtRest(), 60000);
    QTest::qWait(100);  // mouse-over effects come by timers
    const QImage picture = matrix->grab().toImage();
    const QImage text = fresh.child<TextView>("textView")->grab().toImage();
    const double mass = explorer->whatIf()->layerInView()->metrics.value("retained_mass");
    const QByteArray layout = fresh->saveState();
    QVERIFY(fresh->saveSession(path));

    fresh.open();
    QVERIFY(fresh->openSession(path));
    QVERIFY(fresh.settle(1));
    explorer = fresh.explorer();
    QTRY_VERIFY(explorer->parameters()->values().budget == 288);
    QVERIFY(fresh.settle(1));
    QTRY_VERIFY(explorer->whatIf()->row() && explorer->whatIf()->row()->layer == 3);
    matrix = fresh.child<MatrixView>("matrixView");
    static_cast<void>(matrix->grab());
    QTRY_VERIFY_WITH_TIMEOUT(matrix->isAtRest(), 60000);
    QTest::qWait(100);
    QCOMPARE(explorer->view()->layer(), 3);
    QCOMPARE(explorer->view()->head(), 2);
    QCOMPARE(explorer->view()->row(), 200);
    QCOMPARE(matrix->view(), QRectF(20, 30, 300, 300));
    QVERIFY(explorer->session()->model()->weights->options().compute == DType::kBFloat16);
    QCOMPARE(explorer->whatIf()->layerInView()->metrics.value("retained_mass"), mass);
    QVERIFY(explorer->whatIf()->isWhatIf(3));
    fresh->messageBar()->hide();
    QTRY_COMPARE(matrix->grab().toImage().size(), picture.size());
    const QImage again = matrix->grab().toImage();
    if (again != picture) {
      picture.save(QDir::temp().filePath(QStringLiteral("session-before.png")));
      again.save(QDir::temp().filePath(QStringLiteral("session-after.png")));
    }
    QVERIFY(again == picture);
    QVERIFY(fresh.child<TextView>("textView")->grab().toImage() == text);
    QCOMPARE(fresh->saveState(), layout);
  }

  void aTextCanBePastedAndDropped() {
    WindowUnderTest fresh(200);
    QVERIFY(fresh.startAndSettle());
    QGuiApplication::clipboard()->setText(QString::fromUtf8(WindowUnderTest::proseOf(250)));
    fresh->action("file.paste")->trigger();
    QTRY_COMPARE_WITH_TIMEOUT(fresh.explorer()->session()->document()->title, QStringLiteral("Pasted text"), 30000);
    QVERIFY(fresh.settle(2));

    QMimeData mime;
    mime.setUrls({QUrl::fromLocalFile(fresh.textPath())});
    QDragEnterEvent enter(QPoint(100, 100), Qt::CopyAction, &mime, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(fresh.window(), &enter);
    QVERIFY(enter.isAccepted());
    QDropEvent drop(QPointF(100, 100), Qt::CopyAction, &mime, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(fresh.window(), &drop);
    QTRY_COMPARE_WITH_TIMEOUT(fresh.explorer()->session()->document()->title, QStringLiteral("prose.txt"), 30000);
    QVERIFY(fresh.settle(3));
  }

  void undoWorksFromInsideASpinBox() {
    Explorer* explorer = m_shared->explorer();
    auto* panel = m_shared->child<ParametersPanel>("parametersPanel");
    auto* box = qobject_cast<QSpinBox*>(panel->editor(QStringLiteral("budget")));
    const int before = box->value();
    m_shared->window()->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_shared->window()));
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Up);
    QCOMPARE(static_cast<int>(explorer->parameters()->values().budget), before + 1);
    QTest::keyClick(box, Qt::Key_Z, Qt::ControlModifier);
    QCOMPARE(static_cast<int>(explorer->parameters()->values().budget), before);
    QVERIFY(m_shared->settle(1));
  }
};

QTEST_MAIN(TestWindow)
#include "tst_window.moc"
