// What a model's folder is taken for, and which of its files are read.
#include "core/model/folder.h"

#include <sys/stat.h>

#include "core/text/chat.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/model_helpers.h"
#include "tests/support/tokenizer_json.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4988025760\n";

void expect_parts(const std::string& sentence, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(sentence.find(part), std::string::npos) << part << " in: " << sentence;
}

TEST(ModelFolder, StopTokensAreFoundInTokenizerJsonToo) {
  const TempFolder folder;
  tiny_model_with(folder.path(), {}, [](nlohmann::json& config) { config["vocab_size"] = 8192; });
  nlohmann::json tokenizer = demo_tokenizer_json();
  std::vector<std::int32_t> expected = {1};
  for (const auto& token : tokenizer["added_tokens"]) {
    if (token["content"] == "<end_of_turn>") expected.push_back(token["id"].get<std::int32_t>());
  }
  ASSERT_EQ(expected.size(), 2U);
  write_file(folder.path() / "tokenizer.json", tokenizer.dump());
  EXPECT_EQ(read_model_config(folder.path()).stop_tokens, expected);
  // A token that only the vocabulary holds.
  const std::string piece = Tokenizer::load(kDemo / "tokenizer.model")->piece(700);
  write_file(folder.path() / "tokenizer_config.json", nlohmann::json{{"eos_token", piece}}.dump());
  EXPECT_EQ(read_model_config(folder.path()).stop_tokens[1], 700);
}

TEST(ModelFolder, APipeIsRefusedAndNotWaitedFor) {
  for (const char* name : {"config.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"}) {
    const TempFolder folder;
    tiny_model_with(folder.path(), {});
    fs::remove(folder.path() / name);
    ASSERT_EQ(mkfifo((folder.path() / name).c_str(), 0600), 0);
    expect_parts(error_of([&] { (void)read_model_config(folder.path()); }), {name, "is a pipe"});
  }
}

TEST(ModelFolder, FilesThatWereNotFetchedSaySo) {
  const TempFolder folder;
  tiny_model_with(folder.path(), {});
  for (const char* name : {"generation_config.json", "tokenizer_config.json", "config.json"}) {
    write_file(folder.path() / name, "");
    expect_parts(error_of([&] { (void)read_model_config(folder.path()); }), {name, "is empty; download it again"});
    write_file(folder.path() / name, kPointer);
    expect_parts(error_of([&] { (void)read_model_config(folder.path()); }), {name, "git lfs pull"});
    fs::remove(folder.path() / name);
  }
  fs::create_symlink("blob", folder.path() / "config.json");
  expect_parts(error_of([&] { (void)read_model_config(folder.path()); }), {"config.json", "download the model again"});
}

TEST(ModelFolder, PointersGiveWayToWhatWasFetched) {
  const TempFolder folder;
  OwnedTensors half[2];
  tiny_model_with(folder.path(), {});
  const std::string expected = Gemma2::load(folder.path())->fingerprint();
  for (const auto& [name, tensor] : read_tensors(folder.path() / "model.safetensors")) {
    half[half[0].size() < 9 ? 0 : 1][name] = tensor;
  }
  write_file(folder.path() / "model.safetensors", kPointer);
  write_tensors(folder.path() / "model-00001-of-00002.safetensors", half[0]);
  (void)error_of([&] { (void)Gemma2::load(folder.path()); });
  write_tensors(folder.path() / "model-00002-of-00002.safetensors", half[1]);
  write_file(folder.path() / "tokenizer.model", kPointer);
  write_file(folder.path() / "tokenizer.json", demo_tokenizer_json().dump());
  EXPECT_EQ(tokenizer_file(folder.path()).filename(), "tokenizer.json");
  EXPECT_NE(Gemma2::load(folder.path())->fingerprint(), expected);  // it has a tokenizer now
  const std::vector<std::string> notes = weight_notes(folder.path());
  ASSERT_EQ(notes.size(), 2U);
  expect_parts(notes[0], {"git lfs pull", "2 shards"});
  expect_parts(notes[1], {"tokenizer.json is read instead"});
}

TEST(ModelFolder, AChatTemplateOfAnotherKindIsSaid) {
  const TempFolder folder;
  tiny_model_with(folder.path(), {});
  EXPECT_EQ(weight_notes(folder.path()).size(), 0U);
  write_file(folder.path() / "tokenizer_config.json", R"({"chat_template":"<|im_start|>user"})");
  ASSERT_EQ(weight_notes(folder.path()).size(), 1U);
  expect_parts(weight_notes(folder.path())[0], {"chat template is not Gemma's"});
  write_file(folder.path() / "tokenizer_config.json", R"({"chat_template":"<start_of_turn>user<end_of_turn>"})");
  write_file(folder.path() / "chat_template.jinja", "");  // says nothing
  EXPECT_TRUE(is_instruction_tuned(folder.path()));
  EXPECT_EQ(weight_notes(folder.path()).size(), 0U);
}

TEST(ModelFolder, EveryFolderOfTheDownloadCache) {
  const TempFolder hub;
  const fs::path snapshots = hub.path() / "models--google--gemma-2-2b" / "snapshots";
  fs::create_directories(snapshots / "abc");
  tiny_model_with(snapshots / "abc", {});
  for (const fs::path& given : {hub.path(), snapshots.parent_path(), snapshots, snapshots / "", snapshots / "abc"}) {
    EXPECT_TRUE(fs::equivalent(model_folder(given), snapshots / "abc")) << given;
  }
  fs::create_directories(hub.path() / "models--google--gemma-2-9b");
  expect_parts(error_of([&] { (void)model_folder(hub.path()); }), {"2 models", "models--google--gemma-2-2b"});
  fs::remove(snapshots / "abc" / "model.safetensors");
  fs::create_symlink("../../blobs/gone", snapshots / "abc" / "model.safetensors");
  expect_parts(error_of([&] { (void)model_folder(snapshots); }), {"model.safetensors is a link", "download"});
}

TEST(ModelFolder, WeightsUnderOtherNamesAreNamed) {
  const TempFolder folder;
  tiny_model_with(folder.path(), {});
  fs::rename(folder.path() / "model.safetensors", folder.path() / "model.fp16.safetensors");
  expect_parts(error_of([&] { (void)model_folder(folder.path()); }), {"model.fp16.safetensors", "give it that name"});
  fs::rename(folder.path() / "model.fp16.safetensors", folder.path() / "model.safetensors.incomplete");
  expect_parts(error_of([&] { (void)model_folder(folder.path()); }), {"model.safetensors.incomplete", "download it"});
}

}  // namespace
}  // namespace dhsa::test
