// The C interface between the core and the one binary that links libsentencepiece. That library carries an old protobuf
// whose symbols collide with libtorch's newer one, so nothing but this function may be shared between the two.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

typedef void (*DhsaSentencePieceReply)(void* context, const char* bytes, std::size_t size);

// Does one operation and calls `reply` exactly once. Returns 0, or 1 with a sentence as the reply. No exception leaves.
//   'L'  in: a serialized model; sets *model; empty reply
//   'E'  in: text; reply: DhsaSentencePiece[]
//   'D'  in: int32 ids; reply: text
//   'F'  frees *model; empty reply
int dhsa_sentencepiece(char operation, void** model, const char* in, std::size_t size, DhsaSentencePieceReply reply,
                       void* context);

struct DhsaSentencePiece {
  std::int32_t id;
  std::uint32_t begin;  // bytes of the text
  std::uint32_t end;
};

// Between the helper process and the core each message is this header and `size` bytes. The helper answers with the
// return value in `operation`.
struct DhsaSentencePieceMessage {
  std::uint64_t size;
  std::uint64_t operation;
};
}
