#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "core/text/sentencepiece_internal.h"

namespace dhsa {
namespace {

// Reads the fields of one protobuf message in order.
class Fields {
 public:
  Fields(std::string_view all, std::size_t begin, std::size_t end) : all_(all), at_(begin), end_(end) {}

  bool next() {
    if (at_ == end_) return false;
    const std::uint64_t key = varint();
    number = key >> 3;
    switch (key & 7) {
      case 0:
        offset = at_;
        value = varint();
        size = at_ - offset;
        is_bytes = false;
        return true;
      case 1:
        return skip(8);
      case 2: {
        const std::uint64_t length = varint();
        return skip(length, true);
      }
      case 5:
        return skip(4);
      default:
        throw std::invalid_argument("unknown wire type");
    }
  }
  [[nodiscard]] std::string_view bytes() const { return is_bytes ? all_.substr(offset, size) : std::string_view(); }

  std::uint64_t number = 0;
  std::uint64_t value = 0;  // of a varint
  std::size_t offset = 0;   // of the contents, in the whole file
  std::size_t size = 0;
  bool is_bytes = false;

 private:
  std::uint64_t varint() {
    std::uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) break;
      const auto byte = static_cast<unsigned char>(all_[at_++]);
      result |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return result;
    }
    throw std::invalid_argument("broken number");
  }
  bool skip(std::uint64_t length, bool bytes_field = false) {
    if (length > end_ - at_) throw std::invalid_argument("truncated");
    offset = at_;
    size = static_cast<std::size_t>(length);
    value = 0;
    is_bytes = bytes_field;
    at_ += size;
    return true;
  }

  std::string_view all_;
  std::size_t at_;
  std::size_t end_;
};

void append_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) to += static_cast<char>((value & 0x7fU) | 0x80U);
  to += static_cast<char>(value);
}

void append_number(std::string& to, unsigned field, std::uint64_t value) {
  append_varint(to, std::uint64_t{field} << 3U);
  append_varint(to, value);
}

void append_bytes(std::string& to, unsigned field, std::string_view bytes) {
  append_varint(to, std::uint64_t{field} << 3U | 2U);
  append_varint(to, bytes.size());
  to += bytes;
}

}  // namespace

void check_piece(std::size_t before, std::string_view text) {
  if (before >= kMostPieces) throw std::invalid_argument(fmt::format("it has more than {} pieces", kMostPieces));
  if (text.size() > kLongestPiece) {
    throw std::invalid_argument(
        fmt::format("piece {} has {} bytes, and {} are the most", before, text.size(), kLongestPiece));
  }
}

// Field numbers of sentencepiece_model.proto: ModelProto {1 pieces, 3 normalizer_spec}, SentencePiece {1 piece, 3
// type}, NormalizerSpec {2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces}.
SentencePieceFile parse_sentencepiece_file(std::string_view bytes) {
  SentencePieceFile file;
  bool charsmap = false;
  bool dummy_prefix = true;
  bool remove_whitespace = true;
  bool escape = true;
  for (Fields model(bytes, 0, bytes.size()); model.next();) {
    if (!model.is_bytes) continue;
    if (model.number == 1) {
      SentencePieceFile::Piece piece;
      for (Fields field(bytes, model.offset, model.offset + model.size); field.next();) {
        if (field.number == 1) piece.text = field.bytes();
        if (field.number == 2 && field.size == sizeof(float)) {
          std::memcpy(&piece.score, bytes.data() + field.offset, sizeof(float));
        }
        if (field.number == 3) {
          if (field.is_bytes || field.value < 1 || field.value > 6) throw std::invalid_argument("unknown piece type");
          piece.type = static_cast<PieceType>(field.value);
          piece.type_offset = field.offset;
        }
      }
      check_piece(file.pieces.size(), piece.text);
      file.pieces.push_back(std::move(piece));
    } else if (model.number == 3) {
      for (Fields field(bytes, model.offset, model.offset + model.size); field.next();) {
        if (field.number == 2) charsmap = field.size > 0;
        if (field.number == 3) dummy_prefix = field.value != 0;
        if (field.number == 4) remove_whitespace = field.value != 0;
        if (field.number == 5) escape = field.value != 0;
      }
    }
  }
  if (file.pieces.empty()) throw std::invalid_argument("no pieces");
  file.plain_normalizer = !charsmap && !dummy_prefix && !remove_whitespace && escape;
  return file;
}

void append_piece(std::string& model, const SentencePieceFile::Piece& piece) {
  std::string message;
  append_bytes(message, 1, piece.text);
  append_varint(message, 2U << 3U | 5U);
  const auto score = std::bit_cast<std::array<char, sizeof(float)>>(piece.score);
  message.append(score.data(), score.size());
  append_number(message, 3, static_cast<std::uint64_t>(piece.type));
  append_bytes(model, 1, message);
}

// TrainerSpec {3 model_type (2: byte-pair encoding), 35 byte_fallback, 40 to 43 ids of unknown, begin, end, padding,
// 45 to 48 their pieces}; without the latter the library takes others for them.
std::string write_sentencepiece_file(const std::vector<SentencePieceFile::Piece>& pieces) {
  std::string model;
  std::string trainer;
  append_number(trainer, 3, 2);
  append_number(trainer, 35, 1);
  const std::string_view roles[] = {"<unk>", "<bos>", "<eos>", "<pad>"};
  for (unsigned role = 0; role < 4; ++role) {
    for (std::size_t id = 0; id < pieces.size(); ++id) {
      if (pieces[id].text == roles[role]) append_number(trainer, 40 + role, id);
    }
    append_bytes(trainer, 45 + role, roles[role]);
  }
  std::string normalizer;
  append_bytes(normalizer, 1, "identity");
  append_number(normalizer, 3, 0);
  append_number(normalizer, 4, 0);
  append_number(normalizer, 5, 1);
  append_bytes(model, 2, trainer);
  append_bytes(model, 3, normalizer);
  for (const SentencePieceFile::Piece& piece : pieces) append_piece(model, piece);
  return model;
}

}  // namespace dhsa
