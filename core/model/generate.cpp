#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/model/gemma2.h"
#include "core/model/kv_cache_internal.h"

namespace dhsa {
namespace {

// The result stays as it was, so that going on from it again gives the same.
struct Rewind {
  explicit Rewind(KvCache& kept) : cache(kept) { cache.rewind(); }
  ~Rewind() { cache.rewind(); }
  Rewind(const Rewind&) = delete;
  Rewind& operator=(const Rewind&) = delete;
  KvCache& cache;
};

}  // namespace

std::vector<std::int32_t> generate_greedy(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                                          const CancelToken* cancel, const std::function<void(std::int32_t)>& seen) {
  if (prefill.cache == nullptr) throw Error("Generating needs a prefill that kept its key/value cache.");
  KvCache& cache = *prefill.cache;
  const Rewind rewind(cache);
  const std::vector<std::int32_t>& stops = model.config().stop_tokens;
  std::vector<std::int32_t> tokens;
  std::int32_t next = cache.next_token;
  while (static_cast<std::int64_t>(tokens.size()) < most &&
         std::find(stops.begin(), stops.end(), next) == stops.end()) {
    if (cancel != nullptr) cancel->check();
    tokens.push_back(next);
    if (seen) seen(next);
    if (static_cast<std::int64_t>(tokens.size()) == most) break;
    const std::vector<float> logits = model.decode_step(cache, next);
    next = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  return tokens;
}

double log_probability(std::span<const float> logits, std::int32_t token) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
    throw Error(fmt::format("Token {} is outside the model's vocabulary of {}.", token, logits.size()));
  }
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - highest));
  return static_cast<double>(logits[static_cast<std::size_t>(token)] - highest) - std::log(sum);
}

double log_probability(const Gemma2& model, const PrefillResult& prefill, std::span<const std::int32_t> continuation,
                       const CancelToken* cancel) {
  if (prefill.cache == nullptr) throw Error("Scoring a continuation needs a prefill that kept its key/value cache.");
  if (continuation.empty()) throw Error("There is no continuation to score.");
  const auto vocab = static_cast<std::size_t>(model.config().vocab_size);
  const Rewind rewind(*prefill.cache);
  std::vector<float> logits(prefill.logits.end() - static_cast<std::ptrdiff_t>(vocab), prefill.logits.end());
  double sum = 0;
  for (std::size_t i = 0; i < continuation.size(); ++i) {
    if (cancel != nullptr) cancel->check();
    if (i > 0) logits = model.decode_step(*prefill.cache, continuation[i - 1]);
    sum += log_probability(logits, continuation[i]);
  }
  return sum / static_cast<double>(continuation.size());
}

}  // namespace dhsa
