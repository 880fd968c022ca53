// What a person meets who is new to the window: loads that fail, menus by keys, small screens, words that explain.
#include <QDialog>
#include <QDockWidget>
#include <QHash>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QMenu>
#include <QMenuBar>
#include <QPushButton>
#include <QScreen>
#include <QStatusBar>
#include <QTableView>
#include <QTest>
#include <QToolTip>
#include <QTreeView>
#include <QTreeWidget>
#include <QUndoStack>
#include <nlohmann/json.hpp>

#include "core/files/atomic_write.h"
#include "tests/ui/window_under_test.h"
#include "ui/models/chunk_model.h"
#include "ui/models/format.h"
#include "ui/models/method_list.h"
#include "ui/state/longbench_test.h"
#include "ui/state/session_file.h"
#include "ui/views/benchmark_panels.h"
#include "ui/views/export_dialog.h"
#include "ui/views/message_bar.h"
#include "ui/views/metrics_panel.h"
#include "ui/views/performance_panel.h"
#include "ui/views/text_view.h"
#include "ui/views/tool_tips.h"

using namespace dhsa;

class TestFirstUse : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<WindowUnderTest> m_shared;  // settled once, used by tests that leave it as it was

  // Of another text, model and budget, over a row and keys.
  static SessionFile anotherSession() {
    SessionFile session;
    session.documentText = "Another text altogether, which nobody gets to see.";
    session.parameters.budget = session.runParameters.budget = 320;
    session.row = 3;
    session.keysBegin = 1;
    session.keysEnd = 3;
    return session;
  }

  // What is open, and what a later command would take for it.
  struct Open {
    explicit Open(const Explorer& explorer)
        : document(explorer.session()->document()),
          model(explorer.session()->model()),
          layer(explorer.whatIf()->layerInView()),
          request(explorer.session()->request().path),
          text(explorer.session()->request().text),
          parameters(explorer.parameters()->values()),
          row(explorer.view()->row()),
          keys(explorer.view()->keysBegin()) {}
    // What differs; empty: nothing.
    [[nodiscard]] QString difference(const Open& other) const {
      QStringList names;
      if (document != other.document) names << QStringLiteral("document");
      if (model != other.model) names << QStringLiteral("model");
      if (layer != other.layer) names << QStringLiteral("layer");
      if (request != other.request || text != other.text) names << QStringLiteral("request");
      if (parameters != other.parameters) names << QStringLiteral("parameters");
      if (row != other.row || keys != other.keys) names << QStringLiteral("selection");
      return names.join(u' ');
    }
    std::shared_ptr<const OpenDocument> document;
    std::shared_ptr<const LoadedModel> model;
    std::shared_ptr<const MeasuredLayer> layer;
    QString request;
    QByteArray text;
    SparsityParameters parameters;
    qint64 row;
    qint64 keys;
  };

 private Q_SLOTS:
  void initTestCase() {
    m_shared = std::make_unique<WindowUnderTest>();
    QVERIFY(m_shared->startAndSettle());
  }
  void cleanupTestCase() { m_shared.reset(); }

  void aSessionThatCannotBeOpenedLeavesEverything() {
    WindowUnderTest fresh(300);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    const QString own = fresh.filePath(QStringLiteral("own.dhsa-session"));
    QVERIFY(fresh->saveSession(own));
    fresh->messageBar()->hide();
    const Open before(*explorer);

    const QString path = fresh.filePath(QStringLiteral("other.dhsa-session"));
    const auto refused = [&](const SessionFile& session) {
      session.save(path);
      QVERIFY(fresh->openSession(path));
      QTRY_VERIFY_WITH_TIMEOUT(fresh->messageBar()->isVisible() && fresh->messageBar()->isError(), 60000);
      QTRY_VERIFY(!explorer->engine()->isBusy());
      QCOMPARE(Open(*explorer).difference(before), QString());
      fresh->messageBar()->hide();
    };
    SessionFile noModel = anotherSession();
    noModel.modelFolder = fresh.filePath(QStringLiteral("no-model"));
    refused(noModel);
    SessionFile noText = anotherSession();
    noText.documentText.clear();
    noText.documentPath = fresh.filePath(QStringLiteral("no-text.txt"));
    refused(noText);
    // And with a model that could be loaded: not even that is taken.
    noText.modelOptions.compute = DType::kBFloat16;
    refused(noText);

    // Save goes to the session that is open, not to the one that is not.
    explorer->view()->selectRow(20);
    const std::string other = read_file(path.toStdString());
    fresh->action("file.save-session")->trigger();
    QCOMPARE(read_file(path.toStdString()), other);
    QCOMPARE(SessionFile::load(own).row, 20);
    // Loading the model again reads the text that is open.
    explorer->session()->reloadModel({.device = Device::kCpu, .compute = DType::kBFloat16});
    QVERIFY(fresh.settle(2));
    QCOMPARE(explorer->session()->document()->path, before.document->path);
    QCOMPARE(explorer->parameters()->values(), before.parameters);
  }

  void aSessionThatIsCancelledLeavesEverything() {
    WindowUnderTest fresh(300);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    const Open before(*explorer);
    SessionFile session = anotherSession();
    session.modelOptions.compute = DType::kBFloat16;
    const QString path = fresh.filePath(QStringLiteral("other.dhsa-session"));
    session.save(path);
    QVERIFY(fresh->openSession(path));
    QVERIFY(explorer->session()->isLoadingModel());
    explorer->cancel();
    QTRY_VERIFY_WITH_TIMEOUT(!explorer->engine()->isBusy(), 60000);
    QCOMPARE(Open(*explorer).difference(before), QString());
    // What comes next is not taken for the session's.
    DocumentRequest next;
    next.text = session.documentText;
    explorer->session()->openDocument(next);
    QVERIFY(fresh.settle(2));
    QCOMPARE(explorer->session()->document()->source, next.text);
    QCOMPARE(explorer->parameters()->values().budget, before.parameters.budget);
    QCOMPARE(explorer->view()->row(), -1);
  }

  // The last thing asked for is what opens, also where a model comes in between.
  void aTextAskedForDuringALoadIsReadByTheNewModel() {
    WindowUnderTest fresh(300);
    QVERIFY(fresh.startAndSettle());
    Explorer* explorer = fresh.explorer();
    explorer->session()->reloadModel({.device = Device::kCpu, .compute = DType::kBFloat16});
    DocumentRequest next;
    next.text = "A text asked for while a model is loaded.";
    explorer->session()->openDocument(next);
    QTRY_VERIFY_WITH_TIMEOUT(explorer->session()->document()->source == next.text, 60000);
    QVERIFY(explorer->session()->model()->weights->options().compute == DType::kBFloat16);
    QVERIFY(fresh.settle(2));
    QCOMPARE(explorer->session()->document()->source, next.text);
  }

  void everyMenuOpensByItsKey() {
    MainWindow* window = m_shared->window();
    window->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(window));
    for (const char* front : {"matrix", "needle", "sweeps", "ruler", "longbench"}) {
      window->dock(QString::fromLatin1(front))->raise();
      QTRY_VERIFY2(!window->dock(QString::fromLatin1(front))->visibleRegion().isEmpty(), front);
      for (const QAction* entry : window->menuBar()->actions()) {
        const QKeySequence key = QKeySequence::mnemonic(entry->text());
        QVERIFY2(!key.isEmpty(), qPrintable(entry->text()));
        QTest::keyClick(window->focusWidget() ? window->focusWidget() : window, key[0].key(), Qt::AltModifier);
        QTRY_VERIFY2(entry->menu()->isVisible(), qPrintable(QString::fromLatin1(front) + u' ' + entry->text()));
        entry->menu()->close();
        QTest::keyClick(window, Qt::Key_Escape);
      }
    }
    window->dock(QStringLiteral("matrix"))->raise();
  }

  void theWholeWindowIsOnASmallScreen() {
    MainWindow* window = m_shared->window();
    QVERIFY(window->statusBar()->geometry().bottom() < window->height());
    QVERIFY(window->minimumSizeHint().height() <= 752 && window->minimumSizeHint().width() <= 1264);
  }

  // A session keeps the geometry of the screen it was saved on, which may have been a larger one.
  void aSessionOfALargerScreenFitsThisOne() {
    WindowUnderTest fresh(200);
    QVERIFY(fresh.startAndSettle());
    const QString path = fresh.filePath(QStringLiteral("large.dhsa-session"));
    QVERIFY(fresh->saveSession(path));
    const QRect screen = fresh->screen()->availableGeometry();
    for (const bool maximised : {false, true}) {
      QWidget large;
      large.setGeometry(QRect(QPoint(40, 40), screen.size() * 2));
      if (maximised) large.setWindowState(Qt::WindowMaximized);
      SessionFile session = SessionFile::load(path);
      session.geometry = large.saveGeometry();
      session.save(path);
      QVERIFY(fresh->openSession(path));
      QTRY_COMPARE(fresh->isMaximized(), maximised);
      // A screen without a display is narrower than the panels need.
      QTRY_VERIFY2(fresh->frameGeometry().top() >= screen.top() && fresh->frameGeometry().bottom() <= screen.bottom(),
                   qPrintable(QString::number(fresh->height())));
      QVERIFY(fresh->width() <= std::max(screen.width(), fresh->minimumSizeHint().width()));
      QTRY_COMPARE(fresh->statusBar()->mapTo(fresh.window(), fresh->statusBar()->rect().bottomRight()),
                   fresh->rect().bottomRight());
      QVERIFY(fresh.settle(maximised ? 3 : 2));
    }
  }

  void saveHasItsKeyInExportForItself() {
    m_shared->window()->action("file.export-figure")->trigger();
    auto* dialog = m_shared->window()->findChild<ExportDialog*>();
    QVERIFY(dialog != nullptr);
    QHash<QString, QString> keys;
    const auto take = [&](const QString& text) {
      const QString key = QKeySequence::mnemonic(text).toString();
      if (key.isEmpty()) return;
      QVERIFY2(!keys.contains(key), qPrintable(text + u' ' + keys.value(key)));
      keys[key] = text;
    };
    for (const QLabel* label : dialog->findChildren<QLabel*>())
      if (label->buddy() != nullptr) take(label->text());
    for (const QAbstractButton* button : dialog->findChildren<QAbstractButton*>()) take(button->text());
    QVERIFY(keys.value(QStringLiteral("Alt+S")).contains(QStringLiteral("Save")));
    dialog->close();
  }

  // On a small screen: the worst head of all in words that lead there, that of the layer as a figure.
  void theWorstHeadIsNamed() {
    Explorer* explorer = m_shared->explorer();
    QVERIFY(m_shared->settle(1));
    int worstLayer = -1, worstHead = -1;
    double least = 2;
    for (int layer = 0; layer < explorer->whatIf()->layers(); ++layer) {
      const auto& heads = explorer->whatIf()->layer(layer)->metrics.heads;
      for (std::size_t head = 0; head < heads.size(); ++head) {
        if (heads[head].value("retained_mass") >= least) continue;
        least = heads[head].value("retained_mass");
        worstLayer = layer;
        worstHead = static_cast<int>(head);
      }
    }
    auto* worst = m_shared->child<QLabel>("worstHead");
    QVERIFY(worst->isVisible());
    QVERIFY2(worst->text().contains(QStringLiteral("layer %1, head %2").arg(worstLayer).arg(worstHead)),
             qPrintable(worst->text()));
    QVERIFY(worst->text().contains(formatPercent(least)));
    QVERIFY(worst->sizeHint().width() <= worst->width());
    Q_EMIT worst->linkActivated(QStringLiteral("%1,%2").arg(worstLayer).arg(worstHead));
    QCOMPARE(explorer->view()->layer(), worstLayer);
    QCOMPARE(explorer->view()->head(), worstHead);
    QVERIFY(m_shared->settle(1));
    QVERIFY(m_shared->child<MetricTile>("metric-worst_head_mass")
                ->accessibleName()
                .contains(QStringLiteral("(%1)").arg(worstHead)));
    explorer->view()->setHead(0);
    explorer->view()->setLayer(0);
    QVERIFY(m_shared->settle(1));
  }

  void narrowPanelsKeepWhatMattersWhole() {
    m_shared->window()->dock(QStringLiteral("chunks"))->raise();
    auto* chunks = m_shared->child<QTreeView>("chunkTable");
    QTRY_VERIFY(!chunks->isColumnHidden(ChunkModel::kRetention) && chunks->isColumnHidden(ChunkModel::kScore));
    QTRY_VERIFY(chunks->columnWidth(ChunkModel::kRetention) >=
                static_cast<QAbstractItemView*>(chunks)->sizeHintForColumn(ChunkModel::kRetention));
    QVERIFY(chunks->header()->sectionSize(ChunkModel::kRetention) >=
            chunks->fontMetrics().horizontalAdvance(QStringLiteral("Kept by")));
    m_shared->window()->dock(QStringLiteral("text"))->raise();
    // Every layer's cost keeps a line to be read on, however low the panel is.
    const auto* bars = m_shared->child<StageBars>("stageBars");
    QVERIFY(bars->rowHeight() >= bars->fontMetrics().height() - 2);
    QVERIFY(bars->height() >= bars->legendHeight() + m_shared->explorer()->whatIf()->layers() * bars->rowHeight());
    for (const char* panel : {"needlePanel", "sweepPanel", "suitePanel", "longBenchPanel"}) {
      const auto* methods = m_shared->child<QWidget>(panel)->findChild<QListView*>(QStringLiteral("methods"));
      const int room = methods->viewport()->width();
      for (int row = 0; row < methods->model()->rowCount(); ++row) {
        const QString name = methods->model()->index(row, 0).data().toString();
        QVERIFY2(methods->sizeHintForIndex(methods->model()->index(row, 0)).width() <= room, qPrintable(name));
      }
    }
  }

  // A row's loss stands beside the text in numbers and words, and its tokens lead there.
  void theLossOfTheSelectedRowIsReadBesideTheText() {
    Explorer* explorer = m_shared->explorer();
    auto* loss = m_shared->child<QLabel>("rowLoss");
    QVERIFY(loss->isHidden());
    explorer->view()->setLayer(1);
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{320});
    QVERIFY(m_shared->settle(1));
    const qint64 row = explorer->session()->document()->tokens() - 2;
    explorer->view()->selectRow(row);
    QTRY_VERIFY(explorer->whatIf()->row() && explorer->whatIf()->row()->row == row &&
                explorer->whatIf()->row()->layer == 1);
    const auto shown = explorer->whatIf()->row();
    QVERIFY(shown->dropped_important > 0);
    QTRY_VERIFY(loss->isVisible());
    QVERIFY2(loss->text().contains(QLocale().toString(100 * (1 - shown->kept_mass), 'f', 1) + QStringLiteral(" %")),
             qPrintable(loss->text()));
    QVERIFY2(loss->text().contains(QLocale().toString(static_cast<qlonglong>(shown->dropped_important)) +
                                   QStringLiteral(" important key")),
             qPrintable(loss->text()));
    std::size_t worst = 0;
    float most = -1;
    for (std::size_t key = 0; key < shown->fate.size(); ++key) {
      if (shown->fate[key] != KeyFate::kDroppedImportant || shown->mass[key] <= most) continue;
      worst = key;
      most = shown->mass[key];
    }
    const qsizetype link = loss->text().indexOf(QStringLiteral("<a href=\"%1\">").arg(worst));
    QCOMPARE(link, loss->text().indexOf(QStringLiteral("<a href")));  // the worst comes first
    Q_EMIT loss->linkActivated(QString::number(worst));
    QCOMPARE(explorer->view()->keysBegin(), static_cast<qint64>(worst));
    const auto* text = m_shared->child<TextView>("textView");
    QVERIFY(text->viewport()->rect().intersects(text->tokenRect(static_cast<qint64>(worst))));
    explorer->view()->selectKeys(0, 0);
    explorer->view()->selectRow(-1);
    QTRY_VERIFY(loss->isHidden());
    explorer->parameters()->undoStack()->undo();
    explorer->view()->setLayer(0);
    QVERIFY(m_shared->settle(1));
  }

  void theTextAlwaysHasALegend() {
    Explorer* explorer = m_shared->explorer();
    const auto* legend = m_shared->child<QWidget>("textLegend");
    QVERIFY(legend->isVisible() && legend->accessibleName().contains(QStringLiteral("chunk")));
    m_shared->child<QComboBox>("shading")->setCurrentIndex(1);
    QVERIFY(legend->accessibleName().contains(QStringLiteral("received mass")));
    m_shared->child<QComboBox>("shading")->setCurrentIndex(0);
    explorer->view()->selectRow(40);
    QTRY_VERIFY(legend->accessibleName().contains(QStringLiteral("dropped but important")));
    QVERIFY(legend->isVisible() && legend->height() > 0);
    explorer->view()->selectRow(-1);
    QTRY_VERIFY(!legend->accessibleName().contains(QStringLiteral("dropped")));
  }

  // The keyboard's token is described as it is seen from the row that is selected now.
  void theStatusFollowsTheSelection() {
    Explorer* explorer = m_shared->explorer();
    auto* text = m_shared->child<TextView>("textView");
    const auto* status = m_shared->child<QLabel>("cellStatus");
    m_shared->window()->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_shared->window()));
    text->setFocus();
    explorer->view()->selectRow(50);
    for (const qint64 row : {51, 52}) {
      QTest::keyClick(text, Qt::Key_Right);
      QTRY_VERIFY2(status->text().contains(QStringLiteral("by row %1").arg(row)), qPrintable(status->text()));
      QVERIFY2(status->text().startsWith(QStringLiteral("Token %1 ").arg(row)), qPrintable(status->text()));
    }
    explorer->view()->selectRow(-1);
  }

  // A budget that the test or a sweep sets is no part of a method's name.
  void aMethodIsNamedAfterWhatIsRun() {
    Explorer* explorer = m_shared->explorer();
    explorer->parameters()->set(QStringLiteral("budget"), std::int64_t{512});
    MethodList list(explorer->parameters());
    QCOMPARE(list.choices().back().name, std::string("dhsa+budget=512"));
    list.setReplaced({"budget"});
    QCOMPARE(list.choices().back().name, std::string("dhsa"));
    for (int row = 0; row < list.rowCount(); ++row)
      QVERIFY(!list.index(row).data(Qt::ToolTipRole).toString().contains(QStringLiteral("Budget ")));
    for (const char* panel : {"needlePanel", "sweepPanel", "suitePanel"}) {
      const auto* frame = m_shared->child<QWidget>(panel)->findChild<ExperimentFrame*>();
      QVERIFY(frame != nullptr);
      for (const MethodChoice& method : frame->methods()->choices())
        QVERIFY2(method.name.find("budget") == std::string::npos, (std::string(panel) + ' ' + method.name).c_str());
    }
    explorer->parameters()->undoStack()->undo();
    QVERIFY(m_shared->settle(1));
  }

  void aTestThatCannotBeginSaysWhy() {
    const auto* panel = m_shared->child<QWidget>("longBenchPanel");
    const auto* details = panel->findChild<QLabel*>(QStringLiteral("scoreDetails"));
    auto* folder = panel->findChild<QLineEdit*>(QStringLiteral("longBenchResults"));
    const auto* start = panel->findChild<QPushButton*>(QStringLiteral("start"));
    QVERIFY(!start->isEnabled());
    QVERIFY2(details->text().contains(QStringLiteral("Choose a folder")), qPrintable(details->text()));
    folder->setText(m_shared->filePath(QStringLiteral("answers")));
    QVERIFY(start->isEnabled());
    QVERIFY2(details->text().contains(QStringLiteral("Start runs the test")), qPrintable(details->text()));
    folder->clear();
  }

  void shortcutsAreWholeAndFound() {
    m_shared->window()->action("help.shortcuts")->trigger();
    auto* dialog = m_shared->window()->findChild<QDialog*>(QStringLiteral("shortcuts"));
    const auto* tree = dialog->findChild<QTreeWidget*>();
    QTRY_VERIFY(tree->isVisible());
    for (int column = 0; column < tree->columnCount(); ++column)
      QVERIFY(tree->columnWidth(column) >= static_cast<const QAbstractItemView*>(tree)->sizeHintForColumn(column));
    auto* find = dialog->findChild<QLineEdit*>(QStringLiteral("findShortcut"));
    const auto shown = [&] {
      QStringList rows;
      for (QTreeWidgetItemIterator at(const_cast<QTreeWidget*>(tree), QTreeWidgetItemIterator::NotHidden); *at; ++at)
        if ((*at)->parent() != nullptr) rows << (*at)->text(0);
      return rows;
    };
    const qsizetype all = shown().size();
    find->setText(QStringLiteral("prefill"));
    QVERIFY2(shown().contains(QStringLiteral("Run prefill")), qPrintable(shown().join(u',')));
    QVERIFY(shown().size() < all / 4);
    find->setText(QStringLiteral("no such command"));
    QVERIFY(shown().isEmpty());
    find->clear();
    QCOMPARE(shown().size(), all);
    dialog->close();
  }

  void longTipsAreBrokenIntoLines() {
    QString tip;
    for (int i = 0; i < 30; ++i) tip += QStringLiteral("several words ");
    QCOMPARE(wrappedTip(QStringLiteral("short")), QStringLiteral("short"));
    QVERIFY(Qt::mightBeRichText(wrappedTip(tip)));
    QVERIFY(wrappedTip(tip + QStringLiteral("a < b & c")).contains(QStringLiteral("a &lt; b &amp; c")));
    auto* run = m_shared->child<QPushButton>("run");
    const QString before = run->toolTip();
    run->setToolTip(tip);
    QHelpEvent help(QEvent::ToolTip, QPoint(5, 5), run->mapToGlobal(QPoint(5, 5)));
    QCoreApplication::sendEvent(run, &help);
    QVERIFY(QToolTip::isVisible());
    for (const QWidget* widget : QApplication::topLevelWidgets()) {
      if (widget->inherits("QTipLabel") && widget->isVisible())
        QVERIFY2(widget->width() < 640, qPrintable(QString::number(widget->width())));
    }
    QToolTip::hideText();
    run->setToolTip(before);
  }
};

QTEST_MAIN(TestFirstUse)
#include "tst_first_use.moc"
