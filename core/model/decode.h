// Reading on after a prefill that kept its cache, token by token, densely.
#pragma once

#include <cstdint>
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

}  // namespace dhsa
