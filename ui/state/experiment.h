// What needle tests and sweeps have in common: long work in the background on the engine's thread, its progress, and
// a file of results, the one that the command line writes.
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "ui/state/engine.h"
#include "ui/state/explorer.h"

namespace dhsa {

struct MethodChoice;

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
  void tell(double fraction, const QString& step);
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
  double m_fraction = 0;
  double m_firstFraction = -1;  // where the job went on from; negative: it has told nothing yet
  double m_seconds = 0;
  QElapsedTimer m_clock;
  QTimer m_tick;
};

}  // namespace dhsa
