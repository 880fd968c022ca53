// Chinese words as jieba 0.42.1 cuts them (exact mode with its hidden Markov model for words that are in no
// dictionary). Dictionary and model come with the program, in resources/jieba.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dhsa {

class Jieba {
 public:
  // Reads dict.txt and hmm.txt of a folder. Throws Error where one is missing or not of its form.
  explicit Jieba(const std::filesystem::path& folder);
  ~Jieba();
  Jieba(const Jieba&) = delete;
  Jieba& operator=(const Jieba&) = delete;

  // The words, white space and punctuation of a text; together they are the text.
  [[nodiscard]] std::vector<std::u32string> cut(std::u32string_view text) const;

 private:
  struct Data;
  std::unique_ptr<const Data> data_;
};

// The shipped one, read at its first use, once.
[[nodiscard]] const Jieba& jieba();

}  // namespace dhsa
