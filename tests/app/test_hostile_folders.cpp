// A model folder that somebody made to do harm: refused in one sentence, at once, without a word of other files.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "core/files/safetensors.h"
#include "core/text/sentencepiece_internal.h"
#include "tests/app/command.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;

class HostileFolder : public testing::Test {
 protected:
  // The file of that name out of the way, for another.
  [[nodiscard]] fs::path place(const std::string& name) const {
    fs::remove(model_ / name);
    return model_ / name;
  }
  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(place(name), std::ios::binary) << bytes;
  }
  void expect_refused(const std::string& part) const {
    EXPECT_REFUSED(dhsa("info '" + model_.string() + "'"), part);
    EXPECT_REFUSED(dhsa("run - --model '" + model_.string() + "' --compare none", "The tide turns."), part);
  }
  // Weights whose header is this text.
  void put_header(const std::string& header) const {
    std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    put("model-00001-of-00002.safetensors", bytes + header);
  }

  Folder folder_;
  fs::path model_ = demo_copy(folder_);
};

TEST_F(HostileFolder, PipesAndDevicesNamedAsFilesAreNotReadFrom) {
  for (const char* name :
       {"config.json", "tokenizer.model", "generation_config.json", "tokenizer_config.json", "added_tokens.json",
        "chat_template.jinja", "chat_template.json", "model-00001-of-00002.safetensors"}) {
    SCOPED_TRACE(name);
    const fs::path kept = folder_.path("kept");
    const bool was_there = fs::exists(model_ / name);
    if (was_there) fs::rename(model_ / name, kept);
    ASSERT_EQ(mkfifo((model_ / name).c_str(), 0600), 0);
    expect_refused("a pipe or a device");
    fs::create_symlink("/dev/zero", place(name));
    expect_refused("a pipe or a device");
    fs::remove(model_ / name);
    if (was_there) fs::rename(kept, model_ / name);
  }
  done("info '" + model_.string() + "'");
  ASSERT_EQ(mkfifo(place("predictor.safetensors").c_str(), 0600), 0);
  EXPECT_REFUSED(dhsa("run - --method dhsa --boundaries learned --compare none --model '" + model_.string() + "'",
                      "The tide turns."),
                 "a pipe or a device");
}

TEST_F(HostileFolder, WhatALinkOutOfTheFolderPointsToIsNotTold) {
  const std::string text = folder_.write("secret.txt", "root:SECRET:0:0\n");
  const std::string json = folder_.write("secret.json", R"({"auths": "SECRET", "SECRET": {"token": "SECRET"}})");
  for (const char* name : {"config.json", "tokenizer.model", "generation_config.json", "tokenizer_config.json",
                           "added_tokens.json", "chat_template.jinja", "model-00001-of-00002.safetensors",
                           "model.safetensors.index.json", "adapter_config.json"}) {
    for (const std::string& secret : {text, json}) {
      const fs::path kept = folder_.path("kept");
      const bool was_there = fs::exists(model_ / name);
      if (was_there) fs::rename(model_ / name, kept);
      fs::create_symlink(secret, model_ / name);
      const Outcome outcome = dhsa("info '" + model_.string() + "'");
      EXPECT_EQ((outcome.out + outcome.err).find("SECRET"), std::string::npos) << name << ": " << outcome.err;
      fs::remove(model_ / name);
      if (was_there) fs::rename(kept, model_ / name);
    }
  }
}

TEST_F(HostileFolder, HeadersAndListsOfFilesWithoutEndAreNotRead) {
  put_header("{}" + std::string(90'000'000, ' '));
  expect_refused("says that its header has 90000002 bytes");
  put_header("{\"a\":" + std::string(1'000'000, '['));
  expect_refused("nested more than");
  nlohmann::json map;
  for (int i = 0; i < 600; ++i) {
    const std::string shard = "part-" + std::to_string(i) + ".safetensors";
    write_safetensors(model_ / shard, {{std::to_string(i), "F32", {0}, {}}});
    map[std::to_string(i)] = shard;
  }
  for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    fs::remove(model_ / shard);
  }
  put("model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  expect_refused("in more than 512 files");
}

TEST_F(HostileFolder, NumbersWithoutMeasureInTheConfigurationAreRefused) {
  const std::pair<const char*, nlohmann::json> kFields[] = {
      {"vocab_size", 1LL << 40}, {"hidden_size", 1LL << 20},         {"num_hidden_layers", 1'000'000'000},
      {"head_dim", 1LL << 40},   {"max_position_embeddings", 1e300}, {"num_attention_heads", 0},
      {"rope_theta", -1},        {"sliding_window", 1LL << 40}};
  const fs::path config = own_file(model_, "config.json");
  const std::string before = content(config);
  for (const auto& [field, value] : kFields) {
    set_config(model_, field, value);
    expect_refused(field);
    std::ofstream(config) << before;
  }
  put("config.json", R"({"a":")" + std::string(20'000'000, 'x') + "\"}");
  expect_refused("larger than 16777216 bytes");
}

TEST_F(HostileFolder, TokenizersOfTooManyOrTooLongPiecesAreRefused) {
  const std::string plain = content(model_ / "tokenizer.model");
  std::string longer = plain;
  append_piece(longer, {std::string(1'000'000, 'a'), 0, PieceType::kUserDefined, 0});
  put("tokenizer.model", longer);
  expect_refused("piece 8192 has 1000000 bytes");
  std::string many = plain;
  many.reserve(plain.size() + 4 * kMostPieces);
  for (std::size_t i = 0; i < kMostPieces; ++i) many += std::string("\x0a\x02\x0a\x00", 4);
  put("tokenizer.model", many);
  expect_refused("more than 1048576 pieces");

  fs::remove(model_ / "tokenizer.model");
  put("tokenizer.json", R"({"model":{"type":"BPE","vocab":{")" + std::string(1'000'000, 'a') + R"(":0}}})");
  expect_refused("piece 0 has 1000000 bytes");
  put("tokenizer.json", R"({"added_tokens":[{"id":0,"content":")" + std::string(1'000'000, 'a') + "\"}]}");
  expect_refused("piece 0 has 1000000 bytes");
  // A name of a megabyte before each of many values: as much to copy as a terabyte.
  std::string values = "[";
  for (int i = 0; i < 1'000'000; ++i) values += "0,";
  put("tokenizer.json", "{\"" + std::string(1'000'000, 'k') + "\":" + values + "0]}");
  expect_refused("its model.byte_fallback is false");
}

TEST_F(HostileFolder, AnAddedTokenMayBeNoLongerThanAPiece) {
  set_config(model_, "vocab_size", 8256);
  put("added_tokens.json", nlohmann::json{{std::string(1'000'000, 'x'), 8192}}.dump());
  expect_refused("piece 8192 has 1000000 bytes");
}

TEST_F(HostileFolder, ATemplateThatNestsIsOnlyText) {
  put("chat_template.jinja", "<start_of_turn><end_of_turn>" + std::string(3'000'000, '{'));
  done("info '" + model_.string() + "'");
  std::string nested;
  for (int i = 0; i < 10'000; ++i) nested += R"([{"name":"default","template":)";
  put("tokenizer_config.json", R"({"chat_template":)" + nested);
  expect_refused("nested more than");
}

}  // namespace
}  // namespace dhsa::test
