#include "ui/state/engine.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <QThread>
#include <algorithm>
#include <new>

#include "core/base/parallel.h"

namespace dhsa {
namespace {

// The lower is served first.
enum Level : std::uint8_t { kAtOnce, kSoon, kLong, kIdle, kBackground };

Level levelOf(JobKind kind) {
  switch (kind) {
    case JobKind::kLayer:
    case JobKind::kRow:
      return kAtOnce;
    case JobKind::kPicture:
      return kSoon;
    case JobKind::kRefine:
    case JobKind::kMultiples:
      return kIdle;
    case JobKind::kNeedle:
    case JobKind::kSweep:
    case JobKind::kSuite:
    case JobKind::kLongBench:
      return kBackground;
    default:
      return kLong;
  }
}

// Pictures and refinements stop for anything more urgent and are taken up again afterwards.
bool makesWay(JobKind running, JobKind next) {
  return (levelOf(running) == kSoon || levelOf(running) == kIdle) && levelOf(next) < levelOf(running);
}

std::size_t indexOf(JobKind kind) { return static_cast<std::size_t>(kind); }

}  // namespace

void JobContext::post(std::function<void()> deliver) const {
  m_engine->deliver(m_kind, m_id, std::move(deliver), false);
}
void JobContext::serve(bool all) const { m_engine->serve(all ? kIdle : kSoon); }

Engine::Engine(QObject* parent) : QObject(parent), m_thread(QThread::create([this] { loop(); })) {
  m_thread->setObjectName(QStringLiteral("engine"));
  m_thread->start();
}

Engine::~Engine() {
  {
    const std::lock_guard lock(m_mutex);
    m_stop = true;
    for (const auto& job : m_queue) job->cancel->cancel();
    m_queue.clear();
    for (const auto& job : m_running) job->cancel->cancel();
  }
  m_wake.notify_all();
  m_thread->wait();
  delete m_thread;
}

quint64 Engine::submit(JobKind kind, Work work) {
  auto job = std::make_shared<Job>(Job{kind, 0, std::make_shared<CancelToken>(), std::move(work)});
  {
    const std::lock_guard lock(m_mutex);
    job->id = m_nextId++;
    m_newest[indexOf(kind)] = job->id;
    m_cancelAsked[indexOf(kind)] = false;
    std::erase_if(m_queue, [kind](const auto& queued) { return queued->kind == kind; });
    for (const auto& running : m_running) {
      if (running->kind == kind) {
        running->preempted = false;
        running->cancel->cancel();
        clearAwayLocked(running);
      } else if (makesWay(running->kind, kind) && !running->cancel->cancelled()) {
        running->preempted = true;
        running->cancel->cancel();
      }
    }
    m_queue.push_back(job);
  }
  m_wake.notify_one();
  return job->id;
}

void Engine::cancel(JobKind kind) {
  quint64 queuedOnly = 0;
  {
    const std::lock_guard lock(m_mutex);
    m_cancelAsked[indexOf(kind)] = true;
    for (const auto& queued : m_queue) {
      if (queued->kind == kind) queuedOnly = queued->id;
    }
    std::erase_if(m_queue, [kind](const auto& queued) { return queued->kind == kind; });
    for (const auto& running : m_running) {
      if (running->kind != kind) continue;
      running->preempted = false;
      running->cancel->cancel();
      clearAwayLocked(running);
    }
  }
  if (queuedOnly != 0) Q_EMIT cancelled(kind, queuedOnly);
}

bool Engine::isBusy(JobKind kind) const {
  const std::lock_guard lock(m_mutex);
  const auto isOne = [kind](const auto& job) { return job->kind == kind; };
  return std::any_of(m_running.begin(), m_running.end(), isOne) || std::any_of(m_queue.begin(), m_queue.end(), isOne);
}

bool Engine::isBusy() const {
  const std::lock_guard lock(m_mutex);
  return !m_running.empty() || !m_queue.empty();
}

std::shared_ptr<Engine::Job> Engine::takeLocked(int lowest) {
  auto best = m_queue.end();
  for (auto at = m_queue.begin(); at != m_queue.end(); ++at) {
    const int level = levelOf((*at)->kind);
    if (level <= lowest && (best == m_queue.end() || level < levelOf((*best)->kind))) best = at;
  }
  if (best == m_queue.end()) return nullptr;
  auto job = *best;
  m_queue.erase(best);
  return job;
}

void Engine::loop() {
  // The window must win whenever it wants a processor; the compute threads inherit this.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 5);
  set_compute_threads(0);
  for (;;) {
    {
      std::unique_lock lock(m_mutex);
      m_wake.wait(lock, [this] { return m_stop || !m_queue.empty(); });
      if (m_stop) return;
    }
    serve(kBackground);
  }
}

// Whatever waits at this level or above, the most urgent first.
void Engine::serve(int lowest) {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      const std::lock_guard lock(m_mutex);
      // One that is to stop serves no more.
      if (m_stop || (!m_running.empty() && m_running.back()->cancel->cancelled())) return;
      job = takeLocked(lowest);
      if (!job) return;
      m_running.push_back(job);
    }
    const std::function<void()> end = execute(job);
    {
      const std::lock_guard lock(m_mutex);
      m_running.pop_back();
      requeueLocked(job);
    }
    // Whoever hears of the end finds the engine free of the job.
    if (end) deliver(job->kind, job->id, end, true);
  }
}

// What `stopping` serves in its midst stops too, or it would be waited for; it is taken up again afterwards.
void Engine::clearAwayLocked(const std::shared_ptr<Job>& stopping) {
  const auto at = std::find(m_running.begin(), m_running.end(), stopping);
  for (auto inside = at + 1; inside < m_running.end(); ++inside) {
    if ((*inside)->cancel->cancelled()) continue;
    (*inside)->preempted = true;
    (*inside)->cancel->cancel();
  }
}

void Engine::requeueLocked(const std::shared_ptr<Job>& job) {
  if (!job->preempted || m_stop || m_newest[indexOf(job->kind)] != job->id) return;
  job->preempted = false;
  job->cancel = std::make_shared<CancelToken>();
  m_queue.push_back(job);
}

std::function<void()> Engine::execute(const std::shared_ptr<Job>& job) {
  const JobKind kind = job->kind;
  const quint64 id = job->id;
  deliver(
      kind, id, [this, kind, id] { Q_EMIT started(kind, id); }, false);
  const auto fail = [&](const QString& sentence) {
    return [this, kind, id, sentence] { Q_EMIT failed(kind, id, sentence); };
  };
  // Work that made way but had finished already needs no second time.
  const auto settle = [&] {
    const std::lock_guard lock(m_mutex);
    job->preempted = false;
  };
  try {
    job->work(JobContext(this, kind, id, job->cancel));
    settle();
    // A cancel that came too late for the work to notice still counts: nothing of it was delivered.
    return [this, kind, id] {
      if (m_cancelAsked[indexOf(kind)]) {
        Q_EMIT cancelled(kind, id);
      } else {
        Q_EMIT finished(kind, id);
      }
    };
  } catch (const Cancelled&) {
    bool preempted = false;
    {
      const std::lock_guard lock(m_mutex);
      preempted = job->preempted;
    }
    if (preempted) return {};
    return [this, kind, id] { Q_EMIT cancelled(kind, id); };
  } catch (const std::bad_alloc&) {
    return fail(tr("There is not enough memory for this. Take a shorter text or a smaller model."));
  } catch (const std::exception& error) {
    return fail(QString::fromStdString(error.what()));
  }
}

void Engine::deliver(JobKind kind, quint64 id, std::function<void()> what, bool evenIfCancelled) {
  QMetaObject::invokeMethod(
      this,
      [this, kind, id, what = std::move(what), evenIfCancelled] {
        {
          const std::lock_guard lock(m_mutex);
          if (m_newest[indexOf(kind)] != id) return;
          if (m_cancelAsked[indexOf(kind)] && !evenIfCancelled) return;
        }
        what();
      },
      Qt::QueuedConnection);
}

}  // namespace dhsa
