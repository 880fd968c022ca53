#include "core/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <unordered_map>

#include "core/base/parallel.h"
#include "core/files/gguf.h"
#include "core/files/model_file.h"
#include "core/text/document.h"
#include "core/text/sentencepiece_internal.h"
#include "core/text/sentencepiece_module/interface.h"
#include "core/text/tokenizer_config.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using Piece = SentencePieceFile::Piece;

constexpr std::string_view kSpaceMark = "\u2581";

// libsentencepiece needs some 250 bytes of memory for each byte of a text without spaces: parts of this size are small
// enough for that, and to be cancelled in time.
constexpr std::size_t kPartBytes = std::size_t{1} << 17U;
constexpr std::size_t kOverlap = 2 * kLongestPiece;

// Pieces with a role of their own in a Gemma vocabulary. The files mark some of them as "user defined", which would let
// a text that merely mentions one produce it.
bool is_special(std::string_view piece) {
  for (const char* name : {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<2mass>", "[@BOS@]", "<start_of_turn>",
                           "<end_of_turn>", "<start_of_image>", "<end_of_image>"}) {
    if (piece == name) return true;
  }
  constexpr std::string_view kUnused = "<unused";
  return piece.size() > kUnused.size() + 1 && piece.starts_with(kUnused) && piece.back() == '>' &&
         std::all_of(piece.begin() + kUnused.size(), piece.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
}

// Where a character begins, at `at` or soon behind: a fourth byte that continues one stands alone.
std::size_t character_start(std::string_view text, std::size_t at) {
  for (int i = 0; i < 3 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U; ++i) ++at;
  return at;
}

struct Token {
  std::int32_t id;
  std::int64_t begin, end;  // bytes of the text
};
using Tokens = std::vector<Token>;

class GemmaTokenizer final : public Tokenizer {
 public:
  // `added`: pieces behind those of the file.
  GemmaTokenizer(std::string model, const std::vector<Piece>& added) {
    SentencePieceFile file = parse_sentencepiece_file(model);
    pieces_ = std::move(file.pieces);
    bool byte_pieces = false;
    for (std::size_t id = 0; id < pieces_.size(); ++id) {
      Piece& piece = pieces_[id];
      if (piece.type == PieceType::kUserDefined && is_special(piece.text)) {
        piece.type = PieceType::kControl;
        model[piece.type_offset] = static_cast<char>(PieceType::kControl);
      }
      byte_pieces = byte_pieces || piece.type == PieceType::kByte;
      if (piece.type == PieceType::kUserDefined) note_mark_run(piece.text, static_cast<std::int32_t>(id));
      words_stand_alone_ = words_stand_alone_ && !holds_space_behind_word(piece.text);
    }
    own_pieces_ = size();
    for (const Piece& piece : added) {
      append_piece(model, piece);
      words_stand_alone_ = words_stand_alone_ && !holds_space_behind_word(piece.text);
      pieces_.push_back(piece);
    }
    const auto found = find("<bos>");
    if (!found || pieces_[static_cast<std::size_t>(*found)].type != PieceType::kControl) {
      throw std::invalid_argument("it has no <bos> piece");
    }
    bos_ = *found;
    may_part_ = file.plain_normalizer && byte_pieces;
    words_stand_alone_ = words_stand_alone_ && may_part_;
    library_ = SentencePiece::load(model);
  }

  [[nodiscard]] Encoding encode(std::string_view text, const EncodeOptions& options) const override {
    const std::size_t step = may_part_ ? kPartBytes : std::max<std::size_t>(text.size(), 1);
    // Some parts for each thread, and not many more than what is asked for takes at some bytes a token.
    constexpr std::size_t kBytesOfToken = 8;
    const auto threads = static_cast<std::size_t>(compute_threads());
    const std::size_t asked = static_cast<std::size_t>(std::max<std::int64_t>(0, options.most)) * kBytesOfToken;
    const std::size_t wave = options.most > 0 ? std::min(2 * threads, asked / step + 1) : 4 * threads;
    struct Part {
      std::size_t begin, end;
      Tokens tokens;
    };
    Tokens tokens;
    std::size_t read = 0;
    while (read < text.size() && (options.most == 0 || tokens.size() <= static_cast<std::size_t>(options.most))) {
      std::vector<Part> parts;
      for (std::size_t at = read; at < text.size() && parts.size() < wave; at = parts.back().end) {
        const std::size_t begin = at == 0 ? 0 : character_start(text, at - kOverlap);
        parts.push_back({begin, character_start(text, std::min(text.size(), at + step)), {}});
      }
      parallel_for(
          static_cast<std::int64_t>(parts.size()),
          [&](std::int64_t i) {
            Part& part = parts[static_cast<std::size_t>(i)];
            part.tokens = tokens_of(text, part.begin, part.end);
          },
          options.cancel);
      for (Part& part : parts) {
        if (options.cancel != nullptr) options.cancel->check();
        append(tokens, std::move(part.tokens), text, read, part.end);
        read = part.end;
      }
      if (options.progress) {
        const double enough =
            options.most > 0 ? static_cast<double>(tokens.size()) / static_cast<double>(options.most) : 0;
        options.progress(std::min(1.0, std::max(enough, static_cast<double>(read) / static_cast<double>(text.size()))));
      }
    }
    Encoding result;
    result.ids.reserve(tokens.size() + 1);
    result.spans.reserve(tokens.size() + 1);
    if (options.bos) {
      result.ids.push_back(bos_);
      result.spans.push_back({0, 0});
    }
    for (const Token& token : tokens) {
      result.ids.push_back(token.id);
      result.spans.push_back({token.begin, token.end});
    }
    return result;
  }

  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (std::size_t begin = 0; begin < ids.size();) {
      std::size_t end = begin;
      while (end < ids.size() && ids[end] < own_pieces_) check(ids[end++]);
      if (end > begin) {
        const auto part = ids.subspan(begin, end - begin);
        text += library_->request('D', {reinterpret_cast<const char*>(part.data()), part.size_bytes()});
      }
      for (begin = end; begin < ids.size() && ids[begin] >= own_pieces_; ++begin) text += piece(ids[begin]);
    }
    return text;
  }

  [[nodiscard]] std::string piece(std::int32_t id) const override {
    check(id);
    return id < size() ? pieces_[static_cast<std::size_t>(id)].text : fmt::format("<{}>", id);
  }
  [[nodiscard]] std::optional<std::int32_t> find(std::string_view piece) const override {
    const auto found = std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.text == piece; });
    if (found == pieces_.end()) return std::nullopt;
    return static_cast<std::int32_t>(found - pieces_.begin());
  }
  [[nodiscard]] std::int32_t size() const override { return static_cast<std::int32_t>(pieces_.size()); }
  [[nodiscard]] std::int32_t bos() const override { return bos_; }

 private:
  static void check(std::int32_t id) {
    if (id < 0) throw Error(fmt::format("{} is not a token: they count from 0.", id));
  }
  [[nodiscard]] bool is_byte(const DhsaSentencePiece& piece) const {
    return pieces_[static_cast<std::size_t>(piece.id)].type == PieceType::kByte;
  }

  // Pieces of two or more space marks and nothing else.
  void note_mark_run(std::string_view piece, std::int32_t id) {
    std::size_t marks = 0;
    for (; piece.starts_with(kSpaceMark); piece.remove_prefix(kSpaceMark.size())) ++marks;
    if (!piece.empty() || marks < 2) return;
    if (mark_runs_.size() <= marks) mark_runs_.resize(marks + 1, -1);
    mark_runs_[marks] = id;
  }

  // Tokens of text[begin, end), every byte in one of them. Runs of the space mark itself, which the library cannot tell
  // from spaces, are tokens of their own in Hugging Face's library, longest first.
  [[nodiscard]] Tokens tokens_of(std::string_view text, std::size_t begin, std::size_t end) const {
    Tokens tokens;
    if (mark_runs_.empty()) {
      add_words(text, begin, end, tokens);
      return tokens;
    }
    const std::string twice = std::string(kSpaceMark).append(kSpaceMark);
    std::size_t plain = begin;  // not asked about yet
    for (std::size_t at = begin; (at = text.find(twice, at)) < end;) {
      std::size_t marks = 0;
      while (marks + 1 < mark_runs_.size() && at + (marks + 1) * kSpaceMark.size() <= end &&
             text.substr(at + marks * kSpaceMark.size()).starts_with(kSpaceMark)) {
        ++marks;
      }
      while (marks > 1 && mark_runs_[marks] < 0) --marks;
      if (marks < 2) {
        at += kSpaceMark.size();
        continue;
      }
      add_words(text, plain, at, tokens);
      plain = at + marks * kSpaceMark.size();
      tokens.push_back({mark_runs_[marks], static_cast<std::int64_t>(at), static_cast<std::int64_t>(plain)});
      at = plain;
    }
    add_words(text, plain, end, tokens);
    return tokens;
  }

  static bool holds_space_behind_word(std::string_view piece) {
    for (std::size_t at = piece.find(kSpaceMark, 1); at != std::string_view::npos;
         at = piece.find(kSpaceMark, at + 1)) {
      if (!piece.substr(0, at).ends_with(kSpaceMark)) return true;
    }
    return piece.find(' ') != std::string_view::npos;
  }

  // Tokens of text[begin, end), asking the library about each word once: where no piece holds a space behind another
  // character, no token reaches from one word into the next.
  void add_words(std::string_view text, std::size_t begin, std::size_t end, Tokens& tokens) const {
    if (!words_stand_alone_) return ask_library(text, begin, end, tokens);
    std::unordered_map<std::string_view, Tokens> known;
    for (std::size_t word = begin; word < end;) {
      std::size_t next = word + 1;
      while (next < end && (text[next] != ' ' || text[next - 1] == ' ')) ++next;
      // The mark itself may stand before a space, and is one to the library.
      while (next < end && text.substr(0, next).ends_with(kSpaceMark)) {
        ++next;
        while (next < end && (text[next] != ' ' || text[next - 1] == ' ')) ++next;
      }
      const auto [found, is_new] = known.try_emplace(text.substr(word, next - word));
      if (is_new) ask_library(text, word, next, found->second);
      for (const Token& token : found->second) {  // they lie where the word was seen first
        const std::int64_t shift = static_cast<std::int64_t>(word) - found->second.front().begin;
        tokens.push_back({token.id, token.begin + shift, token.end + shift});
      }
      word = next;
    }
  }

  void ask_library(std::string_view text, std::size_t begin, std::size_t end, Tokens& tokens) const {
    if (begin >= end) return;
    const std::string reply = library_->request('E', text.substr(begin, end - begin));
    std::vector<DhsaSentencePiece> found(reply.size() / sizeof(DhsaSentencePiece));
    if (!found.empty()) std::memcpy(found.data(), reply.data(), reply.size());
    // The library gives the bytes of a character to the last of its byte pieces; here the first one holds them.
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].begin != found[i].end || !is_byte(found[i])) continue;
      std::size_t last = i;
      while (last + 1 < found.size() && is_byte(found[last]) && found[last].begin == found[last].end) ++last;
      found[i].end = found[last].end;
      for (std::size_t j = i + 1; j <= last; ++j) found[j].begin = found[j].end = found[i].end;
      i = last;
    }
    const auto offset = static_cast<std::int64_t>(begin);
    std::int64_t covered = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      // A normalizer that drops whitespace leaves gaps; they go to the token behind, at the end to the last one.
      const std::int64_t to = i + 1 == found.size() ? static_cast<std::int64_t>(end - begin)
                                                    : std::max<std::int64_t>(covered, found[i].end);
      tokens.push_back({found[i].id, offset + covered, offset + to});
      covered = to;
    }
  }

  // `tokens` are those of text[0, read). Appends `part`, tokens of a piece of text that begins before and ends at
  // `end`.
  void append(Tokens& tokens, Tokens part, std::string_view text, std::size_t read, std::size_t end) const {
    if (read == 0) {
      tokens = std::move(part);
      return;
    }
    // A part that begins inside a run of one character may cut it elsewhere: then again from a place where a token is
    // known to begin, further and further back.
    for (std::size_t back = kOverlap; !join(tokens, part, read); back *= 2) {
      std::size_t begin = 0;
      if (back < read) {
        const auto behind = std::upper_bound(tokens.begin(), tokens.end(), static_cast<std::int64_t>(read - back),
                                             [](std::int64_t at, const Token& token) { return at < token.begin; });
        begin = static_cast<std::size_t>(std::prev(behind)->begin);
      }
      part = tokens_of(text, begin, end);
      if (begin > 0) continue;
      tokens = std::move(part);
      return;
    }
  }

  // Goes over from `tokens`, which end at `read`, to `part` where a token begins and ends in both. That is exact: no
  // pair across its beginning can be merged in the whole text, since what is left of it stands in `tokens` as in the
  // whole, what is right of it in `part`, and the token itself in both, where the pair has not been merged. False if
  // there is no such token.
  [[nodiscard]] static bool join(Tokens& tokens, const Tokens& part, std::size_t read) {
    if (part.empty()) return false;
    auto ours = std::lower_bound(tokens.begin(), tokens.end(), part.front().begin,
                                 [](const Token& token, std::int64_t at) { return token.begin < at; });
    auto theirs = part.begin();
    while (ours != tokens.end() && theirs != part.end()) {
      const bool empty = ours->begin == ours->end;  // a later byte of a character
      if (ours->begin < theirs->begin || (ours->begin == theirs->begin && empty)) {
        ++ours;
      } else if (theirs->begin < ours->begin || theirs->begin == theirs->end) {
        ++theirs;
      } else {
        // Closer to the end a piece may have been too long for what there was of the text.
        if (ours->end + static_cast<std::int64_t>(kLongestPiece) > static_cast<std::int64_t>(read)) return false;
        if (ours->id == theirs->id && ours->end == theirs->end) {
          tokens.erase(ours, tokens.end());
          tokens.insert(tokens.end(), theirs, part.end());
          return true;
        }
        ++ours;
        ++theirs;
      }
    }
    return false;
  }

  std::vector<Piece> pieces_;
  std::int32_t own_pieces_ = 0;          // the others were added
  std::vector<std::int32_t> mark_runs_;  // ids of runs of the space mark, by length; -1 where there is none
  std::int32_t bos_ = 0;
  bool may_part_ = false;
  bool words_stand_alone_ = true;  // no piece holds a space behind another character
  std::unique_ptr<SentencePiece> library_;
};

std::string model_of_gguf(const fs::path& file) { return write_sentencepiece_file(gguf_pieces(*GgufFile::open(file))); }

std::shared_ptr<const Tokenizer> load_with(const fs::path& file, const TokenizerConfig& config,
                                           std::int64_t vocabulary) {
  const bool in_gguf = is_gguf(file);
  const std::string bytes = in_gguf ? std::string() : read_model_file(file, kMostTokenizerBytes);
  const bool is_json = file.extension() == ".json";
  try {
    const std::string model = in_gguf   ? model_of_gguf(file)
                              : is_json ? write_sentencepiece_file(parse_tokenizer_json(bytes))
                                        : bytes;
    return std::make_shared<GemmaTokenizer>(model,
                                            added_pieces(config, parse_sentencepiece_file(model).pieces, vocabulary));
  } catch (const std::invalid_argument& refused) {
    throw Error(fmt::format("\"{}\" is not a usable {} ({}); {}.", file.string(),
                            in_gguf || is_json ? "tokenizer of Gemma 2" : "SentencePiece model", refused.what(),
                            in_gguf   ? "convert the model again, or take it as a folder"
                            : is_json ? "put the model's tokenizer.model beside it"
                                      : "fetch tokenizer.model again"));
  }
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const fs::path& file) { return load_with(file, {}, 0); }

std::shared_ptr<const Tokenizer> Tokenizer::of_model(const fs::path& folder, std::int64_t vocabulary) {
  return load_with(tokenizer_file(folder), read_tokenizer_config(folder), vocabulary);
}

fs::path tokenizer_file(const fs::path& folder) {
  if (is_gguf(folder)) return folder;
  std::error_code ignored;
  const fs::path model = folder / "tokenizer.model";
  const fs::path other = folder / "tokenizer.json";
  const bool model_there = fs::exists(model, ignored);
  const bool passed_over = is_lfs_pointer(model) && !is_lfs_pointer(other);  // for the one that was fetched
  if (fs::exists(other, ignored) && (!model_there || passed_over)) return other;
  if (model_there) return model;
  throw Error(
      fmt::format("{}: holds neither tokenizer.model nor tokenizer.json; copy one of them from where the model "
                  "came from.",
                  folder.string()));
}

std::string tokenizer_bytes(const fs::path& folder) {
  return is_gguf(folder) ? model_of_gguf(folder) : read_model_file(tokenizer_file(folder), kMostTokenizerBytes);
}

std::vector<std::string> shown_pieces(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  const auto byte_of = [](const std::string& piece) {
    unsigned value = 256;
    if (piece.size() == 6 && piece.starts_with("<0x") && piece.back() == '>') {
      std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
    }
    return value;
  };
  std::vector<std::string> shown;
  for (const std::int32_t id : ids) shown.push_back(tokenizer.piece(id));
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const unsigned first = byte_of(shown[i]);
    if (first >= 256) continue;
    const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    std::string character;
    for (std::size_t j = i; j < std::min(shown.size(), i + length) && byte_of(shown[j]) < 256; ++j) {
      character += static_cast<char>(byte_of(shown[j]));
    }
    if (character.size() != length || replace_invalid_utf8(character) > 0) continue;
    shown[i] = character;
    for (std::size_t j = 1; j < length; ++j) shown[i + j].clear();
    i += length - 1;
  }
  return shown;
}

}  // namespace dhsa
