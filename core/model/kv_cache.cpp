#include <algorithm>

#include "core/model/kv_cache_internal.h"
#include "core/model/ops_internal.h"

namespace dhsa {
namespace {

constexpr std::int64_t kRoomToDecode = 256;  // tokens that fit before the first reallocation

std::int64_t first_kept(const Gemma2Config& config, std::int64_t layer, std::int64_t prompt) {
  const std::int64_t window = config.window_of(layer);
  return window > 0 ? std::max<std::int64_t>(0, prompt - (window - 1)) : 0;
}

}  // namespace

KvCache::KvCache(const Gemma2Config& config, std::int64_t prompt, at::ScalarType type, const at::Tensor& like)
    : prompt_(prompt), length_(prompt) {
  for (std::int64_t l = 0; l < config.layers; ++l) {
    Layer& layer = layers_.emplace_back();
    layer.first = first_kept(config, l, prompt);
    const std::int64_t rows = prompt - layer.first + kRoomToDecode;
    layer.keys = ops::empty({config.kv_heads, rows, config.head_dim}, type, like);
    layer.values = ops::empty({config.kv_heads, rows, config.head_dim}, type, like);
  }
}

std::int64_t KvCache::bytes(const Gemma2Config& config, std::int64_t prompt, DType type) {
  std::int64_t rows = 0;
  for (std::int64_t l = 0; l < config.layers; ++l) rows += prompt - first_kept(config, l, prompt) + kRoomToDecode;
  return 2 * rows * config.kv_heads * config.head_dim * bytes_of(type);
}

void KvCache::reserve_next() {
  for (Layer& layer : layers_) {
    const std::int64_t used = length_ - layer.first;
    if (used < layer.keys.size(1)) continue;
    for (at::Tensor* tensor : {&layer.keys, &layer.values}) {
      at::Tensor wider = ops::empty({tensor->size(0), used + std::max(kRoomToDecode, used / 4), tensor->size(2)},
                                    tensor->scalar_type(), *tensor);
      wider.narrow(1, 0, used).copy_(tensor->narrow(1, 0, used));
      *tensor = std::move(wider);
    }
  }
}

}  // namespace dhsa
