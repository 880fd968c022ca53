#include "core/base/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace dhsa {
namespace {

std::vector<int> allowed_processors() {
  static const std::vector<int> processors = [] {
    std::vector<int> list;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) list.push_back(cpu);
      }
    }
    if (list.empty()) list.push_back(0);
    return list;
  }();
  return processors;
}

// A thread for each processor: each keeps to its own. With fewer, which processors are free is for the system to know:
// two programs that both took the first ones would run at half speed.
void bind_pool(int threads) {
#ifdef __SANITIZE_THREAD__
  static_cast<void>(threads);  // see on_all_threads
#else
  const std::vector<int> processors = allowed_processors();
  const bool each_its_own = threads == static_cast<int>(processors.size());
#pragma omp parallel num_threads(threads)
  {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (std::size_t i = 0; i < processors.size(); ++i) {
      if (!each_its_own || i == static_cast<std::size_t>(omp_get_thread_num())) CPU_SET(processors[i], &set);
    }
    sched_setaffinity(0, sizeof set, &set);
  }
#endif
}

// ThreadSanitizer sees neither the start nor the end of libgomp's loops: under it the threads are our own.
void on_all_threads(const std::function<void()>& work) {
#ifdef __SANITIZE_THREAD__
  std::vector<std::thread> others;
  for (int i = 1; i < compute_threads(); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
#else
#pragma omp parallel
  work();
#endif
}

}  // namespace

void set_compute_threads(int threads) {
  const int most = static_cast<int>(allowed_processors().size());
  const int count = threads > 0 ? std::min(threads, most) : most;
  omp_set_num_threads(count);
  at::set_num_threads(count);
  bind_pool(count);
}

int compute_threads() { return omp_get_max_threads(); }

void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& body, const CancelToken* cancel) {
  std::exception_ptr first;
  std::mutex guard;
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> next{0};
  const auto work = [&] {
    for (std::int64_t i = next++; i < n; i = next++) {
      if (stop.load(std::memory_order_relaxed) || (cancel != nullptr && cancel->cancelled())) return;
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!first) first = std::current_exception();
        stop = true;
      }
    }
  };
  if (n > 1) {
    on_all_threads(work);
  } else {
    work();
  }
  if (first) std::rethrow_exception(first);
  if (cancel != nullptr) cancel->check();
}

}  // namespace dhsa
