// Starts the desktop explorer.
#include <dlfcn.h>

#include <QApplication>
#include <QCommandLineParser>
#include <QDir>
#include <QFileInfo>
#include <QIcon>
#include <QTimer>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/revision.h"
#include "core/base/resources.h"
#include "core/run/provenance.h"
#include "ui/figures/figure_files.h"
#include "ui/views/main_window.h"

namespace {

bool isSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// Qt aborts the process where it cannot reach the X server, so that is asked for beforehand.
bool xServerAnswers() {
  void* xcb = dlopen("libxcb.so.1", RTLD_NOW | RTLD_LOCAL);
  if (xcb == nullptr) return true;  // no way to know
  using Connect = void* (*)(const char*, int*);
  using HasError = int (*)(void*);
  using Disconnect = void (*)(void*);
  const auto connect = reinterpret_cast<Connect>(dlsym(xcb, "xcb_connect"));
  const auto hasError = reinterpret_cast<HasError>(dlsym(xcb, "xcb_connection_has_error"));
  const auto disconnect = reinterpret_cast<Disconnect>(dlsym(xcb, "xcb_disconnect"));
  if (connect == nullptr || hasError == nullptr || disconnect == nullptr) return true;
  void* connection = connect(nullptr, nullptr);
  const bool answers = hasError(connection) == 0;
  disconnect(connection);
  return answers;
}

bool hasDisplay(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "-platform") == 0 || std::strcmp(argv[i], "--platform") == 0) return true;
  }
  if (isSet("QT_QPA_PLATFORM")) return true;
  if (isSet("WAYLAND_DISPLAY")) return true;
  return isSet("DISPLAY") && xServerAnswers();
}

// Qt takes "--session ID" for itself, in aid of session managers; "--session=FILE" it leaves alone.
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 0; i < argc; ++i) {
      m_texts.emplace_back(argv[i]);
      if ((m_texts.back() == "--session" || m_texts.back() == "-session") && i + 1 < argc) {
        m_texts.back() = std::string("--session=") + argv[++i];
      }
    }
    for (std::string& text : m_texts) m_pointers.push_back(text.data());
    m_count = static_cast<int>(m_pointers.size());
    m_pointers.push_back(nullptr);
  }
  [[nodiscard]] int& count() { return m_count; }  // Qt takes out what it understands
  [[nodiscard]] char** pointers() { return m_pointers.data(); }

 private:
  std::vector<std::string> m_texts;
  std::vector<char*> m_pointers;
  int m_count = 0;
};

void describe(QCommandLineParser& parser) {
  const auto tr = [](const char* text) { return QCoreApplication::translate("main", text); };
  parser.setApplicationDescription(
      tr("Opens a long text, runs Gemma 2 prefill under Dynamic Hierarchical Sparse Attention, and shows what is kept "
         "and lost.\nWithout arguments: the demo model and the sample text."));
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument(QStringLiteral("TEXT"), tr("Text file, or a saved session (*.dhsa-session)."),
                               QStringLiteral("[TEXT]"));
  parser.addOption(
      {QStringLiteral("model"), tr("Folder of a Gemma 2 model in the Hugging Face layout."), QStringLiteral("DIR")});
  parser.addOption({QStringLiteral("session"), tr("Session to restore."), QStringLiteral("FILE")});
  parser.addOption({QStringLiteral("fresh"), tr("Forget window layout and settings of earlier starts.")});
}

// Complaints that are better said before a window opens.
QString complaint(const QCommandLineParser& parser) {
  const auto tr = [](const char* text) { return QCoreApplication::translate("main", text); };
  if (parser.positionalArguments().size() > 1) return tr("Give one text; several were named.");
  const QString text = parser.positionalArguments().value(0);
  if (!text.isEmpty() && !QFileInfo(text).isFile()) {
    return tr("There is no file \"%1\"; give the path of a text file.").arg(text);
  }
  const QString model = parser.value(QStringLiteral("model"));
  if (!model.isEmpty() && !QFileInfo(model).isDir()) {
    return tr("There is no folder \"%1\"; give the folder that holds config.json.").arg(model);
  }
  const QString session = parser.value(QStringLiteral("session"));
  if (!session.isEmpty() && !QFileInfo(session).isFile()) {
    return tr("There is no session \"%1\"; give the path of a saved session.").arg(session);
  }
  return {};
}

int refuse(const QString& sentence) {
  std::fprintf(stderr, "dhsa-explorer: %s\n", qPrintable(sentence));
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  QCoreApplication::setOrganizationName(QStringLiteral("dhsa-explorer"));
  QCoreApplication::setApplicationName(QStringLiteral("dhsa-explorer"));
  QCoreApplication::setApplicationVersion(QStringLiteral(DHSA_VERSION));
  dhsa::set_program(DHSA_VERSION, dhsa::built_revision());
  dhsa::makeFiguresReproducible();
  const bool display = hasDisplay(argc, argv);
  Arguments arguments(argc, argv);
  std::unique_ptr<QCoreApplication> app;
  if (display) {
    app = std::make_unique<QApplication>(arguments.count(), arguments.pointers());
  } else {
    app = std::make_unique<QCoreApplication>(arguments.count(), arguments.pointers());
  }

  QCommandLineParser parser;
  describe(parser);
  if (!parser.parse(app->arguments())) return refuse(parser.errorText() + QStringLiteral(" See --help."));
  if (parser.isSet(QStringLiteral("help"))) {
    std::fputs(qPrintable(parser.helpText()), stdout);
    return 0;
  }
  if (parser.isSet(QStringLiteral("version"))) parser.showVersion();
  if (const QString fault = complaint(parser); !fault.isEmpty()) return refuse(fault);
  if (!display) {
    return refuse(QCoreApplication::translate(
        "main",
        "There is no display to open a window on; start it from a desktop session, or use \"dhsa run\" for a report."));
  }

  QApplication::setDesktopFileName(QStringLiteral("io.github.dhsa_explorer.DhsaExplorer"));
  QApplication::setApplicationDisplayName(QCoreApplication::translate("main", "DHSA Explorer"));
  try {
    const auto icon = dhsa::resource_path("desktop/icon-256.png");
    QApplication::setWindowIcon(QIcon(QString::fromStdString(icon.string())));
  } catch (const std::exception&) {
    // A window without an icon is still a window.
  }

  dhsa::StartOptions options;
  options.text = parser.positionalArguments().value(0);
  options.model = parser.value(QStringLiteral("model"));
  options.session = parser.value(QStringLiteral("session"));
  options.fresh = parser.isSet(QStringLiteral("fresh"));
  if (options.session.isEmpty() && options.text.endsWith(QStringLiteral(".dhsa-session")))
    std::swap(options.text, options.session);
  dhsa::MainWindow window(options);
  window.show();
  // The window first, then the work.
  QTimer::singleShot(0, &window, &dhsa::MainWindow::start);
  return QApplication::exec();
}
