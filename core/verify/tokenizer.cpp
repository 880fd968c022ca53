#include "core/verify/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/strict_json.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

constexpr std::size_t kMostCases = std::size_t{64} << 20U;
constexpr std::size_t kShownIds = 8;
constexpr std::size_t kShownCharacters = 40;

std::vector<std::int32_t> few(const std::vector<std::int32_t>& ids, std::size_t from) {
  const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(std::min(from, ids.size()));
  return {begin, begin + std::min<std::ptrdiff_t>(ids.end() - begin, kShownIds)};
}

}  // namespace

std::vector<TokenizerCase> read_tokenizer_cases(const std::filesystem::path& path) {
  const nlohmann::json file = parse_strict_json(read_file(path, kMostCases), path.string());
  if (!file.is_array()) throw Error(fmt::format("{}: is {}; a list of cases is expected.", path.string(), brief(file)));
  std::vector<TokenizerCase> cases;
  for (const nlohmann::json& entry : file) {
    const auto refuse = [&] {
      throw Error(
          fmt::format("{}: case {} is not an object with name, text and ids_plain.", path.string(), cases.size() + 1));
    };
    if (!entry.is_object() || !entry.contains("text") || !entry.contains("ids_plain")) refuse();
    const nlohmann::json& ids = entry["ids_plain"];
    if (!entry["text"].is_string() || !ids.is_array()) refuse();
    TokenizerCase one;
    const auto name = entry.find("name");
    one.name = name != entry.end() && name->is_string() ? name->get<std::string>() : std::to_string(cases.size() + 1);
    one.text = entry["text"].get<std::string>();
    for (const nlohmann::json& id : ids) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX) refuse();
      one.ids.push_back(id.get<std::int32_t>());
    }
    cases.push_back(std::move(one));
  }
  if (cases.empty()) throw Error(fmt::format("{}: holds no case.", path.string()));
  return cases;
}

std::vector<TokenizerCheck> verify_tokenizer(const Tokenizer& tokenizer, const std::vector<TokenizerCase>& cases) {
  std::vector<TokenizerCheck> checks;
  for (const TokenizerCase& one : cases) {
    const Encoding encoding = tokenizer.encode(one.text, false);
    TokenizerCheck& check = checks.emplace_back();
    check.name = one.name;
    check.passed = encoding.ids == one.ids;
    if (check.passed) continue;
    const auto differ = std::mismatch(encoding.ids.begin(), encoding.ids.end(), one.ids.begin(), one.ids.end()).first;
    check.at = static_cast<std::size_t>(differ - encoding.ids.begin());
    check.expected = few(one.ids, check.at);
    check.found = few(encoding.ids, check.at);
    const auto byte =
        check.at < encoding.spans.size() ? static_cast<std::size_t>(encoding.spans[check.at].begin) : one.text.size();
    check.text = first_characters(std::string_view(one.text).substr(byte), kShownCharacters);
  }
  return checks;
}

}  // namespace dhsa
