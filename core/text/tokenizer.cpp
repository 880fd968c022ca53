#include "core/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unordered_set>

#include "core/base/error.h"
#include "core/text/sentencepiece_internal.h"
#include "core/text/sentencepiece_module/interface.h"

namespace dhsa {
namespace {

// libsentencepiece needs some 250 bytes of memory for each byte of a text; longer ones are handed over in parts.
constexpr std::size_t kPartBytes = std::size_t{1} << 18;

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

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0u) == 0x80u; }

// Bytes of the character that ends before `position` and of the one that begins there, as one number; a space counts as
// the mark that pieces write for it.
std::uint64_t character_pair(std::string_view text, std::size_t position) {
  constexpr std::string_view kSpace = "\xe2\x96\x81";
  const auto packed = [&](std::size_t begin, std::size_t end) {
    const std::string_view c = text[begin] == ' ' ? kSpace : text.substr(begin, end - begin);
    std::uint64_t value = 0;
    for (const char byte : c.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  };
  std::size_t begin = position - 1;
  while (begin > 0 && continues_character(text[begin])) --begin;
  std::size_t end = position + 1;
  while (end < text.size() && continues_character(text[end])) ++end;
  return packed(begin, position) << 32 | packed(position, end);
}

class GemmaTokenizer final : public Tokenizer {
 public:
  GemmaTokenizer(std::string bytes, SentencePieceFile file) : pieces_(std::move(file.pieces)) {
    bool byte_pieces = false;
    for (auto& piece : pieces_) {
      if (piece.type == PieceType::kUserDefined && is_special(piece.text)) {
        piece.type = PieceType::kControl;
        bytes[piece.type_offset] = static_cast<char>(PieceType::kControl);
      }
      byte_pieces = byte_pieces || piece.type == PieceType::kByte;
      for (std::size_t i = 1; i < piece.text.size(); ++i) {
        if (!continues_character(piece.text[i])) joined_.insert(character_pair(piece.text, i));
      }
    }
    const auto found = std::find_if(pieces_.begin(), pieces_.end(), [](const SentencePieceFile::Piece& piece) {
      return piece.type == PieceType::kControl && piece.text == "<bos>";
    });
    if (found == pieces_.end()) throw std::invalid_argument("it has no <bos> piece");
    bos_ = static_cast<std::int32_t>(found - pieces_.begin());
    may_part_ = file.plain_normalizer && byte_pieces;
    library_ = SentencePiece::load(bytes);
  }

  [[nodiscard]] Encoding encode(std::string_view text, bool add_bos) const override {
    Encoding result;
    if (add_bos) {
      result.ids.push_back(bos_);
      result.spans.push_back({0, 0});
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = part_end(text, begin);
      encode_part(text.substr(begin, end - begin), static_cast<std::int64_t>(begin), result);
      begin = end;
    }
    return result;
  }

  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const override {
    for (const std::int32_t id : ids) check(id);
    if (ids.empty()) return {};
    return library_->request('D', {reinterpret_cast<const char*>(ids.data()), ids.size_bytes()});
  }

  [[nodiscard]] std::string piece(std::int32_t id) const override {
    check(id);
    return pieces_[static_cast<std::size_t>(id)].text;
  }
  [[nodiscard]] std::int32_t size() const override { return static_cast<std::int32_t>(pieces_.size()); }
  [[nodiscard]] std::int32_t bos() const override { return bos_; }

 private:
  void check(std::int32_t id) const {
    if (id < 0 || id >= size())
      throw Error(fmt::format("Token {} is outside the vocabulary of {} pieces.", id, size()));
  }
  [[nodiscard]] bool is_byte(const DhsaSentencePiece& piece) const {
    return pieces_[static_cast<std::size_t>(piece.id)].type == PieceType::kByte;
  }

  // Where the part that begins at `begin` ends. Two characters that stand side by side in no piece of the vocabulary
  // can never come into one token, so a cut between them changes nothing. Only a run of kPartBytes without such a place
  // (one letter over and over) is cut at any character.
  [[nodiscard]] std::size_t part_end(std::string_view text, std::size_t begin) const {
    if (!may_part_ || text.size() - begin <= kPartBytes) return text.size();
    std::size_t any = 0;
    for (std::size_t at = begin + kPartBytes; at > begin; --at) {
      if (continues_character(text[at])) continue;
      if (!joined_.contains(character_pair(text, at))) return at;
      if (any == 0) any = at;
    }
    return any == 0 ? begin + kPartBytes : any;  // no character begins anywhere: not UTF-8, each byte stands alone
  }

  void encode_part(std::string_view part, std::int64_t offset, Encoding& result) const {
    const std::string reply = library_->request('E', part);
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
    std::uint32_t covered = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      // A normalizer that drops whitespace leaves gaps; they go to the token behind, at the end to the last one.
      const std::uint32_t end =
          i + 1 == found.size() ? static_cast<std::uint32_t>(part.size()) : std::max(covered, found[i].end);
      result.ids.push_back(found[i].id);
      result.spans.push_back({offset + covered, offset + end});
      covered = end;
    }
  }

  std::vector<SentencePieceFile::Piece> pieces_;
  std::unordered_set<std::uint64_t> joined_;  // character pairs that stand side by side in some piece
  std::int32_t bos_ = 0;
  bool may_part_ = false;
  std::unique_ptr<SentencePiece> library_;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Length of a closing quote or bracket at `position`, 0 if there is none.
std::size_t closing_mark(std::string_view text, std::size_t position) {
  for (const std::string_view mark : {"\"", "'", ")", "]", "\u201d", "\u2019", "\u00bb"}) {
    if (text.substr(position).starts_with(mark)) return mark.size();
  }
  return 0;
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& tokenizer_model) {
  std::ifstream stream(tokenizer_model, std::ios::binary);
  std::error_code ignored;
  if (!stream || std::filesystem::is_directory(tokenizer_model, ignored)) {
    throw Error(fmt::format("The tokenizer \"{}\" cannot be read; a model folder needs its tokenizer.model.",
                            tokenizer_model.string()));
  }
  std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  try {
    SentencePieceFile file = parse_sentencepiece_file(bytes);
    return std::make_shared<GemmaTokenizer>(std::move(bytes), std::move(file));
  } catch (const std::invalid_argument& refused) {
    throw Error(fmt::format("\"{}\" is not a usable SentencePiece model ({}); fetch tokenizer.model again.",
                            tokenizer_model.string(), refused.what()));
  }
}

std::vector<std::int32_t> sentence_ends(std::string_view text, const Encoding& encoding) {
  std::vector<std::int64_t> ends;  // byte offsets behind sentences and lines
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::size_t behind = i + 1;
    if (c == '.' || c == '!' || c == '?') {
      while (behind < text.size() && (text[behind] == '.' || text[behind] == '!' || text[behind] == '?')) ++behind;
      while (const std::size_t mark = closing_mark(text, behind)) behind += mark;
      if (behind < text.size() && !is_space(text[behind])) continue;  // 3.14, a file name
    } else if (c != '\n' && c != '\r') {
      continue;
    }
    // Line breaks that follow, with the blanks between them, end with this sentence and not one by one.
    for (std::size_t at = behind; at < text.size() && is_space(text[at]); ++at) {
      if (text[at] == '\n' || text[at] == '\r') behind = at + 1;
    }
    ends.push_back(static_cast<std::int64_t>(behind));
    i = behind - 1;
  }

  std::vector<std::int32_t> result;
  std::size_t token = 0;
  const auto count = encoding.spans.size();
  for (const std::int64_t end : ends) {
    while (token < count && encoding.spans[token].end < end) ++token;
    // Byte pieces without bytes of their own still belong to the character before them.
    while (token + 1 < count && encoding.spans[token + 1].end == encoding.spans[token].end) ++token;
    if (token == count) break;
    const auto index = static_cast<std::int32_t>(token);
    if (result.empty() || result.back() != index) result.push_back(index);
  }
  return result;
}

std::int64_t question_tokens(std::string_view text, const Encoding& encoding) {
  constexpr std::string_view kMark = "Question:";
  std::size_t line = text.rfind(kMark);
  while (line != std::string_view::npos && line != 0 && text[line - 1] != '\n' && text[line - 1] != '\r') {
    line = text.rfind(kMark, line - 1);
  }
  if (line == std::string_view::npos) return 0;
  const auto first = std::find_if(encoding.spans.begin(), encoding.spans.end(),
                                  [&](const TokenSpan& span) { return span.end > static_cast<std::int64_t>(line); });
  return encoding.spans.end() - first;
}

}  // namespace dhsa
