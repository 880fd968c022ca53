// A saved session: which document and model, with which parameters, and what was looked at. JSON with a schema version;
// keys that this program does not know survive a load and save.
#pragma once

#include <QByteArray>
#include <QRectF>
#include <QString>
#include <nlohmann/json.hpp>

#include "core/model/gemma2.h"
#include "core/sparsity/parameters.h"
#include "core/text/text_reading.h"

namespace dhsa {

struct SessionFile {
  static constexpr int kSchema = 1;

  QString documentPath;     // absolute; empty: sample or pasted text
  QByteArray documentText;  // pasted text
  QString documentSha;
  TextReading reading;
  QString modelFolder;  // empty: the embedded model
  QString modelFingerprint;
  ModelOptions modelOptions;         // type and device it computed in and on
  SparsityParameters parameters;     // as set in the window
  SparsityParameters runParameters;  // of the run that what-if worked on
  int layer = 0;
  int head = 0;
  qint64 row = -1;
  qint64 keysBegin = 0;
  qint64 keysEnd = 0;
  QRectF zoom;
  int shading = 0;
  nlohmann::json matrix = nlohmann::json::object();  // settings of the matrix view
  QByteArray geometry;
  QByteArray windowState;

  nlohmann::json file = nlohmann::json::object();  // as it was loaded

  // Throws Error naming the file and what is wrong with it. Relative paths are tried first, so that a folder with
  // session, document and model can be moved.
  [[nodiscard]] static SessionFile load(const QString& path);
  [[nodiscard]] static SessionFile parse(const std::string& raw, const QString& path);  // as if read from there
  // Whole or not at all. Throws Error.
  void save(const QString& path) const;
};

}  // namespace dhsa
