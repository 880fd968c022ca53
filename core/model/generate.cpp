#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/model/decode.h"
#include "core/model/gemma2.h"
#include "core/model/kv_cache_internal.h"

namespace dhsa {
namespace {

KvCache& cache_of(const PrefillResult& prefill) {
  if (prefill.cache == nullptr)
    throw Error("Reading on after a prefill needs its key/value cache, which was not kept.");
  return *prefill.cache;
}

}  // namespace

Decoder::Decoder(const Gemma2& model, const PrefillResult& prefill, const CancelToken* cancel)
    : model_(model), cache_(cache_of(prefill)), cancel_(cancel), likeliest_(cache_.next_token) {
  cache_.rewind();
  const auto vocab = static_cast<std::ptrdiff_t>(model.config().vocab_size);
  logits_.assign(prefill.logits.end() - vocab, prefill.logits.end());
}

Decoder::~Decoder() { cache_.rewind(); }

void Decoder::read(std::int32_t token) {
  if (cancel_ != nullptr) cancel_->check();
  logits_ = model_.decode_step(cache_, token);
  likeliest_ = static_cast<std::int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

Continuation continue_greedily(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                               const CancelToken* cancel, const std::function<void(std::int32_t)>& seen) {
  Decoder decoder(model, prefill, cancel);
  const std::vector<std::int32_t>& stops = model.config().stop_tokens;
  Continuation continuation;
  std::vector<std::int32_t>& tokens = continuation.tokens;
  while (static_cast<std::int64_t>(tokens.size()) < most) {
    if (std::find(stops.begin(), stops.end(), decoder.likeliest()) != stops.end()) {
      continuation.stop_token = decoder.likeliest();
      break;
    }
    tokens.push_back(decoder.likeliest());
    if (seen) seen(tokens.back());
    if (static_cast<std::int64_t>(tokens.size()) == most) break;
    decoder.read(tokens.back());
  }
  return continuation;
}

std::vector<std::int32_t> generate_greedy(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                                          const CancelToken* cancel, const std::function<void(std::int32_t)>& seen) {
  return continue_greedily(model, prefill, most, cancel, seen).tokens;
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
  if (continuation.empty()) throw Error("There is no continuation to score.");
  Decoder decoder(model, prefill, cancel);
  double sum = 0;
  for (std::size_t i = 0; i < continuation.size(); ++i) {
    if (i > 0) decoder.read(continuation[i - 1]);
    sum += log_probability(decoder.logits(), continuation[i]);
  }
  return sum / static_cast<double>(continuation.size());
}

}  // namespace dhsa
