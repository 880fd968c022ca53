// The way from a sample of results to the document and parameters that a method read.
#pragma once

#include <QObject>

#include "core/sparsity/parameters.h"
#include "ui/state/explorer.h"

namespace dhsa {

class JobContext;

// A sample as it is opened.
struct OpenedSample {
  DocumentRequest document;
  SparsityParameters parameters;
  QString method;     // whose parameters they are
  QString evidence;   // to look for in the text; empty: there is none
  qint64 row = -1;    // to select; -1: none
  qint64 begin = -1;  // tokens of the evidence, where they are known
  qint64 end = -1;
};

class SampleOpener : public QObject {
  Q_OBJECT

 public:
  explicit SampleOpener(Explorer* explorer, QObject* parent);
  // `make` runs on the engine's thread; throws Error.
  void open(std::function<OpenedSample(const LoadedModel&)> make);

 Q_SIGNALS:
  void opened(qint64 token, const QString& evidence);  // the document is there; token -1: not known

 private:
  void show(const OpenedSample& sample);

  Explorer* m_explorer;
};

}  // namespace dhsa
