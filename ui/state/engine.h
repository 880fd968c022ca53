// One long-lived thread for all computing, and a queue of numbered jobs. A new job of a kind supersedes the older ones
// of that kind: they are cancelled, and whatever they still deliver is dropped here, on the window's thread.
#pragma once

#include <QObject>
#include <QString>
#include <array>
#include <concepts>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/error.h"

class QThread;

namespace dhsa {

enum class JobKind : std::uint8_t {
  kInspectModel,
  kLoadModel,
  kLoadDocument,
  kPrefill,
  kCompare,
  kGenerate,
  kNeedle,
  kSweep,
  kSuite,
  kLongBench,
  kLayer,      // what-if of the layer in view
  kRow,        // the selected row
  kPicture,    // what the matrix draws
  kRefine,     // exact figures and the other layers, while nothing else waits
  kMultiples,  // small pictures of heads and layers, likewise
};
inline constexpr std::size_t kJobKinds = 15;

class Engine;

// Handed to a job's work. Lives on the engine thread.
class JobContext {
 public:
  [[nodiscard]] const CancelToken* cancel() const noexcept { return m_cancel.get(); }
  [[nodiscard]] quint64 id() const noexcept { return m_id; }
  // Runs `deliver` on the window's thread, unless the job is cancelled or superseded by then.
  void post(std::function<void()> deliver) const;
  // Serves waiting interactive jobs in the middle of a long one (called between two stages of a prefill).
  void serveInteractive() const { serve(false); }
  // Serves all other work that waits, loading and runs included, but no second work in the background: called by that
  // wherever it can pause.
  void serveAll() const { serve(true); }

 private:
  friend class Engine;
  void serve(bool all) const;
  JobContext(Engine* engine, JobKind kind, quint64 id, std::shared_ptr<CancelToken> cancel)
      : m_engine(engine), m_kind(kind), m_id(id), m_cancel(std::move(cancel)) {}
  Engine* m_engine;
  JobKind m_kind;
  quint64 m_id;
  std::shared_ptr<CancelToken> m_cancel;
};

class Engine : public QObject {
  Q_OBJECT

 public:
  // A job that made way runs again from its beginning, so it must not use up what it holds: only what can be called
  // while const is taken, no lambda that is mutable.
  class Work {
   public:
    template <class Call>
    requires std::invocable<const Call&, const JobContext&>
    explicit(false) Work(Call call) : m_call([call = std::move(call)](const JobContext& job) { call(job); }) {}
    void operator()(const JobContext& job) const { m_call(job); }

   private:
    std::function<void(const JobContext&)> m_call;
  };

  explicit Engine(QObject* parent = nullptr);
  ~Engine() override;  // cancels everything and joins the thread

  quint64 submit(JobKind kind, Work work);
  void cancel(JobKind kind);
  [[nodiscard]] bool isBusy(JobKind kind) const;  // queued or running
  [[nodiscard]] bool isBusy() const;

 Q_SIGNALS:
  // On the window's thread, for the newest job of its kind only. cancelled() comes once the work has really stopped.
  void started(JobKind kind, quint64 id);
  void finished(JobKind kind, quint64 id);
  void cancelled(JobKind kind, quint64 id);
  void failed(JobKind kind, quint64 id, const QString& sentence);

 private:
  friend class JobContext;
  struct Job {
    JobKind kind;
    quint64 id;
    std::shared_ptr<CancelToken> cancel;
    Work work;
    bool preempted = false;  // idle work that made way; goes back into the queue
  };
  void loop();
  std::function<void()> execute(const std::shared_ptr<Job>& job);  // what to say of its end; empty: it goes on later
  void serve(int lowest);
  std::shared_ptr<Job> takeLocked(int lowest);
  void requeueLocked(const std::shared_ptr<Job>& job);
  void clearAwayLocked(const std::shared_ptr<Job>& stopping);
  void deliver(JobKind kind, quint64 id, std::function<void()> what, bool evenIfCancelled);

  mutable std::mutex m_mutex;
  std::condition_variable m_wake;
  std::deque<std::shared_ptr<Job>> m_queue;
  std::vector<std::shared_ptr<Job>> m_running;  // each served inside the one before
  std::array<quint64, kJobKinds> m_newest{};
  std::array<bool, kJobKinds> m_cancelAsked{};
  quint64 m_nextId = 1;
  bool m_stop = false;
  QThread* m_thread;
};

}  // namespace dhsa
