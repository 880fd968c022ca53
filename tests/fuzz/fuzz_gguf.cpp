// GGUF files: what is accepted lies in the file; configuration and tokenizer are read or refused.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/files/gguf.h"
#include "core/model/gguf_model_internal.h"
#include "core/text/sentencepiece_internal.h"
#include "tests/fuzz/target.h"

namespace {

void check(const dhsa::GgufHeader& header, std::size_t size) {
  dhsa::fuzz::require(header.data_at <= size, "the data begins in the file");
  for (const auto& [name, info] : header.tensors) {
    dhsa::fuzz::require(info.begin <= info.end && info.end <= size - header.data_at, "tensors lie in the file");
    dhsa::fuzz::require(info.elements() >= 0, "no count overflows");
  }
  for (const auto& [key, value] : header.metadata) {
    dhsa::fuzz::require(value.count <= value.bytes.size(), "every element takes a byte at least");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bool header = false;
  dhsa::fuzz::parses_or_refuses([&] {
    check(dhsa::parse_gguf_header(dhsa::fuzz::bytes_of(data, size), "file"), size);
    header = true;
  });
  if (!header) return 0;
  const auto path = std::filesystem::temp_directory_path() / ("fuzz-gguf-" + std::to_string(getpid()));
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  dhsa::fuzz::parses_or_refuses([&] { (void)dhsa::gguf_config(*dhsa::GgufFile::open(path)); });
  dhsa::fuzz::parses_or_refuses([&] {
    try {
      const auto pieces = dhsa::gguf_pieces(*dhsa::GgufFile::open(path));
      dhsa::fuzz::require(
          dhsa::parse_sentencepiece_file(dhsa::write_sentencepiece_file(pieces)).pieces.size() == pieces.size(),
          "the pieces are written as they are");
    } catch (const std::invalid_argument& refused) {
      throw dhsa::Error(std::string(refused.what()) + ".");
    }
  });
  std::filesystem::remove(path);
  return 0;
}
