#include <sentencepiece_processor.h>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/sentencepiece_module/interface.h"

namespace {

using sentencepiece::SentencePieceProcessor;

// Fills `out`; returns a sentence on failure, else nothing.
std::string operate(char operation, void** model, std::string_view in, std::string& out) {
  auto* processor = static_cast<SentencePieceProcessor*>(*model);
  switch (operation) {
    case 'L': {
      auto loaded = std::make_unique<SentencePieceProcessor>();
      const auto status = loaded->LoadFromSerializedProto(in);
      if (!status.ok()) return status.ToString();
      *model = loaded.release();
      return {};
    }
    case 'E': {
      sentencepiece::ImmutableSentencePieceText text;
      const auto status = processor->Encode(in, text.mutable_proto());
      if (!status.ok()) return status.ToString();
      out.reserve(text.pieces_size() * sizeof(DhsaSentencePiece));
      for (std::size_t i = 0; i < text.pieces_size(); ++i) {
        const auto piece = text.pieces(static_cast<int>(i));
        const DhsaSentencePiece record{static_cast<std::int32_t>(piece.id()), piece.begin(), piece.end()};
        out.append(reinterpret_cast<const char*>(&record), sizeof record);
      }
      return {};
    }
    case 'D': {
      std::vector<int> ids(in.size() / sizeof(std::int32_t));
      if (!ids.empty()) std::memcpy(ids.data(), in.data(), ids.size() * sizeof(std::int32_t));
      const auto status = processor->Decode(ids, &out);
      return status.ok() ? std::string() : status.ToString();
    }
    case 'F':
      delete processor;
      *model = nullptr;
      return {};
    default:
      return "unknown operation";
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int dhsa_sentencepiece(char operation, void** model, const char* in,
                                                                         std::size_t size, DhsaSentencePieceReply reply,
                                                                         void* context) {
  std::string out;
  std::string error;
  try {
    error = operate(operation, model, std::string_view(in, size), out);
  } catch (const std::exception& thrown) {
    error = thrown.what();
  } catch (...) {
    error = "unknown error";
  }
  const std::string& answer = error.empty() ? out : error;
  reply(context, answer.data(), answer.size());
  return error.empty() ? 0 : 1;
}
