#include "core/model/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

using nlohmann::json;

// The least that is a config.
json small() {
  return {{"vocab_size", 100}, {"hidden_size", 48},        {"intermediate_size", 96}, {"num_hidden_layers", 4},
          {"head_dim", 16},    {"num_attention_heads", 4}, {"num_key_value_heads", 2}};
}

json with(const char* key, const json& value) {
  json config = small();
  config[key] = value;
  return config;
}

Gemma2Config parse(const json& config) { return parse_config(config.dump(), "config.json"); }

// What is said about `config`; it must name the file.
std::string fault(const json& config) {
  const std::string sentence = error_of([&] { (void)parse(config); });
  EXPECT_EQ(sentence.rfind("config.json: ", 0), 0U) << sentence;
  EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
  EXPECT_TRUE(sentence.ends_with(".")) << sentence;
  return sentence;
}

// ... with `key` set to `value`: names field and value too.
std::string fault(const char* key, const json& value) {
  const std::string sentence = fault(with(key, value));
  expect_mentions(sentence, std::string(key) + " is ");
  if (value.is_primitive()) expect_mentions(sentence, value.dump());
  expect_mentions(sentence, "expected ");
  return sentence;
}

TEST(Config, AbsentFieldsTakeGemma2Defaults) {
  const Gemma2Config config = parse(small());
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.hidden_size, 48);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.layers, 4);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.context, 8192);
  EXPECT_EQ(config.sliding_window, 4096);
  EXPECT_EQ(config.query_pre_attn_scalar, 256.0);
  EXPECT_EQ(config.attention_softcap, 50.0);
  EXPECT_EQ(config.final_softcap, 30.0);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.bos_token, 2);
  EXPECT_EQ(config.pad_token, 0);
  EXPECT_EQ(config.stop_tokens, std::vector<std::int32_t>{1});
  EXPECT_EQ(config.local_layer, (std::vector<bool>{true, false, true, false}));
  EXPECT_EQ(config.window_of(0), 4096);
  EXPECT_EQ(config.window_of(1), 0);
}

TEST(Config, OldSpelling) {
  const Gemma2Config config = read_config(DHSA_RESOURCES "/models/demo/config.json");
  EXPECT_EQ(config.layers, 8);
  EXPECT_EQ(config.sliding_window, 512);
  EXPECT_EQ(config.context, 16384);
  EXPECT_EQ(config.query_pre_attn_scalar, 64.0);
  EXPECT_EQ(parse(with("rope_theta", 500000)).rope_theta, 500000.0);
  (void)parse(with("rope_scaling", nullptr));
}

TEST(Config, NewSpelling) {
  const Gemma2Config config = read_config(DHSA_FIXTURES "/gemma2_tiny_a/config.json");
  EXPECT_EQ(config.kv_heads, 1);
  EXPECT_EQ(config.sliding_window, 8);
  EXPECT_EQ(config.attention_softcap, 2.0);
  EXPECT_EQ(config.final_softcap, 3.0);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.local_layer, (std::vector<bool>{true, false, true}));
  EXPECT_EQ(parse(with("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 77.5}})).rope_theta, 77.5);
  EXPECT_EQ(parse(with("rope_parameters", nullptr)).rope_theta, 10000.0);
  EXPECT_EQ(parse(with("rope_theta", nullptr)).rope_theta, 10000.0);
}

TEST(Config, BothSpellingsMustAgree) {
  json config = with("rope_theta", 500.0);
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500.0}};
  EXPECT_EQ(parse(config).rope_theta, 500.0);
  config["rope_theta"] = 501.0;
  expect_mentions(fault(config), "rope_parameters.rope_theta is 500.0; expected the same value");
}

TEST(Config, LayerTypes) {
  const json types = {"full_attention", "full_attention", "sliding_attention", "full_attention"};
  EXPECT_EQ(parse(with("layer_types", types)).local_layer, (std::vector<bool>{false, false, true, false}));
  EXPECT_EQ(parse(with("layer_types", nullptr)).local_layer, (std::vector<bool>{true, false, true, false}));
  expect_mentions(fault("layer_types", {"full_attention"}), "a list of 4 entries");
  expect_mentions(fault("layer_types", "full_attention"), "a list of 4 entries");
  json unknown = types;
  unknown[3] = "chunked_attention";
  expect_mentions(fault("layer_types", unknown), "layer 3 has \"chunked_attention\"");
  unknown[3] = 7;
  expect_mentions(fault("layer_types", unknown), "layer 3 has 7");
}

TEST(Config, NullsSayNone) {
  json config = small();
  for (const char* key : {"sliding_window", "attn_logit_softcapping", "final_logit_softcapping"}) config[key] = nullptr;
  const Gemma2Config read = parse(config);
  EXPECT_EQ(read.sliding_window, 0);
  EXPECT_EQ(read.attention_softcap, 0.0);
  EXPECT_EQ(read.final_softcap, 0.0);
  EXPECT_EQ(read.local_layer, std::vector<bool>(4, false));
}

TEST(Config, StopTokens) {
  EXPECT_EQ(parse(with("eos_token_id", 7)).stop_tokens, std::vector<std::int32_t>{7});
  EXPECT_EQ(parse(with("eos_token_id", {1, 99})).stop_tokens, (std::vector<std::int32_t>{1, 99}));
  EXPECT_TRUE(parse(with("eos_token_id", nullptr)).stop_tokens.empty());
  expect_mentions(fault("eos_token_id", {1, 100}), "one holds 100");
  expect_mentions(fault("eos_token_id", {1, "2"}), "one holds \"2\"");
  for (const json& value : {json(100), json(-1), json(1.0), json("1"), json(true)}) (void)fault("eos_token_id", value);
  for (const json& value : {json(100), json(-1), json("2"), json(2.5), json::array({2})}) {
    (void)fault("bos_token_id", value);
    EXPECT_EQ(parse(with("pad_token_id", value)).pad_token, 0);  // nothing is padded
  }
  EXPECT_EQ(parse(with("bos_token_id", 5)).bos_token, 5);
  EXPECT_EQ(parse(with("pad_token_id", 6)).pad_token, 6);
}

TEST(Config, StopTokensOfGenerationsThatTheVocabularyLacksArePassedOver) {
  const auto stops = [](const json& tokens) {
    Gemma2Config config = parse(small());
    add_generation_config(json{{"eos_token_id", tokens}}.dump(), "generation_config.json", config);
    return config.stop_tokens;
  };
  EXPECT_EQ(stops({7, 100, -1}), (std::vector<std::int32_t>{1, 7}));
  EXPECT_EQ(stops(-1), std::vector<std::int32_t>{1});
  expect_mentions(error_of([&] { (void)stops("</s>"); }), "generation_config.json: eos_token_id is \"</s>\"");
}

TEST(Config, FieldsOfAPartAreSaidToBeThere) {
  expect_mentions(fault(json{{"model_type", "gemma2"}, {"text_config", small()}}), "under text_config");
}

TEST(Config, RequiredFields) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim"}) {
    json config = small();
    config.erase(key);
    expect_mentions(fault(config), std::string(key) + " is missing; expected a whole number");
    for (const json& value : {json(nullptr), json("48"), json(0), json(-8), json(48.0), json(true), json(1LL << 40),
                              json(18446744073709551615ULL), json(1e300)}) {
      (void)fault(key, value);
    }
  }
}

TEST(Config, OptionalFieldsAreChecked) {
  for (const char* key : {"max_position_embeddings", "sliding_window"}) {
    for (const json& value :
         {json(0), json(-1), json("8"), json(8.5), json(1LL << 40), json(18446744073709551615ULL)}) {
      (void)fault(key, value);
    }
  }
  expect_mentions(fault("sliding_window", 0), "or null");
  for (const char* key :
       {"query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping", "rms_norm_eps", "rope_theta"}) {
    for (const json& value : {json(0), json(0.0), json(-1.5), json("50"), json(1e30), json(false)}) {
      (void)fault(key, value);
    }
  }
  (void)fault("max_position_embeddings", nullptr);
  (void)fault("query_pre_attn_scalar", nullptr);
  expect_mentions(fault("attn_logit_softcapping", 0.0), "null for none");
}

TEST(Config, Heads) {
  expect_mentions(fault("num_key_value_heads", 3), "num_attention_heads, which is 4");
  (void)fault("num_key_value_heads", 8);
  for (const int dim : {1, 7, 12, 20, 520, 100000}) (void)fault("head_dim", dim);
  for (const int dim : {8, 24, 512}) EXPECT_EQ(parse(with("head_dim", dim)).head_dim, dim);
}

std::string fault_of_heads(int heads) { return fault(with("num_attention_heads", heads)); }

TEST(Config, WhatIsNotGemma2IsRefused) {
  (void)fault("model_type", "gemma3_text");
  (void)fault("model_type", 2);
  (void)fault("attention_bias", true);
  (void)fault("attention_bias", "false");
  (void)fault("tie_word_embeddings", "no");
  (void)fault("use_bidirectional_attention", true);
  (void)fault("use_bidirectional_attention", "all");
  (void)fault("hidden_activation", "gelu");
  (void)fault("hidden_act", "silu");
  (void)fault("quantization_config", {{"bits", 4}});
  (void)fault("rope_scaling", "linear");
  expect_mentions(fault(with("rope_scaling", {{"type", "linear"}, {"factor", 2.0}})),
                  "rope_scaling.type is \"linear\"");
  expect_mentions(fault(with("rope_scaling", {{"rope_type", "yarn"}})), "rope_scaling.rope_type is \"yarn\"");
  expect_mentions(fault(with("rope_parameters", {{"rope_type", "dynamic"}})),
                  "rope_parameters.rope_type is \"dynamic\"");
  expect_mentions(fault(with("rope_parameters", {{"rope_theta", 0}})), "rope_parameters.rope_theta is 0");
  expect_mentions(fault(with("rope_parameters", {{"partial_rotary_factor", 0.5}})), "partial_rotary_factor is 0.5");
  expect_mentions(fault(with("rope_parameters", {{"sliding_attention", {{"rope_theta", 1e4}}}})), "one set");
  expect_mentions(fault_of_heads(3), "num_key_value_heads is 2");
}

TEST(Config, WhatGemma2SaysIsAccepted) {
  json config = small();
  config.update({{"model_type", "gemma2"},
                 {"attention_bias", false},
                 {"tie_word_embeddings", true},
                 {"use_bidirectional_attention", nullptr},
                 {"hidden_activation", "gelu_pytorch_tanh"},
                 // Not what decides where hidden_activation is given.
                 {"hidden_act", "gelu"},
                 // What the weights are, their file says.
                 {"torch_dtype", "auto"},
                 {"dtype", "torch.bfloat16"},
                 {"rope_scaling", {{"rope_type", "default"}}},
                 {"something_new", {{"deep", {1, 2, 3}}}}});
  EXPECT_EQ(parse(config).layers, 4);
}

TEST(Config, NotAConfig) {
  const auto text = [](const std::string& content) {
    const std::string sentence = error_of([&] { (void)parse_config(content, "config.json"); });
    EXPECT_EQ(sentence.rfind("config.json: ", 0), 0U) << sentence;
    return sentence;
  };
  expect_mentions(text(""), "not valid JSON at line 1, column 1");
  expect_mentions(text("{\n\"hidden_size\": 48,\n}"), "line 3, column 1");
  expect_mentions(text("{\"vocab_size\": 1\xFF}"), "not valid JSON");
  expect_mentions(text("{\"vocab_size\": NaN}"), "not valid JSON");
  expect_mentions(text("{\"vocab_size\": 1e999}"), "too large");
  expect_mentions(text("[1]"), "a list of 1");
  expect_mentions(text("null"), "null");
  expect_mentions(text(R"({"vocab_size": 1, "vocab_size": 2})"), "\"vocab_size\" is given twice");
  const std::string named = text("{\"model_type\": \"" + std::string(5000, 'x') + "\"}");
  EXPECT_LT(named.size(), 300U) << named;
}

TEST(Config, ReadNamesTheFile) {
  const ScratchFolder folder;
  expect_mentions(error_of([&] { (void)read_config(folder / "config.json"); }), "config.json");
  write_file(folder / "config.json", R"({"vocab_size": -3})");
  const std::string sentence = error_of([&] { (void)read_config(folder / "config.json"); });
  expect_mentions(sentence, (folder / "config.json").string());
  expect_mentions(sentence, "vocab_size is -3; expected a whole number from 1 to ");
}

void expect_same(const Gemma2Config& a, const Gemma2Config& b) {
  EXPECT_EQ(to_hugging_face(a, "float32"), to_hugging_face(b, "float32"));
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.context, b.context);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.query_pre_attn_scalar, b.query_pre_attn_scalar);
  EXPECT_EQ(a.attention_softcap, b.attention_softcap);
  EXPECT_EQ(a.final_softcap, b.final_softcap);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.bos_token, b.bos_token);
  EXPECT_EQ(a.pad_token, b.pad_token);
  EXPECT_EQ(a.stop_tokens, b.stop_tokens);
  EXPECT_EQ(a.local_layer, b.local_layer);
}

TEST(Config, HuggingFaceFormReadsBack) {
  json full = small();
  full.update({{"max_position_embeddings", 123},
               {"sliding_window", 9},
               {"query_pre_attn_scalar", 24.5},
               {"attn_logit_softcapping", 2.25},
               {"final_logit_softcapping", nullptr},
               {"rms_norm_eps", 3e-5},
               {"rope_theta", 1234.5},
               {"bos_token_id", 3},
               {"pad_token_id", 4},
               {"eos_token_id", {5, 6}},
               {"layer_types", {"full_attention", "full_attention", "sliding_attention", "full_attention"}}});
  json none = small();
  none.update({{"sliding_window", nullptr}, {"eos_token_id", nullptr}, {"attn_logit_softcapping", nullptr}});
  for (const json& form : {small(), full, none}) {
    const Gemma2Config config = parse(form);
    const json written = to_hugging_face(config, "bfloat16");
    EXPECT_EQ(written["torch_dtype"], "bfloat16");
    EXPECT_EQ(written["model_type"], "gemma2");
    expect_same(parse(written), config);
  }
}

TEST(Config, WrittenWholeNumbersStayWhole) {
  EXPECT_EQ(to_hugging_face(parse(with("query_pre_attn_scalar", 224)), "float32").at("query_pre_attn_scalar").dump(),
            "224");
}

TEST(Config, ParametersAreTheWeightsOfTheFile) {
  const std::filesystem::path model = DHSA_RESOURCES "/models/demo";
  const TensorFolder folder = TensorFolder::open(model);
  std::int64_t total = 0;
  for (const std::string& name : folder.names()) total += folder.info(name).elements();
  EXPECT_EQ(read_config(model / "config.json").parameters(), total);
}

}  // namespace
}  // namespace dhsa
