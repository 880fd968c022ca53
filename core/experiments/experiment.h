// What needle tests, sweeps and ablations share: settings, methods and a model lead to a grid of cells that are filled
// one after the other. What is there so far is complete in itself: it can be shown, written, and gone on from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"

namespace dhsa {

template <class Settings>
struct ExperimentResults {
  Settings settings;
  std::vector<MethodChoice> methods;
  std::string model;        // for a person
  std::string fingerprint;  // see identity_of()
};

// What `fingerprint` holds, and answers depend on: the model's own fingerprint; behind it " bfloat16" where that is
// computed in, and " predictor:..." where boundaries are learned.
[[nodiscard]] std::string identity_of(const Gemma2& model, const BoundaryPredictor* predictor);

struct ExperimentProgress {
  std::size_t cell = 0;  // under way, of all cells in the order of the work
  std::string method;
  std::string step;     // all of it for a person: "4,096 tokens, text 2 of 4, best"
  double fraction = 0;  // of the whole work, 0 to 1; never falls
};

// Callbacks come on the thread of the work.
template <class Results>
struct ExperimentOptions {
  std::function<void(const ExperimentProgress&)> progress;
  // Once there is more in the results at this index: of cells, points or samples.
  std::function<void(const Results& results, std::size_t index)> updated;
  const CancelToken* cancel = nullptr;
};

// How much of an experiment is there.
struct ExperimentCount {
  std::int64_t done = 0;
  std::int64_t all = 0;
};

}  // namespace dhsa
