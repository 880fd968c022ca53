// What is known of a document before any layer of a model runs.
#pragma once

#include <cstdint>
#include <vector>

namespace dhsa {

struct DocumentInfo {
  std::int64_t tokens = 0;
  std::vector<std::int32_t> sentence_ends;  // tokens that end a sentence or a line, ascending
};

}  // namespace dhsa
