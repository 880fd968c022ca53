#include "core/model/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/gguf.h"
#include "core/files/lfs_pointer.h"
#include "core/files/model_file.h"
#include "core/files/strict_json.h"
#include "core/model/checkpoint_internal.h"
#include "core/model/gguf_model_internal.h"
#include "core/text/chat.h"
#include "core/text/sentencepiece_internal.h"
#include "core/text/tokenizer_config.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string read_begin(const fs::path& path) {
  std::string begin(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<std::size_t>(file.gcount()));
  return begin;
}

bool holds_weights(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool shard = name.starts_with("model-") && name.find("-of-") != std::string::npos;
    const bool weights = name == "model.safetensors" || name == "model.safetensors.index.json" ||
                         (shard && name.ends_with(".safetensors"));
    if (weights && there(entry.path())) return true;
  }
  return false;
}

// The first file whose name ends so.
std::optional<std::string> file_ending(const fs::path& folder, std::initializer_list<const char*> endings) {
  std::error_code ignored;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return name.ends_with(ending); })) {
      return name;
    }
  }
  return std::nullopt;
}

std::optional<std::string> dangling_link(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_symlink(ignored) && !there(entry.path())) return entry.path().filename().string();
  }
  return std::nullopt;
}

std::string base_of_adapter(const fs::path& config) {
  const json file = parse_strict_json(read_model_file(config, kMostModelJson), config.string());
  const json base = file.is_object() ? file.value("base_model_name_or_path", json()) : json();
  return base.is_string() ? " " + brief_name(base.get<std::string>()) : std::string();
}

// Says why a folder without weights that can be read is one, if that is known.
void refuse_other_kinds(const fs::path& folder) {
  if (there(folder / "adapter_config.json")) {
    throw Error(
        fmt::format("{}: holds a LoRA adapter without its base "
                    "model{}; merge it into the base (peft's "
                    "merge_and_unload), save that and open its folder.",
                    folder.string(), base_of_adapter(folder / "adapter_config.json")));
  }
  if (const auto part = file_ending(folder, {".incomplete", ".part", ".crdownload", ".aria2"})) {
    throw Error(fmt::format("{}: holds {}, so its download did not come to its end; download it again.",
                            folder.string(), *part));
  }
  if (const auto link = dangling_link(folder)) {
    throw Error(
        fmt::format("{}: {} is a link to a file that is not there; download the model again.", folder.string(), *link));
  }
  if (const auto pickle = file_ending(folder, {".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"})) {
    throw Error(
        fmt::format("{}: holds its weights as {}, which is not read; "
                    "save the model with safe_serialization, "
                    "as safetensors.",
                    folder.string(), *pickle));
  }
  if (const auto other = file_ending(folder, {".h5", ".msgpack", ".npz", ".onnx"})) {
    throw Error(
        fmt::format("{}: holds its weights as {}, which is not read; "
                    "take the model as safetensors.",
                    folder.string(), *other));
  }
  if (const auto single = file_ending(folder, {".safetensors"}); single && *single != "predictor.safetensors") {
    throw Error(
        fmt::format("{}: holds {} but no model.safetensors; if it is "
                    "the whole model, give it that name.",
                    folder.string(), *single));
  }
}

// The snapshot that a folder of the download cache stands for.
fs::path snapshot_of(const fs::path& cache) {
  std::vector<fs::path> snapshots;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(cache / "snapshots", ignored)) {
    if (entry.is_directory(ignored)) snapshots.push_back(entry.path());
  }
  if (snapshots.size() == 1) return snapshots.front();
  if (snapshots.empty()) {
    throw Error(
        fmt::format("{}: the download cache of a model without a "
                    "snapshot; download it again.",
                    cache.string()));
  }
  if (fs::is_regular_file(cache / "refs" / "main", ignored)) {
    std::string revision = read_file(cache / "refs" / "main", 1024);
    revision.erase(revision.find_last_not_of(" \n\r") + 1);
    const fs::path main = cache / "snapshots" / fs::path(revision).filename();
    if (!revision.empty() && there(main)) return main;
  }
  throw Error(
      fmt::format("{}: holds {} snapshots of a model; give the folder "
                  "of one below snapshots.",
                  cache.string(), snapshots.size()));
}

// The only model of a whole download cache.
fs::path only_cached(const fs::path& hub) {
  std::vector<std::string> models;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(hub, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("models--") && entry.is_directory(ignored)) models.push_back(name);
  }
  if (models.empty()) return hub;
  if (models.size() == 1) return hub / models.front();
  std::sort(models.begin(), models.end());
  throw Error(fmt::format("{}: a download cache of {} models; give the folder of one, for example {}.", hub.string(),
                          models.size(), models.front()));
}

// The GGUF file of a folder that holds one.
std::optional<fs::path> only_gguf(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (is_gguf(entry.path())) files.push_back(entry.path());
  }
  if (files.empty()) return std::nullopt;
  if (files.size() == 1) return files.front();
  throw Error(fmt::format("{}: holds {} GGUF files; give one of them.", folder.string(), files.size()));
}

// Empty where there is no tokenizer.
std::vector<SentencePieceFile::Piece> pieces_of(const fs::path& folder) {
  if (is_gguf(folder)) return gguf_pieces(*GgufFile::open(folder));
  if (!there(folder / "tokenizer.model") && !there(folder / "tokenizer.json")) return {};
  const fs::path file = tokenizer_file(folder);
  const std::string bytes = read_model_file(file, kMostTokenizerBytes);
  return file.extension() == ".json" ? tokenizer_json_pieces(bytes) : parse_sentencepiece_file(bytes).pieces;
}

// The id of a piece that the tokenizer's configuration does not give.
std::optional<std::int64_t> find_piece(const fs::path& folder, const std::string& name) {
  try {
    const std::vector<SentencePieceFile::Piece> pieces = pieces_of(folder);
    const auto found =
        std::find_if(pieces.begin(), pieces.end(), [&](const auto& piece) { return piece.text == name; });
    if (found != pieces.end()) return found - pieces.begin();
  } catch (const std::invalid_argument&) {  // who opens the tokenizer will say so
  }
  return std::nullopt;
}

std::optional<std::int64_t> id_of(const fs::path& folder, const TokenizerConfig& config, const std::string& name) {
  for (const auto& [id, token] : config.added) {
    if (token.text == name) return id;
  }
  return find_piece(folder, name);
}

}  // namespace

fs::path model_folder(const fs::path& path) {
  std::error_code ignored;
  if (is_gguf(path)) return path;
  if (!fs::is_directory(path, ignored)) {
    if (fs::is_regular_file(path, ignored)) refuse_lfs_pointer(read_begin(path), path);
    throw Error(fmt::format("{}: is not a folder{}; give the folder of a Gemma 2 model, or its GGUF file.",
                            path.string(), there(path) ? "" : ", for there is nothing of that name"));
  }
  fs::path folder = path;
  if (!there(path / "config.json")) {
    // Of the download cache: all of it, a model's folder in it, or the one of its snapshots.
    const fs::path plain = path.has_filename() ? path : path.parent_path();
    folder = plain.filename() == "snapshots" ? fs::absolute(plain).parent_path() : only_cached(path);
    if (there(folder / "snapshots")) folder = snapshot_of(folder);
  }
  if (holds_weights(folder)) return folder;
  if (const auto gguf = only_gguf(folder)) return *gguf;
  refuse_other_kinds(folder);
  return folder;
}

Gemma2Config read_model_config(const fs::path& folder) {
  const bool gguf = is_gguf(folder);
  Gemma2Config config = gguf ? gguf_config(*GgufFile::open(folder)) : read_config(folder / "config.json");
  if (const fs::path generation = folder / "generation_config.json"; there(generation)) {
    add_generation_config(read_model_file(generation, kMostModelJson), generation.string(), config);
  }
  const TokenizerConfig tokens = read_tokenizer_config(folder);
  for (const std::string& name : {tokens.end_token, std::string(kTurnEnd)}) {
    if (name.empty()) continue;
    if (const auto id = id_of(folder, tokens, name)) add_stop_token(config, *id);
  }
  return config;
}

std::vector<std::string> weight_notes(const fs::path& folder) {
  std::vector<std::string> notes = Checkpoint(folder, read_model_config(folder)).notes();
  if (is_lfs_pointer(folder / "tokenizer.model")) {
    notes.emplace_back("tokenizer.model is a Git-LFS pointer and not the file itself: tokenizer.json is read instead.");
  }
  if (const TokenizerConfig tokens = read_tokenizer_config(folder);
      !tokens.chat_template.empty() && !speaks_in_turns(tokens)) {
    notes.emplace_back("Its chat template is not Gemma's: a text is given as it is, and not as a turn of the user.");
  }
  return notes;
}

}  // namespace dhsa
