#include "ui/views/shortcuts_dialog.h"

#include <QDialogButtonBox>
#include <QHeaderView>
#include <QTreeWidget>
#include <QVBoxLayout>

#include "ui/state/commands.h"

namespace dhsa {

ShortcutsDialog::ShortcutsDialog(QWidget* parent) : QDialog(parent) {
  setObjectName(QStringLiteral("shortcuts"));
  setWindowTitle(tr("Keyboard shortcuts"));
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
  tree->setColumnWidth(0, fontMetrics().averageCharWidth() * 38);
  tree->setColumnWidth(1, fontMetrics().averageCharWidth() * 24);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::close);
  auto* layout = new QVBoxLayout(this);
  layout->addWidget(tree);
  layout->addWidget(buttons);
  resize(fontMetrics().averageCharWidth() * 120, 560);
}

}  // namespace dhsa
