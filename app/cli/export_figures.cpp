#include "app/cli/export_figures.h"

#include "core/base/error.h"

#ifdef DHSA_FIGURES
#include <QGuiApplication>

#include "core/run/provenance.h"
#include "ui/figures/figure_files.h"
#include "ui/state/session_file.h"
#endif

namespace dhsa::cli {

#ifdef DHSA_FIGURES

namespace {

// Fonts need an application; "offscreen" needs no display.
void start_qt() {
  if (QCoreApplication::instance() != nullptr) return;
  qputenv("QT_QPA_PLATFORM", "offscreen");
  makeFiguresReproducible();
  // What goes wrong is thrown; Qt's remarks on the desktop around it help nobody here.
  qInstallMessageHandler([](QtMsgType, const QMessageLogContext&, const QString&) {});
  static int argc = 1;
  static char name[] = "dhsa";
  static char* argv[] = {name, nullptr};
  static const QGuiApplication application(argc, argv);
}

}  // namespace

SessionChoice read_session(const std::string& path) {
  const SessionFile session = SessionFile::load(QString::fromStdString(path));
  SessionChoice choice;
  choice.text = session.documentPath.toStdString();
  choice.pasted = session.documentText.toStdString();
  choice.text_sha256 = session.documentSha.toStdString();
  choice.reading = session.reading;
  choice.model = session.modelFolder.toStdString();
  choice.fingerprint = session.modelFingerprint.toStdString();
  choice.device = name_of(session.modelOptions.device);
  choice.dtype = name_of(session.modelOptions.compute);
  choice.parameters = session.parameters;
  choice.ran_with = session.runParameters;
  choice.layer = session.layer;
  choice.head = session.head;
  return choice;
}

FigurePainter painter_for(const std::string& suffix) {
  start_qt();
  return figurePainter(suffix);
}

#else

namespace {

[[noreturn]] void refuse(const char* what) {
  throw Error(std::string(what) +
              " Qt, which this program was built without; data can still be written, to a .npz file.");
}

}  // namespace

SessionChoice read_session(const std::string& /*path*/) { refuse("Reading a session needs"); }
FigurePainter painter_for(const std::string& /*suffix*/) { refuse("Figures need"); }

#endif

}  // namespace dhsa::cli
