// Hugging Face's tokenizer.json of a Gemma 2 model as SentencePiece pieces. Its merges are an order of preference among
// pairs; SentencePiece prefers the pair whose joined piece has the highest score. The two agree where all merges that
// make a piece stand together and every way to split a piece in two is among them, which is checked.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_map>

#include "core/text/sentencepiece_internal.h"

namespace dhsa {
namespace {

using nlohmann::json;
using Piece = SentencePieceFile::Piece;

constexpr std::size_t kMostDepth = 32;
constexpr std::size_t kMostMerges = 4 * kMostPieces;
constexpr std::string_view kSpaceMark = "\u2581";

[[noreturn]] void refuse(const std::string& reason) { throw std::invalid_argument(reason); }

struct AddedToken {
  std::string text;
  std::int64_t id = -1;
  bool special = false;
};

// What is needed of the file. Its half a million merges are never in memory as JSON values.
class Reader : public nlohmann::json_sax<json> {
 public:
  std::vector<std::pair<std::string, std::int64_t>> vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<AddedToken> added;
  std::map<std::string, std::string> scalars;  // other short ones, by path: "normalizer.type" -> "Replace"

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override {
    if (in_added() && path_.back() == "special") added.back().special = value;
    return scalar(value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    const auto id = static_cast<std::int64_t>(std::min<number_unsigned_t>(value, kMostPieces));
    if (in_added() && path_.back() == "id") added.back().id = id;
    if (path_.size() == 3 && path_[0] == "model" && path_[1] == "vocab") {
      check_piece(vocabulary.size(), path_.back());
      vocabulary.emplace_back(path_.back(), id);
      return true;
    }
    return scalar(std::to_string(value));
  }
  bool number_float(number_float_t /*value*/, const string_t& text) override { return scalar(text); }
  bool string(string_t& value) override {
    if (in_added() && path_.back() == "content") {
      check_piece(0, value);
      added.back().text = value;
    }
    if (!in_merges()) return scalar(value);
    if (merges.size() == kMostMerges) refuse("its merges have no end");
    if (path_.size() == 4) {  // newer files: a list of two
      (half_ == 0 ? left_ : right_) = value;
      if (++half_ > 2) refuse("a merge has more than two parts");
      return true;
    }
    const std::size_t space = value.find(' ');
    if (space == std::string::npos) refuse("a merge has one part");
    merges.emplace_back(value.substr(0, space), value.substr(space + 1));
    return true;
  }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*elements*/) override { return open(); }
  bool key(string_t& name) override {
    path_.back() = name;
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*elements*/) override { return open(); }
  bool end_array() override {
    if (path_.size() == 4 && in_merges()) {
      if (half_ != 2) refuse("a merge has fewer than two parts");
      merges.emplace_back(left_, right_);
    }
    return close();
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const json::exception& /*error*/) override {
    refuse(fmt::format("no valid JSON at byte {}", position));
  }

  [[nodiscard]] std::string scalar_at(const std::string& path, const std::string& if_absent = "null") const {
    const auto found = scalars.find(path);
    return found == scalars.end() ? if_absent : found->second;
  }

 private:
  [[nodiscard]] bool in_merges() const { return path_.size() >= 3 && path_[0] == "model" && path_[1] == "merges"; }
  [[nodiscard]] bool in_added() const { return path_.size() == 3 && path_[0] == "added_tokens"; }

  bool open() {
    if (path_.size() == kMostDepth) refuse("it is nested too deep");
    path_.emplace_back();
    half_ = 0;
    if (in_added()) {
      check_piece(added.size(), {});
      added.emplace_back();
    }
    return true;
  }
  bool close() {
    path_.pop_back();
    return true;
  }
  bool scalar(const std::string& value) {
    if (in_added() || in_merges() || path_.size() > 3) return true;
    if (scalars.size() > kMostPieces) refuse("it holds more than a tokenizer");
    const auto too_long = [](const std::string& text) { return text.size() > kLongestPiece; };
    if (too_long(value) || std::any_of(path_.begin(), path_.end(), too_long)) return true;
    scalars[fmt::format("{}", fmt::join(path_, "."))] = value;
    return true;
  }

  std::vector<std::string> path_;  // names of the open objects' current members; "" in lists
  std::string left_, right_;
  int half_ = 0;
};

void check_kind(const Reader& file) {
  const auto only = [&](const std::string& path, const std::string& allowed, const std::string& if_absent) {
    const std::string found = file.scalar_at(path, if_absent);
    if (found != allowed) refuse(fmt::format("its {} is {} and not {}, as for Gemma 2", path, found, allowed));
  };
  only("model.type", "BPE", "BPE");
  only("model.byte_fallback", "true", "false");
  only("model.ignore_merges", "false", "false");
  only("normalizer.type", "Replace", "null");
  only("normalizer.pattern.String", " ", "null");
  only("normalizer.content", std::string(kSpaceMark), "null");
  // Spaces have all been replaced before it: cutting at spaces does nothing.
  if (const std::string splits = file.scalar_at("pre_tokenizer.type"); splits != "null" && splits != "Split") {
    refuse(fmt::format("its pre_tokenizer.type is {} and not Split, as for Gemma 2", splits));
  }
}

bool is_byte_piece(std::string_view text) {
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.starts_with("<0x") && text.back() == '>' && digit(text[3]) && digit(text[4]);
}

std::vector<Piece> pieces_by_id(const Reader& file) {
  std::int64_t most = -1;
  for (const auto& [text, id] : file.vocabulary) most = std::max(most, id);
  for (const AddedToken& token : file.added) most = std::max(most, token.id);
  if (most < 0) refuse("it has no vocabulary");
  if (static_cast<std::size_t>(most) >= file.vocabulary.size() + file.added.size()) refuse("its ids leave gaps");
  std::vector<Piece> pieces(static_cast<std::size_t>(most) + 1);
  const auto place = [&](std::int64_t id) -> Piece& {
    if (id < 0) refuse("an added token has no id");
    return pieces[static_cast<std::size_t>(id)];
  };
  for (const auto& [text, id] : file.vocabulary) {
    if (!place(id).text.empty()) refuse(fmt::format("id {} is given twice", id));
    place(id).text = text;
    if (is_byte_piece(text)) place(id).type = PieceType::kByte;
  }
  for (const AddedToken& token : file.added) {
    Piece& piece = place(token.id);
    if (!piece.text.empty() && piece.text != token.text) refuse(fmt::format("id {} has two names", token.id));
    if (token.text.empty()) refuse(fmt::format("the added token {} has no text", token.id));
    piece.text = token.text;
    piece.type = token.special ? PieceType::kControl : PieceType::kUserDefined;
    if (token.text == file.scalar_at("model.unk_token", "<unk>")) piece.type = PieceType::kUnknown;
  }
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].text.empty()) pieces[id] = {fmt::format("<{}>", id), 0, PieceType::kUnused, 0};
  }
  // The converter that made the published file wrote the byte piece of the tabulator as the character.
  for (std::size_t id = 1; id + 1 < pieces.size(); ++id) {
    if (pieces[id].text == "\t" && pieces[id - 1].text == "<0x08>" && pieces[id + 1].text == "<0x0A>") {
      pieces[id] = {"<0x09>", 0, PieceType::kByte, 0};
    }
  }
  return pieces;
}

// Scores that make SentencePiece prefer pairs as the merges do.
void score(std::vector<Piece>& pieces, const Reader& file) {
  struct Made {
    std::size_t id = 0;
    std::size_t first = 0, last = 0, merges = 0;  // the merges that make it
  };
  std::unordered_map<std::string_view, Made> known;
  known.reserve(pieces.size());
  for (std::size_t id = 0; id < pieces.size(); ++id) known[pieces[id].text].id = id;
  std::string joined;
  for (std::size_t i = 0; i < file.merges.size(); ++i) {
    const auto& [left, right] = file.merges[i];
    const auto made = known.find(joined.assign(left).append(right));
    if (made == known.end()) refuse(fmt::format("merge {} makes what its vocabulary does not hold", i));
    // Runs of white space and the like are never merged by SentencePiece, but taken whole.
    if (pieces[made->second.id].type != PieceType::kNormal) continue;
    if (!known.contains(left) || !known.contains(right)) {
      refuse(fmt::format("merge {} joins what its vocabulary does not hold", i));
    }
    Made& to = made->second;
    if (to.merges++ == 0) {
      to.first = i;
    } else if (to.last + 1 != i) {
      refuse(fmt::format("its merges prefer pairs in an order that SentencePiece cannot follow, at merge {}", i));
    }
    to.last = i;
  }
  for (const auto& [text, made] : known) {
    Piece& piece = pieces[made.id];
    if (piece.type != PieceType::kNormal) continue;
    piece.score = -static_cast<float>(made.first);
    std::size_t splits = 0;
    for (std::size_t at = 1; at < text.size(); ++at) {
      splits += known.contains(text.substr(0, at)) && known.contains(text.substr(at)) ? 1U : 0U;
    }
    if (splits != made.merges) {
      refuse(fmt::format("its merges make piece {} in {} of {} ways, which SentencePiece cannot follow", made.id,
                         made.merges, splits));
    }
  }
}

Reader read(std::string_view text) {
  Reader file;
  if (!json::sax_parse(text.begin(), text.end(), &file)) refuse("no valid JSON");
  return file;
}

}  // namespace

std::vector<Piece> tokenizer_json_pieces(std::string_view text) { return pieces_by_id(read(text)); }

std::vector<Piece> parse_tokenizer_json(std::string_view text) {
  const Reader file = read(text);
  check_kind(file);
  std::vector<Piece> pieces = pieces_by_id(file);
  score(pieces, file);
  return pieces;
}

}  // namespace dhsa
