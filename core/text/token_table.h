// The tokens of a document as a table: what `dhsa inspect --tokens` and the window write.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/text/document.h"

namespace dhsa {

// "token,id,piece,begin,end", a line for each token; bytes [begin, end) of the document's text.
[[nodiscard]] std::string tokens_csv(const Document& document, const Tokenizer& tokenizer);
// [{id, piece, begin, end}, ...]
[[nodiscard]] nlohmann::json tokens_json(const Document& document, const Tokenizer& tokenizer);

}  // namespace dhsa
