// A GGUF file against the folder of the same values: the same configuration, ids and logits.
#include "core/model/folder.h"
#include "core/text/tokenizer.h"
#include "tests/core/model/model_helpers.h"
#include "tests/support/gguf.h"

namespace dhsa::test {
namespace {

const ModelCopy& demo_copy() {
  static const ModelCopy copy(kDemo, 2);
  return copy;
}

struct Answer {
  std::vector<float> logits;
  std::string fingerprint;
};

Answer answer_of(const std::filesystem::path& path, DType compute = DType::kFloat32) {
  const auto model = Gemma2::load(model_folder(path), {.device = Device::kCpu, .compute = compute});
  DensePlanner planner;
  PrefillOptions options;
  options.logit_positions = {5, 300, 599};  // also behind the first window
  return {model->prefill(random_ids(600, model->config().vocab_size), planner, options).logits, model->fingerprint()};
}

TEST(GgufModel, GivesTheLogitsOfTheFolderWithTheSameValues) {
  const TempFolder folder;
  for (const char* type : {"F32", "F16", "BF16", "Q8_0"}) {
    const auto file = folder.path() / (std::string(type) + ".gguf");
    write_file(file, demo_copy().gguf(type).file());
    demo_copy().write_folder(folder.path() / type, type);
    const Answer ours = answer_of(file);
    EXPECT_EQ(ours.logits, answer_of(folder.path() / type).logits) << type;
    EXPECT_NE(ours.fingerprint, answer_of(folder.path() / "F32").fingerprint);
    if (std::string(type) == "BF16") {
      EXPECT_EQ(answer_of(file, DType::kBFloat16).logits, answer_of(folder.path() / type, DType::kBFloat16).logits);
    }
  }
  // What the blocks of eight bits lose, against the weights they were made of.
  const double lost =
      relative_difference(answer_of(folder.path() / "Q8_0.gguf").logits, answer_of(folder.path() / "F32").logits);
  EXPECT_GT(lost, 1e-6);
  EXPECT_LT(lost, 0.02);
}

TEST(GgufModel, GivesTheConfigurationOfTheFolder) {
  const TempFolder folder;
  const auto file = folder.path() / "model.gguf";
  GgufWriter out = demo_copy().gguf("BF16");
  out.count("tokenizer.ggml.eot_token_id", 17);
  write_file(file, out.file());
  demo_copy().write_folder(folder.path() / "folder", "BF16");
  const Gemma2Config ours = read_model_config(file);
  Gemma2Config theirs = read_model_config(folder.path() / "folder");
  EXPECT_EQ(ours.stop_tokens.at(1), 17);
  theirs.stop_tokens = ours.stop_tokens;
  nlohmann::json expected = to_hugging_face(theirs, "bfloat16");
  nlohmann::json found = to_hugging_face(ours, "bfloat16");
  for (const char* real : {"rms_norm_eps", "attn_logit_softcapping", "final_logit_softcapping"}) {  // float32 there
    EXPECT_FLOAT_EQ(found[real].get<float>(), expected[real].get<float>());
    found.erase(real);
    expected.erase(real);
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(weight_bytes(file, {}), weight_bytes(folder.path() / "folder", {}));
  EXPECT_EQ(model_folder(file), file);
  std::filesystem::remove_all(folder.path() / "folder");
  EXPECT_EQ(model_folder(folder.path()), file);  // the only one there
}

TEST(GgufModel, ScaleOfThe27bIsThatOfItsWidth) {
  // A header with the sizes of the published models; nothing is loaded.
  const auto scalar = [](std::int64_t layers, std::int64_t heads, std::int64_t hidden, std::int64_t head_dim) {
    const TempFolder folder;
    GgufWriter out;
    out.text("general.architecture", "gemma2");
    for (const auto& [key, value] : {std::pair{"block_count", layers},
                                     {"attention.head_count", heads},
                                     {"attention.head_count_kv", heads / 2},
                                     {"embedding_length", hidden},
                                     {"feed_forward_length", 4 * hidden},
                                     {"attention.key_length", head_dim}}) {
      out.count(std::string("gemma2.") + key, value);
    }
    out.tensor("token_embd.weight", 0, {3, 0}, "");
    write_file(folder.path() / "x.gguf", out.file());
    try {
      return read_model_config(folder.path() / "x.gguf").query_pre_attn_scalar;
    } catch (const std::invalid_argument&) {
      return -1.0;
    }
  };
  EXPECT_EQ(scalar(26, 8, 2304, 256), 256);
  EXPECT_EQ(scalar(42, 16, 3584, 256), 256);
  EXPECT_EQ(scalar(46, 32, 4608, 128), 144);
}

TEST(GgufModel, OtherModelsAreRefused) {
  const TempFolder folder;
  const auto refusal = [&](const GgufWriter& out) {
    write_file(folder.path() / "x.gguf", out.file());
    return error_of([&] { (void)Gemma2::load(folder.path() / "x.gguf"); });
  };
  GgufWriter llama;
  llama.text("general.architecture", "llama");
  EXPECT_NE(refusal(llama).find("of the kind \"llama\""), std::string::npos);
  GgufWriter bare;
  bare.text("general.architecture", "gemma2");
  EXPECT_NE(refusal(bare).find("gemma2.block_count"), std::string::npos);
  GgufWriter stretched = demo_copy().gguf("BF16");
  stretched.text("gemma2.rope.scaling.type", "yarn");
  EXPECT_NE(refusal(stretched).find("yarn"), std::string::npos);
  GgufWriter pattern = demo_copy().gguf("BF16");
  pattern.count("gemma2.attention.sliding_window_pattern", 6);
  EXPECT_NE(refusal(pattern).find("sliding_window_pattern"), std::string::npos);
}

TEST(GgufModel, ReadsTheTokensOfTheFolder) {
  const TempFolder folder;
  const auto theirs = Tokenizer::of_model(kDemo, 8192);
  std::vector<std::string> texts;
  for (const auto& one : nlohmann::json::parse(read_file(DHSA_FIXTURES "/gemma2_tokenizer_cases.json"))) {
    texts.push_back(one["text"]);
  }
  texts.push_back(read_file(std::filesystem::path(DHSA_RESOURCES) / "documents/sample.txt"));
  texts.emplace_back("<bos>\n\n\n   \t\t<start_of_turn>user  two\n");
  for (const bool told : {true, false}) {
    ModelCopy copy = demo_copy();
    copy.config["vocab_size"] = 8200;  // padded
    write_file(folder.path() / "x.gguf", copy.gguf("BF16", told).file());
    const auto ours = Tokenizer::load(folder.path() / "x.gguf");
    EXPECT_EQ(ours->size(), theirs->size());
    EXPECT_EQ(ours->piece(8195), "<8195>");
    for (const std::string& text : texts) {
      const Encoding encoding = ours->encode(text);
      EXPECT_EQ(encoding.ids, theirs->encode(text).ids) << text;
      EXPECT_EQ(encoding.spans, theirs->encode(text).spans) << text;
      EXPECT_EQ(ours->decode(encoding.ids), theirs->decode(encoding.ids));
    }
  }
}

}  // namespace
}  // namespace dhsa::test
