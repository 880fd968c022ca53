#include <algorithm>

#include "core/model/gemma2.h"
#include "core/model/kv_cache_internal.h"

namespace dhsa {

std::vector<std::int32_t> generate_greedy(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                                          const CancelToken* cancel, const std::function<void(std::int32_t)>& seen) {
  if (prefill.cache == nullptr) throw Error("Generating needs a prefill that kept its key/value cache.");
  KvCache& cache = *prefill.cache;
  // The result stays as it was, so that generating again gives the same.
  struct Rewind {
    KvCache& cache;
    ~Rewind() { cache.rewind(); }
  } const rewind{cache};
  cache.rewind();

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

}  // namespace dhsa
