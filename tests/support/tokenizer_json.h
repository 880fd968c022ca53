// The demo model's tokenizer as Hugging Face would write it, for tests of what has no tokenizer.model.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/files/atomic_write.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {

inline nlohmann::json tokenizer_json_of(const std::vector<SentencePieceFile::Piece>& pieces) {
  using Piece = SentencePieceFile::Piece;
  nlohmann::json vocabulary = nlohmann::json::object();
  nlohmann::json added = nlohmann::json::array();
  std::vector<const Piece*> order;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const Piece& piece = pieces[id];
    // As the published converter does it.
    vocabulary[piece.text == "<0x09>" ? "\t" : piece.text] = id;
    if (piece.type == PieceType::kNormal) order.push_back(&piece);
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown ||
        piece.type == PieceType::kUserDefined) {
      added.push_back({{"id", id},
                       {"content", piece.text},
                       {"special", piece.type != PieceType::kUserDefined},
                       {"normalized", false}});
    }
  }
  std::stable_sort(order.begin(), order.end(), [](const Piece* a, const Piece* b) { return a->score > b->score; });
  nlohmann::json merges = nlohmann::json::array();
  for (const Piece* piece : order) {
    for (std::size_t at = 1; at < piece->text.size(); ++at) {
      const std::string left = piece->text.substr(0, at);
      const std::string right = piece->text.substr(at);
      if (vocabulary.contains(left) && vocabulary.contains(right)) merges.push_back(left + " " + right);
    }
  }
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}},
          {"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", true},
            {"vocab", std::move(vocabulary)},
            {"merges", std::move(merges)}}}};
}

inline nlohmann::json demo_tokenizer_json() {
  return tokenizer_json_of(parse_sentencepiece_file(read_file(DHSA_RESOURCES "/models/demo/tokenizer.model")).pieces);
}

}  // namespace dhsa
