// Every command of the window in one table: menus, shortcuts and the list that F1 shows are made from it.
#pragma once

#include <QKeySequence>
#include <QString>
#include <span>

namespace dhsa {

struct CommandInfo {
  const char* id;
  const char* group;     // menu; untranslated
  const char* text;      // untranslated, with mnemonic
  const char* shortcut;  // portable form; empty: none
  const char* help;      // untranslated: status tip, one sentence; may be empty
};

[[nodiscard]] std::span<const CommandInfo> commandTable();
[[nodiscard]] const CommandInfo& commandInfo(const char* id);
[[nodiscard]] QString commandText(const CommandInfo& command);   // translated, with mnemonic
[[nodiscard]] QString commandGroup(const CommandInfo& command);  // translated
[[nodiscard]] QString commandHelp(const CommandInfo& command);   // translated
[[nodiscard]] QKeySequence commandShortcut(const CommandInfo& command);

}  // namespace dhsa
