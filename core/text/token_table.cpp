#include "core/text/token_table.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/files/csv.h"

namespace dhsa {

std::string tokens_csv(const Document& document, const Tokenizer& tokenizer) {
  const std::vector<std::int32_t>& ids = document.encoding.ids;
  const std::vector<std::string> pieces = shown_pieces(tokenizer, ids);
  std::string csv = "token,id,piece,begin,end\n";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const TokenSpan& span = document.encoding.spans[i];
    csv += fmt::format("{},{},{},{},{}\n", i, ids[i], csv_field(pieces[i]), span.begin, span.end);
  }
  return csv;
}

nlohmann::json tokens_json(const Document& document, const Tokenizer& tokenizer) {
  const std::vector<std::int32_t>& ids = document.encoding.ids;
  const std::vector<std::string> pieces = shown_pieces(tokenizer, ids);
  nlohmann::json list = nlohmann::json::array();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const TokenSpan& span = document.encoding.spans[i];
    list.push_back({{"id", ids[i]}, {"piece", pieces[i]}, {"begin", span.begin}, {"end", span.end}});
  }
  return list;
}

}  // namespace dhsa
