// Long texts to hide needles in and to sweep over: English prose made up from a seed, or a file of any length.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace dhsa {

// Where the text comes from. Two are equal if they give the same texts.
class Haystack {
 public:
  Haystack() = default;  // prose of generate_prose()
  // Valid UTF-8 or repaired; a text shorter than what is asked of it starts again. Throws Error on an empty text.
  Haystack(std::string name, std::string text);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }  // "generated prose", a file's name
  [[nodiscard]] bool generated() const noexcept { return digest_.empty(); }
  // The text is there. False for a file's haystack that was read back from results, which keep its digest alone.
  [[nodiscard]] bool available() const noexcept { return generated() || text_ != nullptr; }
  [[nodiscard]] std::size_t bytes() const noexcept { return text_ ? text_->size() : 0; }
  // At least `bytes` bytes, beginning with a sentence. Texts of one seed begin alike whatever their length; from a
  // file, `sample` (of `samples`) begins where that share of the file is over. Throws Error where !available().
  [[nodiscard]] std::string text(std::uint64_t seed, std::int64_t sample, std::int64_t samples,
                                 std::size_t bytes) const;
  bool operator==(const Haystack& other) const { return name_ == other.name_ && digest_ == other.digest_; }

 private:
  friend void from_json(const nlohmann::json& json, Haystack& haystack);
  friend void to_json(nlohmann::json& json, const Haystack& haystack);

  std::string name_ = "generated prose";
  std::string digest_;  // of the file's bytes; empty: generated
  std::shared_ptr<const std::string> text_;
};
void to_json(nlohmann::json& json, const Haystack& haystack);
void from_json(const nlohmann::json& json, Haystack& haystack);  // throws Error

// Paragraphs of grammatical English without sense, digits or line beginnings like "Question:": sentences are drawn from
// templates with their own clauses, places, people and things, so that one sentence hardly ever comes twice.
[[nodiscard]] std::string generate_prose(std::uint64_t seed, std::size_t bytes);

}  // namespace dhsa
