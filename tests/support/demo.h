// What tests of needle tests, sweeps and ablations share: the demo model, and results files changed in one place.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/model/gemma2.h"
#include "core/text/tokenizer.h"
#include "tests/support/expect_error.h"

namespace dhsa {

struct Demo {
  std::shared_ptr<const Gemma2> model = Gemma2::load(DHSA_RESOURCES "/models/demo");
  std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(DHSA_RESOURCES "/models/demo/tokenizer.model");
};

inline const Demo& demo() {
  static const Demo loaded;
  return loaded;
}

// Two layers of the demo model's shape with random weights, which read the demo model's tokens: for tests that ask how
// an experiment goes on and what it writes, not what a trained model answers.
inline const Demo& quick() {
  static const Demo made = [] {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("dhsa-quick-" + std::to_string(::getpid()));
    SynthOptions options;
    options.shape = "demo";
    options.layers = 2;
    write_synthetic_model(options, folder);
    Demo demo{Gemma2::load(folder), dhsa::demo().tokenizer};
    std::filesystem::remove_all(folder);
    return demo;
  }();
  return made;
}

// `written` with one value replaced must be refused with a sentence that begins with the file's name.
template <class Parse>
void expect_refused_change(nlohmann::json written, const std::string& pointer, const nlohmann::json& value,
                           const Parse& parse) {
  written[nlohmann::json::json_pointer(pointer)] = value;
  const std::string sentence = error_of([&] { static_cast<void>(parse(written.dump(), "file")); });
  EXPECT_TRUE(sentence.starts_with("file")) << sentence;
  EXPECT_TRUE(sentence.ends_with(".")) << sentence;
}

}  // namespace dhsa
