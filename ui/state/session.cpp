#include "ui/state/session.h"

#include <QDir>
#include <QFileInfo>
#include <QStringList>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/memory.h"
#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "core/model/folder.h"
#include "core/run/open_model.h"
#include "core/run/provenance.h"
#include "core/text/document.h"
#include "core/text/token_table.h"

namespace dhsa {
namespace {

std::filesystem::path pathOf(const QString& path) { return {path.toStdU16String()}; }

std::shared_ptr<const OpenDocument> loadDocument(const DocumentRequest& request, const LoadedModel& model,
                                                 const std::function<void(double)>& progress,
                                                 const CancelToken* cancel) {
  OpenDocument origin;
  origin.reading = request.reading;
  if (!request.text.isEmpty()) {
    origin.title = request.title.isEmpty() ? Session::tr("Pasted text") : request.title;
    origin.source = request.text;
  } else {
    const auto file = request.path.isEmpty() ? resource_path("documents/sample.txt") : pathOf(request.path);
    origin.sample = request.path.isEmpty();
    if (!origin.sample) origin.path = QFileInfo(request.path).absoluteFilePath();
    origin.title = origin.sample ? Session::tr("Sample") : QFileInfo(request.path).fileName();
    origin.source = QByteArray::fromStdString(read_text(file));
  }
  DocumentOptions options = document_options(request.reading, pathOf(model.folder), model.weights->config().context);
  options.progress = progress;
  options.cancel = cancel;
  return openDocument(std::move(origin), *model.tokenizer, options);
}

std::shared_ptr<const LoadedModel> loadModel(const QString& folder, const ModelOptions& options,
                                             const std::function<void(const char*)>& progress,
                                             const CancelToken* cancel) {
  auto model = std::make_shared<LoadedModel>();
  const auto embedded = resource_path("models/demo");
  const auto path = folder.isEmpty() ? embedded : model_folder(pathOf(folder));
  std::error_code ignored;
  model->embedded = folder.isEmpty() || std::filesystem::equivalent(path, embedded, ignored);
  model->folder = QString::fromStdU16String(std::filesystem::absolute(path).lexically_normal().u16string());
  model->name = model->embedded ? Session::tr("Demo model") : QFileInfo(QDir(model->folder).absolutePath()).fileName();
  // Warmed up: the first run would look slower than dense otherwise.
  OpenModel opened = open_model(path, {.model = options, .warm_up = true, .progress = progress, .cancel = cancel});
  model->weights = std::move(opened.model);
  model->tokenizer = std::move(opened.tokenizer);
  model->fingerprint = QString::fromStdString(model->weights->fingerprint());
  return model;
}

}  // namespace

std::shared_ptr<const BoundaryPredictor> loadPredictor(const SparsityParameters& parameters, const LoadedModel& model) {
  return open_predictor(parameters, pathOf(model.folder));
}

Session::Session(Engine* engine, QObject* parent) : QObject(parent), m_engine(engine) {
  const auto notLoaded = [this](const QString& sentence) {
    if (m_model) m_options = m_model->weights->options();
    Q_EMIT modelNotLoaded(sentence);
  };
  // Without a model, the text that was asked for waits for the next one.
  const auto notOpened = [this, notLoaded](JobKind kind, const QString& sentence) {
    if (kind != JobKind::kLoadModel && kind != JobKind::kLoadDocument) return;
    if (m_model) m_asked.reset();
    if (kind == JobKind::kLoadModel) notLoaded(sentence);
  };
  connect(engine, &Engine::cancelled, this, [notOpened](JobKind kind) { notOpened(kind, {}); });
  connect(engine, &Engine::failed, this,
          [notOpened](JobKind kind, quint64, const QString& sentence) { notOpened(kind, sentence); });
}

int Session::heads() const noexcept { return m_model ? static_cast<int>(m_model->weights->config().heads) : 0; }

void Session::start(const QString& modelFolder, const DocumentRequest& document, const ModelOptions& options,
                    const Then& then) {
  load(modelFolder, options, document, then);
}

void Session::openDocument(const DocumentRequest& request, const Then& then) {
  m_asked = request;
  if (!m_model) return;
  Q_EMIT opening();
  m_engine->submit(JobKind::kLoadDocument, [this, request, then, model = m_model](const JobContext& job) {
    const auto progress = [this, &job](double share) { job.post([this, share] { Q_EMIT reading(share); }); };
    auto document = loadDocument(request, *model, progress, job.cancel());
    job.cancel()->check();
    job.post([this, request, document, then, model] {
      if (model == m_model) {
        takeDocument(request, document, then);
      } else {
        openDocument(request, then);  // another model came in between: its tokens are others
      }
    });
  });
}

void Session::inspectModel(const QString& folder) {
  m_engine->submit(JobKind::kInspectModel, [this, folder, options = m_options](const JobContext& job) {
    const std::int64_t bytes = weight_bytes(model_folder(pathOf(folder)), options);
    const std::int64_t available = available_bytes();
    job.post([this, folder, bytes, available] { Q_EMIT modelInspected(folder, bytes, available); });
  });
}

void Session::openModel(const QString& folder) { load(folder, m_options, m_asked.value_or(m_request), {}); }

void Session::reloadModel(const ModelOptions& options) {
  if (m_model) load(m_model->embedded ? QString() : m_model->folder, options, m_asked.value_or(m_request), {});
}

void Session::cancelLoading() { m_engine->cancel(JobKind::kLoadModel); }

void Session::load(const QString& folder, const ModelOptions& options, const DocumentRequest& request,
                   const Then& then) {
  Q_EMIT opening();
  m_options = options;
  m_asked = request;
  Q_EMIT modelLoading(tr("waiting for the work under way"));
  m_engine->submit(JobKind::kLoadModel,
                   [this, folder, options, request, then, first = !m_model](const JobContext& job) {
                     const auto progress = [this, &job](const char* what) {
                       job.post([this, step = QString::fromUtf8(what)] { Q_EMIT modelLoading(step); });
                     };
                     const auto model = loadModel(folder, options, progress, job.cancel());
                     const auto take = [this, model] {
                       m_model = model;
                       Q_EMIT modelChanged();
                     };
                     // With nothing open, a model is good to have also where the text cannot be read.
                     if (first) job.post(take);
                     progress("reading the text");
                     const auto share = [this, &job](double read) { job.post([this, read] { Q_EMIT reading(read); }); };
                     const auto document = loadDocument(request, *model, share, job.cancel());
                     job.cancel()->check();
                     job.post([this, first, take, request, document, then] {
                       if (!first) take();
                       takeDocument(request, document, then);
                     });
                   });
}

void Session::exportTokens(const QString& path) const {
  if (!m_document) throw Error("No text is open.");
  const Document& content = m_document->content;
  std::string text;
  if (path.endsWith(QLatin1String(".json"), Qt::CaseInsensitive)) {
    nlohmann::json json = {{"kind", "dhsa-tokens"},
                           {"folder", m_model->folder.toStdString()},
                           {"document", document_json(content)},
                           {"tokens", tokens_json(content, *m_model->tokenizer)}};
    json["document"]["sha256"] = m_document->sha256.toStdString();
    text = json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  } else {
    text = tokens_csv(content, *m_model->tokenizer);
  }
  write_file(path.toStdU16String(), text);
}

void Session::takeDocument(const DocumentRequest& request, std::shared_ptr<const OpenDocument> document,
                           const Then& then) {
  m_request = request;
  m_asked.reset();
  m_document = std::move(document);
  Q_EMIT documentChanged();
  if (then) then();
  QStringList notes;
  for (const std::string& note : m_document->content.notes) notes << QString::fromStdString(note);
  if (m_document->tokens() < m_document->content.whole_tokens) {
    Q_EMIT documentCut(notes.join(u' '));
  } else if (m_document->reading.chat == "auto" && !m_document->content.chat &&
             is_written_chat(m_document->content.text) && turn_markers(*m_model->tokenizer)) {
    Q_EMIT chatOffered(notes.join(u' '));
  } else if (!notes.isEmpty()) {
    Q_EMIT message(notes.join(u' '), false);
  }
  Q_EMIT opened();
}

}  // namespace dhsa
