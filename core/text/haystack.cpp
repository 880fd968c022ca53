#include "core/text/haystack.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/files/strict_json.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

constexpr std::size_t kLongestName = 4096;

// Where a sentence begins at or after `from`; 0 if none does.
std::size_t sentence_begin(const std::string& text, std::size_t from) {
  if (from == 0) return 0;
  for (std::size_t i = from; i + 2 < text.size(); ++i) {
    const bool end = text[i] == '\n' || ((text[i] == '.' || text[i] == '!' || text[i] == '?') && text[i + 1] == ' ');
    if (!end) continue;
    const std::size_t begin = text.find_first_not_of(" \r\n\t", i + 1);
    if (begin != std::string::npos) return begin;
  }
  return 0;
}

}  // namespace

Haystack::Haystack(std::string name, std::string text) : name_(std::move(name)) {
  if (name_.size() > kLongestName) throw Error("The name of the haystack's file is too long.");
  replace_invalid_utf8(name_);
  replace_invalid_utf8(text);
  if (text.find_first_not_of(" \r\n\t") == std::string::npos) {
    throw Error(fmt::format("The haystack {} is empty; give a text file or take the generated prose.", name_));
  }
  digest_ = fmt::format("{:016x}", hash_of(std::as_bytes(std::span(text))));
  text_ = std::make_shared<const std::string>(std::move(text));
}

std::string Haystack::text(std::uint64_t seed, std::int64_t sample, std::int64_t samples, std::size_t bytes) const {
  if (generated()) return generate_prose(seed * 1000003U + static_cast<std::uint64_t>(sample), bytes);
  if (!available()) throw Error(fmt::format("The text of the haystack {} is needed to go on; name its file.", name_));
  const std::string& whole = *text_;
  // The seed moves all samples together, so that another seed reads other parts of the file.
  const double share = static_cast<double>(sample) / static_cast<double>(std::max<std::int64_t>(1, samples)) +
                       static_cast<double>((seed - 1) % 97) / 97;
  const double place =
      (share - static_cast<double>(static_cast<std::int64_t>(share))) * static_cast<double>(whole.size());
  std::string part = whole.substr(sentence_begin(whole, static_cast<std::size_t>(place)));
  while (part.size() < bytes) {
    if (part.back() != '\n') part += '\n';
    part += whole;
  }
  // Not through the middle of a character.
  while (bytes < part.size() && (static_cast<unsigned char>(part[bytes]) & 0xc0U) == 0x80U) ++bytes;
  part.resize(std::max<std::size_t>(1, bytes));
  return part;
}

void to_json(nlohmann::json& json, const Haystack& haystack) {
  json = {{"name", haystack.name_}};
  if (!haystack.generated()) json["digest"] = haystack.digest_;
}

void from_json(const nlohmann::json& json, Haystack& haystack) {
  if (!json.is_object()) throw Error("The haystack must be an object of name and digest.");
  Haystack read;
  for (const auto& [key, value] : json.items()) {
    if (key == "name" && value.is_string() && value.get_ref<const std::string&>().size() <= kLongestName) {
      read.name_ = value.get<std::string>();
    } else if (key == "digest" && value.is_string() && value.get_ref<const std::string&>().size() == 16) {
      read.digest_ = value.get<std::string>();
    } else {
      throw Error(fmt::format("The haystack's {} cannot be {}.", brief_name(key), brief(value)));
    }
  }
  haystack = std::move(read);
}

}  // namespace dhsa
