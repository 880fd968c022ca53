// What every fuzz target shares: a reader returns, or throws dhsa::Error with one sentence. Nothing else may escape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>

#include "core/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace dhsa::fuzz {

// A broken promise: not an Error, hence it escapes the target and is a finding.
inline void require(bool holds, const std::string& promise) {
  if (!holds) throw std::logic_error("broken promise: " + promise);
}

template <class Work>
void parses_or_refuses(Work work) {
  try {
    work();
  } catch (const Error& error) {
    const std::string sentence = error.what();
    require(sentence.ends_with('.'), "an error is a sentence: " + sentence);
    require(sentence.size() < 1000, "an error is short: " + sentence);
    for (const char c : sentence) {
      require(static_cast<unsigned char>(c) >= 0x20U, "an error is one line: " + sentence);
    }
    // Throws what is no Error if the sentence is not UTF-8.
    (void)nlohmann::json(sentence).dump();
  }
}

inline std::string text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace dhsa::fuzz
