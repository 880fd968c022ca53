// Keys and values kept after a prefill, for decoding on top of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/model/config.h"
#include "core/model/gemma2.h"

namespace dhsa {

class KvCache {
 public:
  KvCache(const Gemma2Config& config, std::int64_t prompt, at::ScalarType type, const at::Tensor& like);

  // Bytes that a cache for `prompt` tokens takes.
  [[nodiscard]] static std::int64_t bytes(const Gemma2Config& config, std::int64_t prompt, DType type);

  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::int64_t prompt() const { return prompt_; }
  [[nodiscard]] std::int64_t length() const { return length_; }  // tokens so far; the next one has this position
  // Forgets what was decoded after the prompt.
  void rewind() { length_ = prompt_; }
  void advance() { ++length_; }

  // First position a layer still holds: 0, or where the window of the token after the prompt begins.
  [[nodiscard]] std::int64_t first(std::int64_t layer) const { return at(layer).first; }
  // [Hkv, capacity, D], row 0 being position first(layer); a whole-prompt layer may be written directly by prefill.
  [[nodiscard]] at::Tensor& keys(std::int64_t layer) { return at(layer).keys; }
  [[nodiscard]] at::Tensor& values(std::int64_t layer) { return at(layer).values; }
  // Makes room for one more token in every layer.
  void reserve_next();

  std::int32_t next_token = 0;  // likeliest token after the prompt

 private:
  struct Layer {
    at::Tensor keys, values;
    std::int64_t first = 0;
  };
  [[nodiscard]] const Layer& at(std::int64_t layer) const { return layers_[static_cast<std::size_t>(layer)]; }
  [[nodiscard]] Layer& at(std::int64_t layer) { return layers_[static_cast<std::size_t>(layer)]; }

  std::vector<Layer> layers_;
  std::int64_t prompt_ = 0;
  std::int64_t length_ = 0;
};

}  // namespace dhsa
