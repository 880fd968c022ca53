// Reading on after a prefill that kept its cache, token by token, densely.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/model/gemma2.h"

namespace dhsa {

// While it lives nothing else may read on from the same prefill. When it goes, the prefill is as it was.
class Decoder {
 public:
  // Throws Error where the prefill kept no cache.
  Decoder(const Gemma2& model, const PrefillResult& prefill, const CancelToken* cancel = nullptr);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void read(std::int32_t token);  // throws Cancelled
  // [vocab] after the last token read; before the first, those of the last position the prefill was asked for.
  [[nodiscard]] std::span<const float> logits() const noexcept { return logits_; }
  [[nodiscard]] std::int32_t likeliest() const noexcept { return likeliest_; }  // next token

 private:
  const Gemma2& model_;
  KvCache& cache_;
  const CancelToken* cancel_;
  std::vector<float> logits_;
  std::int32_t likeliest_ = 0;
};

struct Continuation {
  std::vector<std::int32_t> tokens;
  std::optional<std::int32_t> stop_token;  // that would have come next; none: there are as many tokens as asked for
};

// What generate_greedy() says, and why it ended.
[[nodiscard]] Continuation continue_greedily(const Gemma2& model, const PrefillResult& prefill, std::int64_t most,
                                             const CancelToken* cancel = nullptr,
                                             const std::function<void(std::int32_t)>& seen = {});

}  // namespace dhsa
