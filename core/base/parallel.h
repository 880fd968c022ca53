// Parallel loops over OpenMP's pool, shared with libtorch.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/error.h"

namespace dhsa {

// Threads that parallel_for and libtorch use, at most one per allowed processor; 0 means that many. Call on the thread
// that computes: libgomp keeps one pool per calling thread, and this also binds that pool's threads to distinct
// processors if there is one for each (unbound, both OpenMP threads may be left on one processor).
void set_compute_threads(int threads);
[[nodiscard]] int compute_threads();

// Runs body(i) for i in [0, n), dynamically scheduled one index at a time. The first exception thrown by a body
// is rethrown here once the loop has drained; with `cancel`, remaining indices are skipped and Cancelled is thrown.
void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& body, const CancelToken* cancel = nullptr);

}  // namespace dhsa
