#include "ui/state/session_file.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <initializer_list>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/run/provenance.h"

namespace dhsa {
namespace {

constexpr std::size_t kLargestFile = std::size_t{256} << 20U;

QString text(const nlohmann::json& json, const char* key) {
  return QString::fromStdString(json.value(key, std::string()));
}

nlohmann::json section(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return nlohmann::json::object();
  if (!found->is_object()) throw Error(std::string("\"") + key + "\" is not an object");
  return *found;
}

// The path as stored relative to the session if something is there, else the absolute one.
QString located(const nlohmann::json& json, const QDir& folder) {
  const QString relative = text(json, "relative");
  if (!relative.isEmpty() && QFileInfo::exists(folder.filePath(relative))) {
    return QDir::cleanPath(folder.absoluteFilePath(relative));
  }
  return text(json, "path");
}

// The value that the key names; the first where it is absent, as in older sessions.
template <class Value>
Value oneOf(const nlohmann::json& json, const char* key, Value first, Value second) {
  const std::string name = json.value(key, std::string(name_of(first)));
  if (name == name_of(first)) return first;
  if (name == name_of(second)) return second;
  throw Error(std::string("\"") + key + "\" is \"" + name + "\"; use " + name_of(first) + " or " + name_of(second));
}

QByteArray decoded(const nlohmann::json& json, const char* key) {
  return QByteArray::fromBase64(QByteArray::fromStdString(json.value(key, std::string())));
}

}  // namespace

SessionFile SessionFile::load(const QString& path) {
  return parse(read_file(path.toStdU16String(), kLargestFile), path);
}

SessionFile SessionFile::parse(const std::string& raw, const QString& path) {
  const std::string where = "The session \"" + path.toStdString() + "\" ";
  SessionFile session;
  try {
    session.file = nlohmann::json::parse(raw);
    if (!session.file.is_object() || session.file.value("application", std::string()) != "dhsa-explorer") {
      throw Error("it is not a session of DHSA Explorer");
    }
    const int schema = session.file.value("schema", 0);
    if (schema < 1) throw Error("\"schema\" is missing");
    if (schema > kSchema) {
      throw Error("it was written by a newer version (schema " + std::to_string(schema) + "); update the program");
    }
    const QDir folder = QFileInfo(path).absoluteDir();
    const auto document = section(session.file, "document");
    session.documentPath = located(document, folder);
    session.documentText = QByteArray::fromStdString(document.value("text", std::string()));
    session.documentSha = text(document, "sha256");
    session.reading.allow_long = document.value("allow_long", false);
    session.reading.chat = document.value("chat", std::string("off"));  // older sessions knew no chats
    session.reading.question_marks = document.value("question_marks", std::string());
    check_reading(session.reading);
    const auto model = section(session.file, "model");
    session.modelFolder = located(model, folder);
    session.modelFingerprint = text(model, "fingerprint");
    session.modelOptions.compute = oneOf(model, "dtype", DType::kFloat32, DType::kBFloat16);
    session.modelOptions.device = oneOf(model, "device", Device::kCpu, Device::kCuda);
    from_json(section(session.file, "parameters"), session.parameters);
    session.runParameters = session.parameters;
    if (session.file.contains("run_parameters")) {
      session.runParameters = {};
      from_json(section(session.file, "run_parameters"), session.runParameters);
    }
    const auto view = section(session.file, "view");
    session.layer = view.value("layer", 0);
    session.head = view.value("head", 0);
    session.row = view.value("row", std::int64_t{-1});
    session.shading = view.value("text_shading", 0);
    if (view.contains("keys")) {
      const auto keys = view.at("keys").get<std::array<std::int64_t, 2>>();
      session.keysBegin = keys[0];
      session.keysEnd = keys[1];
    }
    if (view.contains("zoom")) {
      const auto zoom = view.at("zoom").get<std::array<double, 4>>();
      session.zoom = QRectF(zoom[0], zoom[1], zoom[2], zoom[3]);
    }
    session.matrix = section(view, "matrix");
    const auto window = section(session.file, "window");
    session.geometry = decoded(window, "geometry");
    session.windowState = decoded(window, "state");
  } catch (const Error& error) {
    const std::string said = error.what();
    throw Error(where + "cannot be opened: " + said + (said.ends_with('.') ? "" : "."));
  } catch (const nlohmann::json::exception&) {
    throw Error(where + "cannot be opened: it is damaged or no session file.");
  }
  return session;
}

void SessionFile::save(const QString& path) const {
  const QDir folder = QFileInfo(path).absoluteDir();
  nlohmann::json json = file;
  const auto at = [&json](const char* key) -> nlohmann::json& {
    nlohmann::json& part = json[key];
    if (!part.is_object()) part = nlohmann::json::object();
    return part;
  };
  json["application"] = "dhsa-explorer";
  json["schema"] = kSchema;
  json["version"] = QCoreApplication::applicationVersion().toStdString();

  const auto place = [&folder](nlohmann::json& part, const QString& target) {
    part.erase("path");
    part.erase("relative");
    if (target.isEmpty()) return;
    part["path"] = target.toStdString();
    part["relative"] = folder.relativeFilePath(target).toStdString();
  };
  nlohmann::json& document = at("document");
  place(document, documentPath);
  document.erase("text");
  if (!documentText.isEmpty()) document["text"] = documentText.toStdString();
  document["sample"] = documentPath.isEmpty() && documentText.isEmpty();
  document["sha256"] = documentSha.toStdString();
  document["allow_long"] = reading.allow_long;
  document["chat"] = reading.chat;
  document["question_marks"] = reading.question_marks;
  nlohmann::json& model = at("model");
  place(model, modelFolder);
  model["embedded"] = modelFolder.isEmpty();
  model["fingerprint"] = modelFingerprint.toStdString();
  model["dtype"] = name_of(modelOptions.compute);
  model["device"] = name_of(modelOptions.device);
  json["parameters"] = parameters;
  json["run_parameters"] = runParameters;

  nlohmann::json& view = at("view");
  view["layer"] = layer;
  view["head"] = head;
  view["row"] = row;
  view["keys"] = {keysBegin, keysEnd};
  view["text_shading"] = shading;
  view["zoom"] = {zoom.x(), zoom.y(), zoom.width(), zoom.height()};
  view["matrix"] = matrix;
  nlohmann::json& window = at("window");
  window["geometry"] = geometry.toBase64().toStdString();
  window["state"] = windowState.toBase64().toStdString();
  // Pasted text may hold bytes that are not UTF-8: they are written as U+FFFD, as the model reads them.
  write_file(path.toStdU16String(), json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace dhsa
