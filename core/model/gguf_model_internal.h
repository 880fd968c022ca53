// Gemma 2 as llama.cpp lays it out in a GGUF file.
#pragma once

#include <string>

#include "core/files/gguf.h"
#include "core/model/config.h"

namespace dhsa {

// Throws Error where the file holds another kind of model or lacks what every file of Gemma 2 says.
[[nodiscard]] Gemma2Config gguf_config(const GgufFile& file);

// "layers.3.mlp.up_proj.weight" -> "blk.3.ffn_up.weight"; "lm_head.weight" -> "output.weight".
[[nodiscard]] std::string gguf_tensor_name(const std::string& name);

}  // namespace dhsa
