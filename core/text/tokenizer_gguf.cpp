// The tokenizer in a GGUF file of Gemma 2 as SentencePiece pieces. llama.cpp's converter (conversion of the base class,
// _create_vocab_sentencepiece) takes text, score and type of each piece from tokenizer.model, and what
// tokenizer_config.json adds over it:
// - Python's sentencepiece does not tell user-defined pieces: without that file they are written as normal ones;
// - with it they are user-defined, the space mark in them turned into a space;
// - tokens beyond the pieces are "[PAD8192]", unused.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "core/files/gguf.h"
#include "core/files/strict_json.h"
#include "core/text/document.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {
namespace {

using Piece = SentencePieceFile::Piece;

constexpr std::string_view kSpaceMark = "\u2581";

[[noreturn]] void refuse(const std::string& reason) { throw std::invalid_argument(reason); }

std::string with_space_marks(const std::string& text) {
  std::string marked;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked += c;
    }
  }
  return marked;
}

std::size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  return std::min<std::size_t>(text.size(), first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);
}

// A run of one kind of white space.
bool is_blank_run(std::string_view text) {
  const std::string_view one = text.substr(0, character_bytes(text));
  if (one != "\n" && one != "\t" && one != kSpaceMark) return false;
  while (text.starts_with(one)) text.remove_prefix(one.size());
  return text.empty();
}

// Normal pieces of several characters that no merge makes, and runs of white space, which Gemma takes whole, were
// user-defined.
void restore_user_defined(std::vector<Piece>& pieces) {
  std::unordered_set<std::string_view> known;
  for (const Piece& piece : pieces) known.insert(piece.text);
  for (Piece& piece : pieces) {
    const std::string_view text = piece.text;
    if (piece.type != PieceType::kNormal || text.size() == character_bytes(text)) continue;
    bool merged = false;
    for (std::size_t at = 1; at < text.size() && !merged; ++at) {
      merged = known.contains(text.substr(0, at)) && known.contains(text.substr(at));
    }
    if (!merged || is_blank_run(text)) piece.type = PieceType::kUserDefined;
  }
}

}  // namespace

std::vector<Piece> gguf_pieces(const GgufFile& file) {
  const std::string kind = file.text("tokenizer.ggml.model").value_or("");
  if (kind != "llama") {
    refuse(kind.empty() ? "it has none"
                        : fmt::format("its tokenizer.ggml.model is {} and not llama", brief_name(kind)));
  }
  const std::vector<std::string> texts = file.texts("tokenizer.ggml.tokens");
  const std::vector<float> scores = file.floats("tokenizer.ggml.scores");
  const std::vector<std::int64_t> types = file.integers("tokenizer.ggml.token_type");
  if (texts.empty() || scores.size() != texts.size() || types.size() != texts.size()) {
    refuse(fmt::format("{} texts, {} scores and {} types of its tokens", texts.size(), scores.size(), types.size()));
  }
  std::vector<Piece> pieces;
  pieces.reserve(texts.size());
  for (std::size_t id = 0; id < texts.size(); ++id) {
    if (types[id] < 1 || types[id] > static_cast<std::int64_t>(PieceType::kByte) || texts[id].empty()) {
      refuse(fmt::format("token {} is of type {} and has {} bytes", id, types[id], texts[id].size()));
    }
    check_piece(id, texts[id]);
    if (std::string copy = texts[id]; replace_invalid_utf8(copy) > 0) refuse(fmt::format("token {} is no UTF-8", id));
    const auto type = static_cast<PieceType>(types[id]);
    pieces.push_back({type == PieceType::kUserDefined ? with_space_marks(texts[id]) : texts[id], scores[id], type, 0});
  }
  while (!pieces.empty() && pieces.back().type == PieceType::kUnused &&
         pieces.back().text == fmt::format("[PAD{}]", pieces.size() - 1)) {
    pieces.pop_back();
  }
  restore_user_defined(pieces);
  file.check();
  return pieces;
}

}  // namespace dhsa
