#include "ui/state/commands.h"

#include <QCoreApplication>
#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace dhsa {
namespace {

constexpr std::array kCommands = {
    CommandInfo{"file.open-text", QT_TRANSLATE_NOOP("Commands", "&File"), QT_TRANSLATE_NOOP("Commands", "&Open text…"),
                "Ctrl+O", QT_TRANSLATE_NOOP("Commands", "Open a text file and run it.")},
    CommandInfo{"file.paste", "&File", QT_TRANSLATE_NOOP("Commands", "Open text from clip&board"), "Ctrl+Shift+V",
                QT_TRANSLATE_NOOP("Commands", "Run the text on the clipboard.")},
    CommandInfo{"file.open-sample", "&File", QT_TRANSLATE_NOOP("Commands", "Open the sa&mple text"), "",
                QT_TRANSLATE_NOOP("Commands", "Open the text that comes with the program.")},
    CommandInfo{"file.reading", "&File", QT_TRANSLATE_NOOP("Commands", "&How the text is read…"), "Ctrl+Shift+I",
                QT_TRANSLATE_NOOP("Commands", "Chat, question and length of the open text.")},
    CommandInfo{
        "file.open-model", "&File", QT_TRANSLATE_NOOP("Commands", "Open &model folder…"), "Ctrl+Shift+O",
        QT_TRANSLATE_NOOP("Commands", "Load a Gemma 2 model from a Hugging Face folder; its memory is stated first.")},
    CommandInfo{"file.open-gguf", "&File", QT_TRANSLATE_NOOP("Commands", "Open &GGUF model…"), "",
                QT_TRANSLATE_NOOP("Commands", "Load a Gemma 2 model from one file, in F32, F16, BF16 or Q8_0.")},
    CommandInfo{"file.open-demo", "&File", QT_TRANSLATE_NOOP("Commands", "Open the &demo model"), "",
                QT_TRANSLATE_NOOP("Commands", "Load the model that comes with the program.")},
    CommandInfo{"file.model", "&File", QT_TRANSLATE_NOOP("Commands", "Model &information…"), "Ctrl+I",
                QT_TRANSLATE_NOOP("Commands", "Say what the open model is and what memory it needs.")},
    CommandInfo{"file.open-session", "&File", QT_TRANSLATE_NOOP("Commands", "Open s&ession…"), "Ctrl+Alt+O",
                QT_TRANSLATE_NOOP("Commands", "Restore document, model, parameters, selection, zoom and panels.")},
    CommandInfo{"file.save-session", "&File", QT_TRANSLATE_NOOP("Commands", "&Save session"), "Ctrl+S",
                QT_TRANSLATE_NOOP("Commands", "Save what is shown and how, to open it again later.")},
    CommandInfo{"file.save-session-as", "&File", QT_TRANSLATE_NOOP("Commands", "Save session &as…"), "Ctrl+Shift+S",
                ""},
    CommandInfo{"file.export-figure", "&File", QT_TRANSLATE_NOOP("Commands", "E&xport figure…"), "Ctrl+E",
                QT_TRANSLATE_NOOP("Commands", "Save a figure for a paper, with its data, or copy it.")},
    CommandInfo{"file.export-tokens", "&File", QT_TRANSLATE_NOOP("Commands", "Export &tokens…"), "Ctrl+Alt+E",
                QT_TRANSLATE_NOOP("Commands", "Save the ids, pieces and bytes of all tokens as CSV or JSON.")},
    CommandInfo{"file.quit", "&File", QT_TRANSLATE_NOOP("Commands", "&Quit"), "Ctrl+Q", ""},

    CommandInfo{"edit.undo", QT_TRANSLATE_NOOP("Commands", "&Edit"), QT_TRANSLATE_NOOP("Commands", "&Undo"), "Ctrl+Z",
                QT_TRANSLATE_NOOP("Commands", "Take back the last change of a parameter or of how the text is read.")},
    CommandInfo{"edit.redo", "&Edit", QT_TRANSLATE_NOOP("Commands", "&Redo"), "Ctrl+Shift+Z", ""},
    CommandInfo{"edit.reset", "&Edit", QT_TRANSLATE_NOOP("Commands", "Reset all &parameters"), "Ctrl+Shift+R",
                QT_TRANSLATE_NOOP("Commands", "Set every parameter to its default; one undo step.")},
    CommandInfo{"edit.copy-metrics", "&Edit", QT_TRANSLATE_NOOP("Commands", "Copy &metrics of all layers"),
                "Ctrl+Shift+C", QT_TRANSLATE_NOOP("Commands", "Copy the layer table as tab-separated text.")},
    CommandInfo{"edit.copy-mask", "&Edit", QT_TRANSLATE_NOOP("Commands", "Copy &key ranges of the selected row"),
                "Ctrl+Alt+C",
                QT_TRANSLATE_NOOP("Commands", "Copy begin and end of every range of keys that the row keeps.")},
    CommandInfo{"edit.find", "&Edit", QT_TRANSLATE_NOOP("Commands", "&Find in text…"), "Ctrl+F", ""},
    CommandInfo{"edit.find-next", "&Edit", QT_TRANSLATE_NOOP("Commands", "Find &next"), "F3", ""},
    CommandInfo{"edit.find-previous", "&Edit", QT_TRANSLATE_NOOP("Commands", "Find pre&vious"), "Shift+F3", ""},

    CommandInfo{"run.start", QT_TRANSLATE_NOOP("Commands", "&Run"), QT_TRANSLATE_NOOP("Commands", "&Run prefill"), "F5",
                QT_TRANSLATE_NOOP("Commands", "Run the whole prefill with the present parameters, timed.")},
    CommandInfo{"run.compare", "&Run", QT_TRANSLATE_NOOP("Commands", "&Compare with dense"), "F6",
                QT_TRANSLATE_NOOP("Commands", "Run dense once and compare the logits at up to 2048 positions.")},
    CommandInfo{"run.compare-after", "&Run", QT_TRANSLATE_NOOP("Commands", "Compare &after each run"), "",
                QT_TRANSLATE_NOOP("Commands", "Compare with dense by itself after every run shorter than 30 s.")},
    CommandInfo{"run.generate", "&Run", QT_TRANSLATE_NOOP("Commands", "&Generate…"), "Ctrl+G",
                QT_TRANSLATE_NOOP("Commands", "Continue the text under dense and the present method, side by side.")},
    CommandInfo{"run.cancel", "&Run", QT_TRANSLATE_NOOP("Commands", "Canc&el"), "Shift+F5",
                QT_TRANSLATE_NOOP("Commands", "Stop the work under way; what is shown stays.")},
    CommandInfo{"run.pin", "&Run", QT_TRANSLATE_NOOP("Commands", "&Pin last run for comparison"), "Ctrl+B",
                QT_TRANSLATE_NOOP("Commands", "Compare masks and metrics with the last finished run from now on.")},

    CommandInfo{"panel.text", QT_TRANSLATE_NOOP("Commands", "&Panels"), QT_TRANSLATE_NOOP("Commands", "&Text"),
                "Ctrl+1", ""},
    CommandInfo{"panel.matrix", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Matrix"), "Ctrl+2", ""},
    CommandInfo{"panel.importance", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Importance"), "Ctrl+3", ""},
    CommandInfo{"panel.parameters", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Parameters"), "Ctrl+4", ""},
    CommandInfo{"panel.metrics", "&Panels", QT_TRANSLATE_NOOP("Commands", "M&etrics"), "Ctrl+5", ""},
    CommandInfo{"panel.performance", "&Panels", QT_TRANSLATE_NOOP("Commands", "Per&formance"), "Ctrl+6", ""},
    CommandInfo{"panel.needle", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Needle test"), "Ctrl+7", ""},
    CommandInfo{"panel.sweeps", "&Panels", QT_TRANSLATE_NOOP("Commands", "S&weeps"), "Ctrl+Alt+7", ""},
    CommandInfo{"panel.ruler", "&Panels", QT_TRANSLATE_NOOP("Commands", "R&ULER"), "Ctrl+Alt+8", ""},
    CommandInfo{"panel.longbench", "&Panels", QT_TRANSLATE_NOOP("Commands", "&LongBench"), "Ctrl+Alt+9", ""},
    CommandInfo{"panel.chunks", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Chunks"), "Ctrl+8", ""},
    CommandInfo{"panel.multiples", "&Panels", QT_TRANSLATE_NOOP("Commands", "&Small multiples"), "Ctrl+Alt+2", ""},
    CommandInfo{"panel.losses", "&Panels", QT_TRANSLATE_NOOP("Commands", "L&osses"), "Ctrl+Alt+1", ""},
    CommandInfo{"panel.runs", "&Panels", QT_TRANSLATE_NOOP("Commands", "R&uns"), "Ctrl+9", ""},

    CommandInfo{"view.next-layer", QT_TRANSLATE_NOOP("Commands", "&View"), QT_TRANSLATE_NOOP("Commands", "&Next layer"),
                "Ctrl+PgDown", ""},
    CommandInfo{"view.previous-layer", "&View", QT_TRANSLATE_NOOP("Commands", "&Previous layer"), "Ctrl+PgUp", ""},
    CommandInfo{"view.next-head", "&View", QT_TRANSLATE_NOOP("Commands", "Next &head"), "Ctrl+Shift+PgDown", ""},
    CommandInfo{"view.previous-head", "&View", QT_TRANSLATE_NOOP("Commands", "Previous h&ead"), "Ctrl+Shift+PgUp", ""},
    CommandInfo{"view.show-all", "&View", QT_TRANSLATE_NOOP("Commands", "Show the &whole matrix"), "Ctrl+Home", ""},
    CommandInfo{"view.clear-selection", "&View", QT_TRANSLATE_NOOP("Commands", "&Clear selection"), "Esc",
                QT_TRANSLATE_NOOP("Commands", "Select no row and no keys.")},
    CommandInfo{"theme.system", "&View", QT_TRANSLATE_NOOP("Commands", "&System colours"), "", ""},
    CommandInfo{"theme.light", "&View", QT_TRANSLATE_NOOP("Commands", "&Light"), "", ""},
    CommandInfo{"theme.dark", "&View", QT_TRANSLATE_NOOP("Commands", "&Dark"), "", ""},
    CommandInfo{"view.restore-layout", "&View", QT_TRANSLATE_NOOP("Commands", "&Restore default layout"), "Ctrl+0", ""},

    CommandInfo{"go.to", QT_TRANSLATE_NOOP("Commands", "Nav&igate"),
                QT_TRANSLATE_NOOP("Commands", "Go &to token or chunk…"), "Ctrl+L",
                QT_TRANSLATE_NOOP("Commands", "Select a row by its token, or the keys of a chunk.")},
    CommandInfo{"go.next-row", "Nav&igate", QT_TRANSLATE_NOOP("Commands", "Next &worst row"), "F8",
                QT_TRANSLATE_NOOP("Commands", "Go down the list of losses: the row that loses next most.")},
    CommandInfo{"go.previous-row", "Nav&igate", QT_TRANSLATE_NOOP("Commands", "&Previous worst row"), "Shift+F8",
                QT_TRANSLATE_NOOP("Commands", "Go up the list of losses.")},
    CommandInfo{"go.next-head", "Nav&igate", QT_TRANSLATE_NOOP("Commands", "Next worst &head"), "Ctrl+F8",
                QT_TRANSLATE_NOOP("Commands", "The layer and head that lose next most, and their worst row.")},
    CommandInfo{"go.next-token", "Nav&igate", QT_TRANSLATE_NOOP("Commands", "Next &dropped but important token"), "F9",
                QT_TRANSLATE_NOOP("Commands", "Of the selected row, then of the next worst one.")},

    CommandInfo{"help.shortcuts", QT_TRANSLATE_NOOP("Commands", "&Help"),
                QT_TRANSLATE_NOOP("Commands", "&Keyboard shortcuts"), "F1", ""},
    CommandInfo{"help.about", "&Help", QT_TRANSLATE_NOOP("Commands", "&About DHSA Explorer"), "", ""},
};

QString translated(const char* text) { return QCoreApplication::translate("Commands", text); }

}  // namespace

std::span<const CommandInfo> commandTable() { return kCommands; }

const CommandInfo& commandInfo(const char* id) {
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(),
                                   [id](const CommandInfo& command) { return std::strcmp(command.id, id) == 0; });
  if (found == kCommands.end()) throw std::logic_error(std::string("no command ") + id);
  return *found;
}

QString commandText(const CommandInfo& command) { return translated(command.text); }
QString commandGroup(const CommandInfo& command) { return translated(command.group); }
QString commandHelp(const CommandInfo& command) {
  return command.help[0] == '\0' ? QString() : translated(command.help);
}
QKeySequence commandShortcut(const CommandInfo& command) {
  return QKeySequence::fromString(QString::fromLatin1(command.shortcut), QKeySequence::PortableText);
}

}  // namespace dhsa
