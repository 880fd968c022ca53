#include "ui/state/session.h"

#include <QDir>
#include <QFileInfo>
#include <QStringList>
#include <algorithm>
#include <filesystem>

#include "core/base/memory.h"
#include "core/base/resources.h"
#include "core/files/atomic_write.h"
#include "core/model/folder.h"
#include "core/run/open_model.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

constexpr std::int64_t kWarmUpTokens = 256;

std::filesystem::path pathOf(const QString& path) { return {path.toStdU16String()}; }

// Threads start and weights come into memory before the first run, which would look slower than dense otherwise.
void warmUp(const Gemma2& model, const CancelToken* cancel) {
  const std::vector<std::int32_t> few(static_cast<std::size_t>(std::min(kWarmUpTokens, model.config().context)), 0);
  SparsityParameters dense;
  dense.method = Method::kDense;
  PrefillOptions options;
  options.cancel = cancel;
  static_cast<void>(model.prefill(few, *make_planner(dense, {static_cast<std::int64_t>(few.size()), {}}), options));
}

std::shared_ptr<const OpenDocument> loadDocument(const DocumentRequest& request, const LoadedModel& model) {
  OpenDocument origin;
  origin.allowLong = request.allowLong;
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
  return openDocument(std::move(origin), *model.tokenizer, model.weights->config().context);
}

std::shared_ptr<const LoadedModel> loadModel(const QString& folder, const CancelToken* cancel) {
  auto model = std::make_shared<LoadedModel>();
  const auto embedded = resource_path("models/demo");
  const auto path = folder.isEmpty() ? embedded : model_folder(pathOf(folder));
  std::error_code ignored;
  model->embedded = folder.isEmpty() || std::filesystem::equivalent(path, embedded, ignored);
  model->folder = QString::fromStdU16String(std::filesystem::absolute(path).lexically_normal().u16string());
  model->name = model->embedded ? Session::tr("Demo model") : QFileInfo(QDir(model->folder).absolutePath()).fileName();
  model->weights = Gemma2::load(path, {}, cancel);
  model->fingerprint = QString::fromStdString(model->weights->fingerprint());
  model->tokenizer = Tokenizer::of_model(path, model->weights->config().vocab_size);
  check_vocabulary(model->weights->config(), *model->tokenizer);
  warmUp(*model->weights, cancel);
  return model;
}

}  // namespace

std::shared_ptr<const BoundaryPredictor> loadPredictor(const SparsityParameters& parameters, const LoadedModel& model) {
  const bool wanted = parameters.boundaries == BoundarySource::kAuto;
  if (parameters.method != Method::kDhsa || (!wanted && parameters.boundaries != BoundarySource::kLearned)) {
    return nullptr;
  }
  const std::filesystem::path path = parameters.predictor.empty() ? pathOf(model.folder) / "predictor.safetensors"
                                                                  : std::filesystem::path(parameters.predictor);
  if (parameters.predictor.empty() && !std::filesystem::exists(path)) {
    if (wanted) return nullptr;
    throw Error("The model \"" + model.name.toStdString() +
                "\" has no predictor.safetensors for learned boundaries; choose a predictor file or another boundary "
                "source.");
  }
  // A slider asks for the same file many times. Only the engine thread comes here.
  thread_local std::filesystem::path known;
  thread_local std::shared_ptr<const BoundaryPredictor> predictor;
  if (!predictor || known != path) {
    predictor = BoundaryPredictor::load(path);
    known = path;
  }
  return predictor;
}

Session::Session(Engine* engine, QObject* parent) : QObject(parent), m_engine(engine) {}

int Session::heads() const noexcept { return m_model ? static_cast<int>(m_model->weights->config().heads) : 0; }

void Session::start(const QString& modelFolder, const DocumentRequest& document) {
  m_request = document;
  openModel(modelFolder);
}

void Session::openDocument(const DocumentRequest& request) {
  if (!m_model) {
    m_request = request;
    return;
  }
  Q_EMIT opening();
  m_engine->submit(JobKind::kLoadDocument, [this, request, model = m_model](const JobContext& job) {
    auto document = loadDocument(request, *model);
    job.cancel()->check();
    job.post([this, request, document] {
      m_request = request;
      takeDocument(document);
    });
  });
}

void Session::inspectModel(const QString& folder) {
  m_engine->submit(JobKind::kInspectModel, [this, folder](const JobContext& job) {
    const std::int64_t bytes = weight_bytes(folder.toStdString(), {});
    const std::int64_t available = available_bytes();
    job.post([this, folder, bytes, available] { Q_EMIT modelInspected(folder, bytes, available); });
  });
}

void Session::openModel(const QString& folder) {
  Q_EMIT opening();
  m_engine->submit(JobKind::kLoadModel, [this, folder](const JobContext& job) {
    auto model = loadModel(folder, job.cancel());
    job.post([this, model] {
      m_model = model;
      Q_EMIT modelChanged();
      openDocument(m_request);
    });
  });
}

void Session::takeDocument(std::shared_ptr<const OpenDocument> document) {
  m_document = std::move(document);
  Q_EMIT documentChanged();
  QStringList notes;
  for (const std::string& note : m_document->content.notes) notes << QString::fromStdString(note);
  if (m_document->tokens() < m_document->content.whole_tokens) {
    Q_EMIT documentCut(notes.join(u' '));
  } else if (!notes.isEmpty()) {
    Q_EMIT message(notes.join(u' '), false);
  }
  Q_EMIT opened();
}

}  // namespace dhsa
