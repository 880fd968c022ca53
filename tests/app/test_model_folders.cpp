// Model folders as people have them: opened as their makers meant, or refused in one sentence that says what to do.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "tests/app/command.h"
#include "tests/support/gguf.h"
#include "tests/support/tokenizer_json.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;
const fs::path kDemo = fs::path(DHSA_RESOURCES_DIR) / "models" / "demo";
const char* const kQuick = " --compare none --metrics-rows 0 --logit-positions 0 --max-new-tokens 8 --json '";

using Tensors = std::map<std::string, std::pair<TensorInfo, std::vector<std::byte>>>;

// The first two layers of the demo model.
const Tensors& base() {
  static const Tensors tensors = [] {
    Tensors all;
    const TensorFolder demo = TensorFolder::open(kDemo);
    for (const std::string& name : demo.names()) {
      const bool deep = name.starts_with("model.layers.") && name[13] > '1';
      if (deep) continue;
      const auto bytes = demo.file_of(name).bytes(name);
      all[name] = {demo.info(name), {bytes.begin(), bytes.end()}};
    }
    return all;
  }();
  return tensors;
}

nlohmann::json config_of(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json config = json_of(kDemo / "config.json");
  config["num_hidden_layers"] = 2;
  config.erase("layer_types");
  config.update(changes);
  return config;
}

void write_weights(const fs::path& path, const Tensors& tensors) {
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors)
    list.push_back({name, tensor.first.dtype, tensor.first.shape, tensor.second});
  write_safetensors(path, list);
}

class ModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(model_);
    fs::copy_file(kDemo / "tokenizer.model", model_ / "tokenizer.model");
    put("config.json", config_of());
  }
  void put(const std::string& name, const nlohmann::json& json) const { write_file(model_ / name, json.dump()); }
  void put_weights(const Tensors& tensors) const { write_weights(model_ / "model.safetensors", tensors); }

  // The tokens of a short answer; empty with a failure where the command refuses.
  [[nodiscard]] std::vector<int> answer(const std::string& more = "") const {
    const std::string json = folder_.path("run.json").string();
    const Outcome outcome = done("run - --model '" + at_.string() + "'" + more + kQuick + json + "'", text_);
    out_ = outcome.out;
    const nlohmann::json run = json_of(json)["comparison"]["runs"][0];
    return run.contains("answer") ? run["answer"]["tokens"].get<std::vector<int>>() : std::vector<int>();
  }
  void expect_refused(const std::string& part) const {
    EXPECT_REFUSED(
        dhsa("run - --model '" + at_.string() + "'" + kQuick + folder_.path("no.json").string() + "'", text_), part);
    const Outcome info = dhsa("info '" + at_.string() + "'");
    EXPECT_EQ(info.code, 2);
    EXPECT_NE(info.err.find(part), std::string::npos) << info.err;
  }
  void expect_opens() const { done("info '" + at_.string() + "'"); }

  Folder folder_;
  fs::path model_ = folder_.path("model");
  fs::path at_ = model_;  // what is given to the command
  std::string text_ = "The tide turns at seven, and the gulls follow it.";
  mutable std::string out_;
};

TEST_F(ModelFolder, PrefixesOfToolsAndOtherLayoutsGiveTheSameAnswer) {
  put_weights(base());
  const std::vector<int> expected = answer();
  ASSERT_EQ(expected.size(), 8U);
  for (const char* prefix : {"base_model.model.", "_orig_mod.", "language_model.", "module."}) {
    Tensors renamed;
    for (const auto& [name, tensor] : base()) renamed[prefix + name] = tensor;
    put_weights(renamed);
    EXPECT_EQ(answer(), expected) << prefix;
  }
  put_weights(base());
  write_file(model_ / "model.safetensors.index.json", R"({"weight_map":{"gone":"model-00001-of-00009.safetensors"}})");
  put("adapter_config.json", {{"peft_type", "LORA"}});  // left over from a merge
  for (const char* type : {"auto", "torch.bfloat16"}) {
    put("config.json", config_of({{"torch_dtype", type}}));
    EXPECT_EQ(answer(), expected) << type;
  }
  // The download cache: one snapshot below the folder that has the model's name.
  const fs::path cache = folder_.path("models--google--gemma-2-2b");
  fs::create_directories(cache / "snapshots");
  fs::rename(model_, cache / "snapshots" / "0123abc");
  at_ = cache;
  EXPECT_EQ(answer(), expected);
  expect_opens();
}

TEST_F(ModelFolder, ShardsWithoutAnIndex) {
  Tensors first;
  Tensors second;
  for (const auto& [name, tensor] : base()) (first.size() < 10 ? first : second)[name] = tensor;
  put_weights(base());
  const std::vector<int> expected = answer();
  fs::remove(model_ / "model.safetensors");
  write_weights(model_ / "model-00001-of-00002.safetensors", first);
  expect_refused("model-00002-of-00002.safetensors");
  write_weights(model_ / "model-00002-of-00002.safetensors", second);
  EXPECT_EQ(answer(), expected);
}

TEST_F(ModelFolder, AHeadOfItsOwnIsUsedAndSaid) {
  put_weights(base());
  const std::vector<int> tied = answer();
  Tensors tensors = base();
  tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight");
  put_weights(tensors);
  EXPECT_EQ(answer(), tied);
  EXPECT_EQ(out_.find("lm_head"), std::string::npos);
  for (std::size_t i = 1; i < tensors["lm_head.weight"].second.size(); i += 2) {
    tensors["lm_head.weight"].second[i] ^= std::byte{0x80};  // the sign
  }
  put_weights(tensors);
  const std::vector<int> own = answer();
  EXPECT_NE(own, tied);
  expect_said(out_, {"lm_head.weight differs"});
  put("config.json", config_of({{"tie_word_embeddings", false}}));
  EXPECT_EQ(answer(), own);
  EXPECT_EQ(out_.find("lm_head"), std::string::npos);
  put_weights(base());
  expect_refused("lm_head.weight");
}

TEST_F(ModelFolder, WhatIsNotReadSaysWhatToDo) {
  expect_refused("model.safetensors");
  write_file(model_ / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n");
  expect_refused("git lfs pull");
  fs::remove(model_ / "model.safetensors");
  write_file(model_ / "pytorch_model.bin", "PK");
  expect_refused("safe_serialization");
  write_file(model_ / "adapter_model.safetensors", "");
  put("adapter_config.json", {{"base_model_name_or_path", "google/gemma-2-2b"}});
  expect_refused("google/gemma-2-2b");
  fs::remove(model_ / "config.json");
  expect_refused("merge_and_unload");

  put_weights(base());
  for (const char* kind : {"gemma", "gemma3_text", "llama"}) {
    put("config.json", config_of({{"model_type", kind}}));
    expect_refused("take a Gemma 2 model");
  }
  for (const char* kind : {"gptq", "awq", "bitsandbytes"}) {
    put("config.json", config_of({{"quantization_config", {{"quant_method", kind}}}}));
    expect_refused(std::string("quantised weights (") + kind + ")");
  }
  put("config.json", config_of());
  Tensors packed = base();
  const auto node = packed.extract("model.layers.1.mlp.up_proj.weight");
  packed["model.layers.1.mlp.up_proj.qweight"] = node.mapped();
  put_weights(packed);
  expect_refused("quantised");
  fs::remove_all(model_);
  expect_refused("is not a folder");
}

TEST_F(ModelFolder, OtherVersionsAndExtraTensorsGiveTheSameAnswer) {
  put_weights(base());
  const std::vector<int> expected = answer();
  // As transformers 5 writes it.
  nlohmann::json config = config_of({{"dtype", "bfloat16"},
                                     {"layer_types", {"sliding_attention", "full_attention"}},
                                     {"rope_parameters", {{"rope_theta", 1e6}, {"rope_type", "default"}}},
                                     {"use_bidirectional_attention", nullptr},
                                     {"id2label", {{"0", "LABEL_0"}}}});
  for (const char* gone : {"hidden_act", "rope_theta", "torch_dtype"}) config.erase(gone);
  put("config.json", config);
  EXPECT_EQ(answer(), expected);
  expect_opens();
  put("config.json", config_of());

  Tensors more = base();
  more["lm_head.weight"] = more.at("model.embed_tokens.weight");
  more["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{"F32", {2}, 0, 0}, std::vector<std::byte>(8)};
  more["score.weight"] = {{"BF16", {2, 256}, 0, 0}, std::vector<std::byte>(1024)};
  put_weights(more);
  EXPECT_EQ(answer(), expected);

  Tensors padded = base();
  auto& [info, bytes] = padded["model.embed_tokens.weight"];
  bytes.resize(bytes.size() + 64 * bytes.size() / 8192);
  info.shape[0] += 64;
  put_weights(padded);
  expect_refused("vocab_size 8192");
  put("config.json", config_of({{"vocab_size", 8256}}));
  EXPECT_EQ(answer(), expected);
  expect_opens();

  put("config.json", config_of());
  put_weights(base());
  const auto pieces = parse_sentencepiece_file(read_file(kDemo / "tokenizer.model")).pieces;
  fs::remove(model_ / "tokenizer.model");
  put("tokenizer.json", tokenizer_json_of(pieces));
  EXPECT_EQ(answer(), expected);
  expect_opens();
  put("tokenizer.json", {{"model", {{"type", "BPE"}, {"vocab", {{"<pad>", 0}}}, {"merges", nlohmann::json::array()}}}});
  expect_refused("put the model's tokenizer.model beside it");
}

TEST_F(ModelFolder, DamagedWeightsAndScaledPositionsAreRefused) {
  Tensors damaged = base();
  auto& up = damaged["model.layers.1.mlp.up_proj.weight"].second;
  up[1001] = std::byte{0x7f};
  up[1000] = std::byte{0xc0};
  put_weights(damaged);
  expect_refused("model.layers.1.mlp.up_proj.weight");
  put_weights(base());
  put("config.json", config_of({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}));
  expect_refused("Gemma 2 scales no positions");
}

TEST_F(ModelFolder, AGgufFileIsOpenedLikeTheFolder) {
  put_weights(base());
  const std::vector<int> expected = answer();
  const ModelCopy copy(kDemo, 2);
  at_ = folder_.path("demo.gguf");
  write_file(at_, copy.gguf("BF16").file());
  EXPECT_EQ(answer(), expected);
  expect_opens();
  done("generate - --max-new-tokens 3 --model '" + at_.string() + "'", text_);
  GgufWriter chat = copy.gguf("Q8_0");
  chat.text("tokenizer.chat_template", "<start_of_turn>{{ content }}<end_of_turn>");
  write_file(at_, chat.file());
  EXPECT_EQ(answer().size(), 8U);
  expect_said(out_, {"turn of the user"});
  GgufWriter other = copy.gguf("BF16");
  other.tensor("blk.2.attn_q.weight", 12, {1, 256}, std::string(144, 'x'));
  write_file(at_, other.file());
  expect_refused("is of type Q4_K; take the model as GGUF in F32, F16, BF16 or Q8_0");
  write_file(at_, "no model");
  expect_refused("is not a folder");
}

TEST_F(ModelFolder, EndsAtEveryStopTokenThatAnyFileNames) {
  // The whole demo model: two of its layers alone repeat one token.
  for (const auto& entry : fs::directory_iterator(kDemo)) {
    fs::copy_file(entry.path(), model_ / entry.path().filename(), fs::copy_options::overwrite_existing);
  }
  text_ = "The old man said";
  const std::vector<int> free = answer();
  ASSERT_EQ(free.size(), 8U) << testing::PrintToString(free);
  // Stopping at a token that comes for the first time in the middle.
  std::size_t at = 2;
  while (std::find(free.begin(), free.begin() + static_cast<std::ptrdiff_t>(at), free[at]) !=
         free.begin() + static_cast<std::ptrdiff_t>(at)) {
    ASSERT_LT(++at, free.size()) << testing::PrintToString(free);
  }
  const std::vector<int> ended(free.begin(), free.begin() + static_cast<std::ptrdiff_t>(at));
  put("generation_config.json", {{"eos_token_id", {1, free[at]}}});
  EXPECT_EQ(answer(), ended);
  const auto generated = [&](int most) {
    return dhsa("generate - --model '" + model_.string() + "' --max-new-tokens " + std::to_string(most), text_).err;
  };
  expect_said(generated(8), {"; ended at "});
  expect_said(generated(1), {"; 1 token, the most asked for"});
  fs::remove(model_ / "generation_config.json");
  const nlohmann::json decoder = {{std::to_string(free[at]), {{"content", "END"}, {"special", true}}}};
  put("tokenizer_config.json", {{"eos_token", {{"content", "END"}}}, {"added_tokens_decoder", decoder}});
  EXPECT_EQ(answer(), ended);
}

TEST_F(ModelFolder, ATokenBeyondThePiecesMayWin) {
  Tensors tensors = base();
  auto& [info, bytes] = tensors["model.embed_tokens.weight"];
  const std::vector<int> first = [&] {
    put_weights(base());
    return answer();
  }();
  ASSERT_FALSE(first.empty());
  // A row beyond the pieces like that of the token that wins, and larger.
  const std::size_t row = bytes.size() / 8192;
  std::vector<std::byte> padding(64 * row);
  for (std::size_t i = 0; i < row / 2; ++i) {
    std::uint16_t value;
    std::memcpy(&value, bytes.data() + static_cast<std::size_t>(first[0]) * row + 2 * i, 2);
    if ((value & 0x7f80U) != 0) value = static_cast<std::uint16_t>(value + (3U << 7U));  // eight times as large
    std::memcpy(padding.data() + 2 * i, &value, 2);
  }
  bytes.insert(bytes.end(), padding.begin(), padding.end());
  info.shape[0] += 64;
  put_weights(tensors);
  put("config.json", config_of({{"vocab_size", 8256}}));
  const std::vector<int> answered = answer();
  ASSERT_FALSE(answered.empty());
  EXPECT_EQ(answered[0], 8192);
  expect_said(out_, {"<8192>"});
}

TEST_F(ModelFolder, AnInstructionTunedModelIsGivenATurnOfTheUser) {
  put_weights(base());
  const auto tokens = [&](const std::string& more) {
    (void)answer(more);
    return json_of(folder_.path("run.json"))["document"]["tokens"].get<int>();
  };
  const int plain = tokens("");
  EXPECT_EQ(out_.find("turn of the user"), std::string::npos);
  put("tokenizer_config.json",
      {{"chat_template", "{{ bos_token }}<start_of_turn>{{ role }}\n{{ content }}<end_of_turn>\n"}});
  const int turn = tokens("");
  EXPECT_GT(turn, plain + 4);
  expect_said(out_, {"turn of the user"});
  EXPECT_EQ(tokens(" --chat off"), plain);
  const std::string words = text_;
  text_ = "<bos><start_of_turn>user\n" + words + "<end_of_turn>\n<start_of_turn>model\n";
  EXPECT_EQ(tokens(""), turn);  // read as the chat that it is, <bos> once
  EXPECT_GT(tokens(" --chat off"), turn);
  expect_said(out_, {"plain text"});
  fs::remove(model_ / "tokenizer_config.json");
  EXPECT_GT(tokens(""), turn);
  EXPECT_EQ(tokens(" --chat on"), turn);
  EXPECT_REFUSED(dhsa("run - --chat perhaps --model '" + model_.string() + "'", text_), "chat: \"perhaps\"");
}

}  // namespace
}  // namespace dhsa::test
