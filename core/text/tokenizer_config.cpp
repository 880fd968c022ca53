#include "core/text/tokenizer_config.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/files/gguf.h"
#include "core/files/model_file.h"
#include "core/files/strict_json.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Null where there is no such file.
json read_optional(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return nullptr;
  return parse_strict_json(read_model_file(path, kMostModelJson), path.string());
}

// A token is written as its text or as an object with the text in it.
std::string token_text(const json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) return token["content"];
  return {};
}

std::string template_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return {};
  for (const json& entry : value) {  // several by name
    if (entry.is_object() && entry.value("name", json()) == "default") {
      return template_text(entry.value("template", json()));
    }
  }
  return {};
}

}  // namespace

TokenizerConfig read_tokenizer_config(const fs::path& folder) {
  TokenizerConfig config;
  if (is_gguf(folder)) {
    // Its other tokens are among its pieces, its end tokens by their ids in its configuration.
    config.chat_template = GgufFile::open(folder)->text("tokenizer.chat_template").value_or("");
    return config;
  }
  if (const json names = read_optional(folder / "added_tokens.json"); names.is_object()) {
    for (const auto& [text, id] : names.items()) {
      if (id.is_number_unsigned()) config.added[id.get<std::int64_t>()] = {text, true};
    }
  }
  if (const json file = read_optional(folder / "tokenizer_config.json"); file.is_object()) {
    config.end_token = token_text(file.value("eos_token", json()));
    config.chat_template = template_text(file.value("chat_template", json()));
    const json decoder = file.value("added_tokens_decoder", json());
    for (const auto& [key, token] : decoder.items()) {
      std::int64_t id = -1;
      std::from_chars(key.data(), key.data() + key.size(), id);
      const std::string text = token_text(token);
      if (id < 0 || text.empty()) continue;
      config.added[id] = {text, token.is_object() && token.value("special", json()) == true};
    }
  }
  std::error_code ignored;
  const fs::path own = folder / "chat_template.jinja";
  if (fs::exists(own, ignored) && !fs::is_empty(own, ignored)) {
    config.chat_template = read_model_file(own, kMostModelJson);
  } else if (const json file = read_optional(folder / "chat_template.json"); file.is_object()) {
    config.chat_template = template_text(file.value("chat_template", json()));
  }
  return config;
}

std::vector<SentencePieceFile::Piece> added_pieces(const TokenizerConfig& config,
                                                   const std::vector<SentencePieceFile::Piece>& pieces,
                                                   std::int64_t vocabulary) {
  using Piece = SentencePieceFile::Piece;
  std::unordered_set<std::string> known;
  for (const Piece& piece : pieces) known.insert(piece.text);
  std::vector<Piece> added;
  const auto next = [&] { return static_cast<std::int64_t>(pieces.size() + added.size()); };
  for (const auto& [id, token] : config.added) {
    if (id < next() || id >= vocabulary || !known.insert(token.text).second) continue;
    check_piece(static_cast<std::size_t>(id), token.text);
    while (next() < id) added.push_back({fmt::format("<{}>", next()), 0, PieceType::kUnused, 0});
    added.push_back({token.text, 0, token.special ? PieceType::kControl : PieceType::kUserDefined, 0});
  }
  return added;
}

}  // namespace dhsa
