// What people point at as a model: a folder in the Hugging Face layout, one in its download cache, or a GGUF file.
// Wherever the program takes a model's folder, such a file does too.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/model/config.h"

namespace dhsa {

// The folder that holds a model's files: `path`, or the snapshot in it if it is one of the cache's folders
// ("models--google--gemma-2-2b"), or that of the only
// model in a whole cache, or the only GGUF file in it if it holds no other model; `path` itself if that is a
// GGUF file. Throws Error with what to do where the model is of a kind that is not read: an adapter without its base,
// weights as pickles, a file of another kind.
[[nodiscard]] std::filesystem::path model_folder(const std::filesystem::path& path);

// config.json of a model's folder. Its stop tokens are those of config.json, of generation_config.json, and the
// tokenizer's own end tokens, <end_of_turn> among them.
[[nodiscard]] Gemma2Config read_model_config(const std::filesystem::path& folder);

// One sentence on each choice that was made in reading the folder.
[[nodiscard]] std::vector<std::string> weight_notes(const std::filesystem::path& folder);

}  // namespace dhsa
