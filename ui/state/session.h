// What is looked at: the model and the document, and how they are opened.
#pragma once

#include <QObject>
#include <functional>
#include <memory>
#include <optional>

#include "core/model/gemma2.h"
#include "core/sparsity/parameters.h"
#include "ui/state/document.h"
#include "ui/state/engine.h"

namespace dhsa {

class BoundaryPredictor;

struct LoadedModel {
  QString folder;
  QString name;
  QString fingerprint;
  bool embedded = false;
  std::shared_ptr<const Gemma2> weights;
  std::shared_ptr<const Tokenizer> tokenizer;
};

// Null where the parameters read none. Throws Error where they need one and there is none.
[[nodiscard]] std::shared_ptr<const BoundaryPredictor> loadPredictor(const SparsityParameters& parameters,
                                                                     const LoadedModel& model);

struct DocumentRequest {
  QString path;     // a file, or
  QByteArray text;  // pasted text, or neither: the sample
  QString title;    // of a text that is not a file; empty: "Pasted text"
  TextReading reading;
};

class Session : public QObject {
  Q_OBJECT

 public:
  explicit Session(Engine* engine, QObject* parent = nullptr);

  [[nodiscard]] const std::shared_ptr<const LoadedModel>& model() const noexcept { return m_model; }
  [[nodiscard]] const std::shared_ptr<const OpenDocument>& document() const noexcept { return m_document; }
  // Of the document that is shown; while there is none, of the one that has been asked for.
  [[nodiscard]] const DocumentRequest& request() const noexcept {
    return m_document || !m_asked ? m_request : *m_asked;
  }
  [[nodiscard]] int heads() const noexcept;  // query heads; 0 without a model
  // How models are opened: of the open one, or of the one that is being loaded.
  [[nodiscard]] const ModelOptions& modelOptions() const noexcept { return m_options; }
  [[nodiscard]] bool isLoadingModel() const { return m_engine->isBusy(JobKind::kLoadModel); }

  // What is open stays, model and document, until both of the new ones are there: a load that fails or is cancelled
  // changes nothing. `then` runs once the document is open, before it is run; never where another took its place.
  using Then = std::function<void()>;
  void start(const QString& modelFolder, const DocumentRequest& document, const ModelOptions& options = {},
             const Then& then = {});
  // Says the memory a model will take (modelInspected) before anything is loaded.
  void inspectModel(const QString& folder);
  void openModel(const QString& folder);  // empty: the embedded one; the document is read again with its tokenizer
  void openDocument(const DocumentRequest& request, const Then& then = {});
  // The open model again, in another type or on another device.
  void reloadModel(const ModelOptions& options);
  void cancelLoading();
  // Ids, pieces and bytes of the open text's tokens, in the columns of `dhsa inspect --tokens`: JSON where the name
  // ends in ".json", CSV elsewhere. Throws Error.
  void exportTokens(const QString& path) const;

 Q_SIGNALS:
  void opening();  // another model or document has been asked for
  void modelChanged();
  void chatOffered(const QString& sentence);     // the text is a written chat and was read as plain text
  void reading(double share);                    // of a long text
  void modelLoading(const QString& what);        // begins, and at each of its steps
  void modelNotLoaded(const QString& sentence);  // the one before stays, if there was one; empty: cancelled
  void documentChanged();                        // the model may be another one too
  void opened();                                 // after everyone has heard of the document
  void modelInspected(const QString& folder, qint64 bytes, qint64 available);
  void documentCut(const QString& sentence);  // the text is longer than the model's context
  void message(const QString& sentence, bool failed);

 private:
  void takeDocument(const DocumentRequest& request, std::shared_ptr<const OpenDocument> document, const Then& then);
  void load(const QString& folder, const ModelOptions& options, const DocumentRequest& request, const Then& then);

  Engine* m_engine;
  std::shared_ptr<const LoadedModel> m_model;
  std::shared_ptr<const OpenDocument> m_document;
  DocumentRequest m_request;
  std::optional<DocumentRequest> m_asked;  // not open yet
  ModelOptions m_options;
};

}  // namespace dhsa
