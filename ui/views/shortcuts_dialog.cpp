#include "ui/views/shortcuts_dialog.h"

#include <QDialogButtonBox>
#include <QHeaderView>
#include <QLineEdit>
#include <QScreen>
#include <QScrollBar>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "ui/state/commands.h"

namespace dhsa {

ShortcutsDialog::ShortcutsDialog(QWidget* parent) : QDialog(parent) {
  setObjectName(QStringLiteral("shortcuts"));
  setWindowTitle(tr("Keyboard shortcuts"));
  auto* find = new QLineEdit(this);
  find->setObjectName(QStringLiteral("findShortcut"));
  find->setPlaceholderText(tr("Find a command or a key"));
  find->setAccessibleName(find->placeholderText());
  find->setClearButtonEnabled(true);
  auto* tree = new QTreeWidget(this);
  tree->setAccessibleName(tr("Keyboard shortcuts"));
  tree->setColumnCount(3);
  tree->setHeaderLabels({tr("Command"), tr("Shortcut"), tr("What it does")});
  tree->setUniformRowHeights(true);
  tree->setAlternatingRowColors(true);
  QTreeWidgetItem* group = nullptr;
  QString name;
  const auto open = [&](const QString& title) {
    name = title;
    group = new QTreeWidgetItem(tree, {title});
    QFont font = tree->font();
    font.setBold(true);
    group->setFont(0, font);
    group->setFlags(Qt::ItemIsEnabled);
    group->setExpanded(true);
  };
  for (const CommandInfo& command : commandTable()) {
    const QString title = commandGroup(command).remove(u'&');
    if (title != name) open(title);
    new QTreeWidgetItem(group, {commandText(command).remove(u'&'),
                                commandShortcut(command).toString(QKeySequence::NativeText), commandHelp(command)});
  }
  // Keys that belong to a view rather than to a command.
  open(tr("In the text"));
  for (const auto& [what, keys] : std::initializer_list<std::pair<QString, QString>>{
           {tr("Select a row (query)"), tr("Click, or arrow keys")},
           {tr("Select a range of keys"), tr("Drag")},
           {tr("Move by lines, pages, to the ends"), tr("Up, Down, PgUp, PgDown, Home, End")}}) {
    new QTreeWidgetItem(group, {what, keys});
  }
  open(tr("In the matrix"));
  for (const auto& [what, keys] : std::initializer_list<std::pair<QString, QString>>{
           {tr("Move the crosshair; the cell is read out"), tr("Arrow keys")},
           {tr("Select the row under the crosshair"), tr("Click, or Return")},
           {tr("Zoom"), tr("Wheel, + and −")},
           {tr("Move the view"), tr("Drag")}}) {
    new QTreeWidgetItem(group, {what, keys});
  }
  tree->expandAll();
  // As wide as its longest words, if the screen is.
  int width = tree->verticalScrollBar()->sizeHint().width() + 2 * tree->frameWidth();
  for (int column = 0; column < tree->columnCount(); ++column) {
    tree->resizeColumnToContents(column);
    width += tree->columnWidth(column);
  }
  connect(find, &QLineEdit::textChanged, tree, [tree](const QString& text) {
    for (int at = 0; at < tree->topLevelItemCount(); ++at) {
      QTreeWidgetItem* top = tree->topLevelItem(at);
      bool any = false;
      for (int row = 0; row < top->childCount(); ++row) {
        const QTreeWidgetItem* item = top->child(row);
        const bool shown = item->text(0).contains(text, Qt::CaseInsensitive) ||
                           item->text(1).contains(text, Qt::CaseInsensitive) ||
                           item->text(2).contains(text, Qt::CaseInsensitive);
        top->child(row)->setHidden(!shown);
        any |= shown;
      }
      top->setHidden(!any);
    }
  });
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::close);
  auto* layout = new QVBoxLayout(this);
  layout->addWidget(find);
  layout->addWidget(tree);
  layout->addWidget(buttons);
  const QMargins around = layout->contentsMargins();
  resize(QSize(width + around.left() + around.right(), 620).boundedTo(screen()->availableSize() * 9 / 10));
}

}  // namespace dhsa
