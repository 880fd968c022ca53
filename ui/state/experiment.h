// What needle tests and sweeps have in common: long work in the background on the engine's thread, its progress, and
// a file of results, the one that the command line writes.
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/model/gemma2.h"
#include "ui/state/engine.h"
#include "ui/state/explorer.h"

namespace dhsa {

// Where results go as they come; both threads ask.
class ResultsFile {
 public:
  [[nodiscard]] std::string path() const;  // empty: nowhere yet
  void setPath(std::string path);
  // Writes the results where there is a path. Throws Error.
  void write(const nlohmann::json& results) const;

 private:
  mutable std::mutex m_mutex;
  std::string m_path;
};

class Experiment : public QObject {
  Q_OBJECT

 public:
  // Belongs to `explorer`, whose engine does the work.
  Experiment(Explorer* explorer, JobKind kind);

  [[nodiscard]] Explorer* explorer() const noexcept { return m_explorer; }
  [[nodiscard]] bool isRunning() const noexcept { return m_job != 0; }  // asked for and not over
  [[nodiscard]] double fraction() const noexcept { return m_fraction; }
  [[nodiscard]] double elapsed() const;                                  // seconds; of the last one once it is over
  [[nodiscard]] double remaining() const;                                // estimate in seconds; negative: not known
  [[nodiscard]] const QString& step() const noexcept { return m_step; }  // what is under way
  [[nodiscard]] std::size_t cell() const noexcept { return m_cell; }     // its number; meaningless while not running
  [[nodiscard]] QString path() const;                                    // of the results' file; empty: none yet
  [[nodiscard]] bool isSaved() const noexcept { return m_isSaved; }      // nothing would be lost

  [[nodiscard]] virtual bool isEmpty() const = 0;     // no results
  [[nodiscard]] virtual bool isFinished() const = 0;  // whole results
  [[nodiscard]] virtual std::string csv() const = 0;
  [[nodiscard]] virtual QString suggestedName() const = 0;  // of a new file, without its ending

  // False, after Explorer::message(), where that fails; what is shown then stays.
  bool open(const QString& path);
  // From then on the file is written again with every new result.
  bool save(const QString& path);
  bool exportCsv(const QString& path);

 public Q_SLOTS:
  void cancel();

 Q_SIGNALS:
  void resultsReset();           // other results altogether
  void resultAdded(int number);  // cell or point `number` has more
  void progressChanged();        // fraction, step, times
  void runningChanged(bool running);
  void fileChanged();  // path() or isSaved()

 protected:
  [[nodiscard]] virtual nlohmann::json json() const = 0;
  virtual void read(const std::string& text, const std::string& where) = 0;  // throws Error
  [[nodiscard]] virtual QString cancelledSentence() const = 0;

  void submit(Engine::Work work);
  // The file for results that go on from the present ones, or for others.
  [[nodiscard]] std::shared_ptr<ResultsFile> fileFor(bool goesOn) const;
  void begun(const std::shared_ptr<ResultsFile>& file);  // the results are the job's from now on
  void tell(const ExperimentProgress& now);
  void checkContext(qint64 tokens) const;  // throws Error where the model takes no text of this length
  void added(int number);
  // The predictor that the methods' learned boundaries need, null if none. Engine thread; throws Error.
  [[nodiscard]] static std::shared_ptr<const BoundaryPredictor> predictorFor(const std::vector<MethodChoice>& methods,
                                                                             const LoadedModel& model);

 private:
  void ended();
  void setSaved(bool saved);

  Explorer* m_explorer;
  JobKind m_kind;
  quint64 m_job = 0;
  std::shared_ptr<ResultsFile> m_file = std::make_shared<ResultsFile>();
  bool m_isSaved = true;
  QString m_step;
  std::size_t m_cell = 0;
  double m_fraction = 0;
  double m_firstFraction = -1;  // where the job went on from; negative: it has told nothing yet
  double m_seconds = 0;
  QElapsedTimer m_clock;
  QTimer m_tick;
};

// An experiment of core: what it is asked, whether it goes on, and its work, Kind::run() on the engine's thread, with
// Kind::serve() while a step of it is under way. `part` of the results is what came out.
template <class Kind, class Results, class Part, Part Results::*part>
class ExperimentOf : public Experiment {
 public:
  using Settings = decltype(Results::settings);
  using Experiment::Experiment;

  [[nodiscard]] const Results& results() const noexcept { return m_results; }

  // What stands against these settings, as a sentence; empty if nothing does.
  [[nodiscard]] QString problem(const Settings& settings, const std::vector<MethodChoice>& methods) const {
    try {
      static_cast<void>(checked(settings, methods));
    } catch (const Error& error) {
      return QString::fromStdString(error.what());
    }
    return {};
  }
  // True if start() would go on with the results that are there; `why` gets the difference if not.
  [[nodiscard]] bool goesOn(const Settings& settings, const std::vector<MethodChoice>& methods,
                            QString* why = nullptr) const {
    if (isEmpty() || isFinished()) return false;
    std::string other;
    try {
      other = difference(m_results, asked(settings, methods));
    } catch (const Error& error) {  // no predictor where one is needed
      other = error.what();
    }
    if (why) *why = QString::fromStdString(other);
    return other.empty();
  }
  // Goes on with unfinished results of the same settings and model, or begins anew.
  void start(const Settings& settings, const std::vector<MethodChoice>& methods) {
    const auto model = explorer()->session()->model();
    if (!model || isRunning()) return;
    Results begin;
    try {
      begin = checked(settings, methods);
    } catch (const Error& error) {
      Q_EMIT explorer()->message(QString::fromStdString(error.what()), true);
      return;
    }
    const bool same = !isEmpty() && !isFinished() && difference(m_results, begin).empty();
    if (same) begin.*part = m_results.*part;
    submit([this, model, begin = std::move(begin), file = fileFor(same)](const JobContext& job) {
      Results results = begin;
      ExperimentOptions<Results> options;
      options.cancel = job.cancel();
      options.progress = [&, sinceProgress = QElapsedTimer()](const ExperimentProgress& at) mutable {
        if (!sinceProgress.isValid()) {
          // Nothing was refused: what was shown before makes room.
          job.post([this, results, file] {
            m_results = results;
            begun(file);
          });
        }
        if (!sinceProgress.isValid() || sinceProgress.elapsed() >= kTellEveryMs) {
          sinceProgress.start();
          job.post([this, at] { tell(at); });
        }
        Kind::serve(job);
      };
      options.updated = [&](const Results& soFar, std::size_t index) {
        file->write(soFar);
        job.post([this, index, more = (soFar.*part)[index]] {
          Part& held = m_results.*part;
          if (index >= held.size()) held.resize(index + 1);
          held[index] = more;
          added(static_cast<int>(index));
        });
        job.serveAll();
      };
      Kind::run(*model, results, options);
    });
  }

  static void serve(const JobContext& job) { job.serveAll(); }

  [[nodiscard]] bool isEmpty() const override { return m_results.methods.empty(); }
  [[nodiscard]] bool isFinished() const override { return !isEmpty() && m_results.finished(); }
  [[nodiscard]] std::string csv() const override { return to_csv(m_results); }

 protected:
  virtual void complete(Results& asked) const { static_cast<void>(asked); }  // methods as the experiment takes them
  virtual void check(const Results& asked) const = 0;                        // throws Error
  [[nodiscard]] nlohmann::json json() const override { return m_results; }
  void adopt(Results read) { m_results = std::move(read); }

 private:
  static constexpr qint64 kTellEveryMs = 30;  // progress is told to the window at most this often

  // What is asked; throws Error where anything stands against it.
  [[nodiscard]] Results checked(const Settings& settings, const std::vector<MethodChoice>& methods) const {
    check_settings(settings);
    checkContext(settings.lengths.back());
    Results asked = this->asked(settings, methods);
    check(asked);
    return asked;
  }
  [[nodiscard]] Results asked(const Settings& settings, const std::vector<MethodChoice>& methods) const {
    Results results;
    results.settings = settings;
    results.methods = methods;
    complete(results);
    if (const auto model = explorer()->session()->model()) {
      results.model = model->name.toStdString();
      results.fingerprint = identity_of(*model->weights, predictorFor(results.methods, *model).get());
    }
    return results;
  }

  Results m_results;
};

}  // namespace dhsa
