#include "ui/state/experiment.h"

#include <QFileInfo>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/files/atomic_write.h"
#include "core/run/open_model.h"
#include "core/run/run.h"
#include "ui/models/format.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

constexpr int kTickMs = 250;
// Below this share of the work an estimate of the rest would be a guess.
constexpr double kLeastShare = 0.01;
constexpr std::size_t kLargestFile = std::size_t{256} << 20U;

std::string textOf(const nlohmann::json& results) {
  return results.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ResultsFile::path() const {
  const std::lock_guard lock(m_mutex);
  return m_path;
}

void ResultsFile::setPath(std::string path) {
  const std::lock_guard lock(m_mutex);
  m_path = std::move(path);
}

void ResultsFile::write(const nlohmann::json& results) const {
  if (const std::string file = path(); !file.empty()) write_file(file, textOf(results));
}

Experiment::Experiment(Explorer* explorer, JobKind kind) : QObject(explorer), m_explorer(explorer), m_kind(kind) {
  m_tick.setInterval(kTickMs);
  connect(&m_tick, &QTimer::timeout, this, &Experiment::progressChanged);
  Engine* engine = explorer->engine();
  const auto mine = [this](JobKind ended, quint64 id) { return ended == m_kind && id == m_job; };
  connect(engine, &Engine::finished, this, [this, mine](JobKind ended, quint64 id) {
    if (mine(ended, id)) this->ended();
  });
  connect(engine, &Engine::cancelled, this, [this, mine](JobKind ended, quint64 id) {
    if (!mine(ended, id)) return;
    this->ended();
    Q_EMIT m_explorer->message(cancelledSentence(), false);
  });
  connect(engine, &Engine::failed, this, [this, mine](JobKind ended, quint64 id) {
    if (!mine(ended, id)) return;
    setSaved(isEmpty());  // it may have been the file that failed
    this->ended();
  });
  // What was found on one model does not go on on another.
  connect(explorer->session(), &Session::modelChanged, this, &Experiment::cancel);
}

double Experiment::elapsed() const {
  return isRunning() && m_clock.isValid() ? static_cast<double>(m_clock.elapsed()) / 1000.0 : m_seconds;
}

double Experiment::remaining() const {
  const double done = m_fraction - m_firstFraction;
  if (!isRunning() || m_firstFraction < 0 || done < kLeastShare) return -1;
  return elapsed() * (1 - m_fraction) / done;
}

QString Experiment::path() const { return QString::fromStdString(m_file->path()); }

void Experiment::setSaved(bool saved) {
  m_isSaved = saved;
  Q_EMIT fileChanged();
}

bool Experiment::open(const QString& path) {
  if (isRunning()) return false;
  try {
    const std::string name = path.toStdString();
    read(read_file(path.toStdU16String(), kLargestFile), name);
    auto file = std::make_shared<ResultsFile>();
    file->setPath(name);
    m_file = std::move(file);
  } catch (const Error& error) {
    Q_EMIT m_explorer->message(QString::fromStdString(error.what()), true);
    return false;
  }
  m_fraction = isFinished() ? 1 : 0;
  m_seconds = 0;
  m_step.clear();
  Q_EMIT resultsReset();
  Q_EMIT progressChanged();
  setSaved(true);
  return true;
}

bool Experiment::save(const QString& path) {
  try {
    write_file(path.toStdU16String(), textOf(json()));
  } catch (const Error& error) {
    Q_EMIT m_explorer->message(QString::fromStdString(error.what()), true);
    return false;
  }
  m_file->setPath(path.toStdString());
  setSaved(true);
  Q_EMIT m_explorer->message(
      isRunning() ? tr("Results go to %1 as they come.").arg(path) : tr("Results written to %1.").arg(path), false);
  return true;
}

bool Experiment::exportCsv(const QString& path) {
  try {
    write_file(path.toStdU16String(), csv());
  } catch (const Error& error) {
    Q_EMIT m_explorer->message(QString::fromStdString(error.what()), true);
    return false;
  }
  Q_EMIT m_explorer->message(tr("Results written to %1.").arg(path), false);
  return true;
}

void Experiment::cancel() {
  if (isRunning()) m_explorer->engine()->cancel(m_kind);
}

void Experiment::submit(Engine::Work work) {
  m_fraction = 0;
  m_firstFraction = -1;
  m_seconds = 0;
  m_clock.invalidate();
  m_step = m_explorer->engine()->isBusy() ? tr("Waits until other work is done") : tr("Begins");
  m_job = m_explorer->engine()->submit(m_kind, std::move(work));
  m_tick.start();
  Q_EMIT runningChanged(true);
  Q_EMIT progressChanged();
}

std::shared_ptr<ResultsFile> Experiment::fileFor(bool goesOn) const {
  return goesOn ? m_file : std::make_shared<ResultsFile>();
}

void Experiment::begun(const std::shared_ptr<ResultsFile>& file) {
  const bool others = file != m_file;
  m_file = file;
  Q_EMIT resultsReset();
  if (others) setSaved(true);
}

void Experiment::tell(const ExperimentProgress& now) {
  if (m_firstFraction < 0) {
    m_firstFraction = now.fraction;
    m_clock.start();
  }
  m_fraction = now.fraction;
  m_step = QString::fromStdString(now.step);
  m_cell = now.cell;
  Q_EMIT progressChanged();
}

void Experiment::checkContext(qint64 tokens) const {
  const auto model = m_explorer->session()->model();
  if (!model || tokens <= model->weights->config().context) return;
  throw Error(tr("Texts of %1 tokens are longer than the model's context of %2.")
                  .arg(formatCount(tokens), formatCount(model->weights->config().context))
                  .toStdString());
}

void Experiment::added(int number) {
  Q_EMIT resultAdded(number);
  setSaved(!m_file->path().empty());
}

std::shared_ptr<const BoundaryPredictor> Experiment::predictorFor(const std::vector<MethodChoice>& methods,
                                                                  const LoadedModel& model) {
  return open_predictor(methods, model.folder.toStdU16String());
}

void Experiment::ended() {
  m_seconds = elapsed();
  m_job = 0;
  m_tick.stop();
  m_step.clear();
  if (isFinished()) m_fraction = 1;
  Q_EMIT runningChanged(false);
  Q_EMIT progressChanged();
}

}  // namespace dhsa
