// What a model folder may be and what is refused, by name and in one sentence.
#include <dlfcn.h>
#include <sys/mman.h>

#include <set>
#include <utility>

#include "core/base/parallel.h"
#include "tests/core/model/model_helpers.h"

namespace {
std::function<void()> once_loaded;  // called when the first tensor has been copied
}

// In place of the C library's: the loader tells the system that it is done with a tensor's pages.
extern "C" int madvise(void* begin, size_t bytes, int advice) noexcept {
  static const auto next = reinterpret_cast<decltype(&madvise)>(dlsym(RTLD_NEXT, "madvise"));
  if (advice == MADV_DONTNEED && once_loaded) std::exchange(once_loaded, nullptr)();
  return next(begin, bytes, advice);
}

namespace dhsa::test {
namespace {

constexpr const char* kGate = "model.layers.1.mlp.gate_proj.weight";

std::vector<float> logits_of(const std::filesystem::path& folder, const ModelOptions& options = {}) {
  const auto model = Gemma2::load(folder, options);
  DensePlanner planner;
  return model->prefill(random_ids(33, model->config().vocab_size), planner).logits;
}

// Error sentence of loading the tiny model with its weights or configuration changed.
std::string refusal(const std::function<void(OwnedTensors&)>& weights,
                    const std::function<void(nlohmann::json&)>& config = {}) {
  TempFolder folder;
  tiny_model_with(folder.path(), weights, config);
  return error_of([&] { (void)Gemma2::load(folder.path()); });
}

void expect_parts(const std::string& sentence, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(sentence.find(part), std::string::npos) << part << " in: " << sentence;
}

std::vector<std::byte> halved(const std::vector<std::byte>& floats, bool bf16) {
  std::vector<std::byte> out(floats.size() / 2);
  for (std::size_t i = 0; i < out.size() / 2; ++i) {
    float value;
    std::memcpy(&value, floats.data() + 4 * i, 4);
    std::uint16_t bits;
    if (bf16) {
      bits = float_to_bfloat16(value);
    } else {
      const auto half = static_cast<_Float16>(value);
      std::memcpy(&bits, &half, 2);
    }
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
  return out;
}

TEST(Weights, MissingTensorIsNamed) {
  expect_parts(refusal([](OwnedTensors& t) { t.erase(kGate); }), {kGate, "no tensor"});
  expect_parts(refusal([](OwnedTensors& t) { t.erase("model.embed_tokens.weight"); }), {"embed_tokens.weight"});
}

TEST(Weights, WrongShapeIsNamed) {
  expect_parts(refusal([](OwnedTensors& t) { std::swap(t[kGate].shape[0], t[kGate].shape[1]); }),
               {kGate, "[48, 80]", "[80, 48]"});
  expect_parts(refusal([](OwnedTensors& t) { t["model.norm.weight"].shape = {1, 48}; }), {"model.norm.weight"});
}

TEST(Weights, VocabularyMismatchIsSaid) {
  expect_parts(refusal({}, [](nlohmann::json& c) { c["vocab_size"] = 96; }), {"97", "vocab_size 96"});
}

TEST(Weights, OtherTypesAreRefusedByName) {
  expect_parts(refusal([](OwnedTensors& t) {
                 t[kGate].dtype = "F64";
                 t[kGate].bytes.resize(t[kGate].bytes.size() * 2);
               }),
               {kGate, "F64"});
  expect_parts(refusal([](OwnedTensors& t) {
                 t[kGate].dtype = "I8";
                 t[kGate].bytes.resize(t[kGate].bytes.size() / 4);
               }),
               {kGate, "I8"});
}

TEST(Weights, ValuesThatAreNotFiniteAreRefused) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const std::string name : {kGate, "model.norm.weight", "model.embed_tokens.weight"}) {
      expect_parts(refusal([&](OwnedTensors& t) {
                     std::vector<std::byte>& bytes = t[name].bytes;
                     std::memcpy(bytes.data() + bytes.size() - 4, &bad, 4);
                   }),
                   {name, "not numbers"});
    }
  }
}

TEST(Weights, TruncatedAndMissingFiles) {
  TempFolder folder;
  tiny_model_with(folder.path(), {});
  const auto file = folder.path() / "model.safetensors";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 10);
  expect_parts(error_of([&] { (void)Gemma2::load(folder.path()); }), {"model.safetensors"});
  std::filesystem::remove(file);
  (void)error_of([&] { (void)Gemma2::load(folder.path()); });
  expect_parts(error_of([&] { (void)Gemma2::load(folder.path() / "nowhere"); }), {"nowhere"});
  TempFolder sharded;
  std::filesystem::copy(kDemo, sharded.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove(sharded.path() / "model-00002-of-00002.safetensors");
  expect_parts(error_of([&] { (void)Gemma2::load(sharded.path()); }), {"model-00002-of-00002.safetensors"});
}

TEST(Weights, AFileThatIsCutOffWhileItIsLoadedIsAnError) {
  for (const std::uintmax_t left : {std::uintmax_t{4096}, std::uintmax_t{5} << 20U}) {
    TempFolder folder;
    std::filesystem::copy(kDemo, folder.path());
    once_loaded = [&] {
      for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
        std::filesystem::resize_file(folder.path() / shard, left);
      }
    };
    expect_parts(error_of([&] { (void)Gemma2::load(folder.path()); }), {"model-0000", "cut off or written to"});
    EXPECT_FALSE(once_loaded);
  }
}

TEST(Weights, PrefixIsOptionalAndTheTiedHeadIgnored) {
  set_compute_threads(0);
  const auto expected = logits_of(kTiny);
  TempFolder folder;
  tiny_model_with(folder.path(), [](OwnedTensors& t) {
    OwnedTensors renamed;
    for (auto& [name, tensor] : t) renamed[name.substr(std::string("model.").size())] = tensor;
    renamed["lm_head.weight"] = renamed["embed_tokens.weight"];
    t = renamed;
  });
  EXPECT_EQ(logits_of(folder.path()), expected);
}

// The tiny model under other names, with an output layer of its own as `head`.
void renamed_model(const std::filesystem::path& folder, const std::function<std::string(std::string)>& rename,
                   const std::string& head) {
  tiny_model_with(
      folder,
      [&](OwnedTensors& t) {
        OwnedTensors renamed;
        for (auto& [name, tensor] : t) renamed[rename(name.substr(std::string("model.").size()))] = tensor;
        if (!head.empty()) {
          OwnedTensor own = t.at("model.embed_tokens.weight");
          for (std::size_t i = 3; i < own.bytes.size(); i += 4) own.bytes[i] ^= std::byte{0x80};  // the sign
          renamed[head] = own;
        }
        t = renamed;
      },
      [&](nlohmann::json& config) { config["tie_word_embeddings"] = head.empty(); });
}

TEST(Weights, TheHeadStandsBesideTheModelOrAnyOfItsWrappers) {
  set_compute_threads(0);
  const auto with = [](const std::string& prefix, const std::string& head) {
    const TempFolder folder;
    renamed_model(
        folder.path(), [&](const std::string& name) { return prefix + name; }, head);
    return logits_of(folder.path());
  };
  const auto expected = with("model.", "lm_head.weight");
  EXPECT_NE(expected, logits_of(kTiny));
  EXPECT_EQ(with("language_model.", "language_model.lm_head.weight"), expected);
  EXPECT_EQ(with("language_model.model.", "language_model.lm_head.weight"), expected);
  EXPECT_EQ(with("model.language_model.", "lm_head.weight"), expected);
  EXPECT_EQ(with("base_model.model.model.", "base_model.model.lm_head.weight"), expected);
  EXPECT_EQ(with("", "lm_head.weight"), expected);
}

TEST(Weights, WrappersInsideNamesAreReadThrough) {
  set_compute_threads(0);
  const auto expected = logits_of(kTiny);
  const std::vector<std::function<std::string(std::string)>> renames = {
      [](const std::string& name) { return "model._orig_mod." + name; },
      [](const std::string& name) { return "_fsdp_wrapped_module.model." + name; },
      [](const std::string& name) { return "policy.model." + name; },
      [](std::string name) {
        if (const std::size_t at = name.find("mlp."); at != std::string::npos) {
          name.insert(at, "_checkpoint_wrapped_module.");
        }
        return "model." + name;
      }};
  for (const auto& rename : renames) {
    const TempFolder folder;
    renamed_model(folder.path(), rename, "");
    EXPECT_EQ(logits_of(folder.path()), expected) << rename("mlp.");
  }
}

TEST(Weights, AHeadOfTheSameValuesInAnotherTypeIsTheEmbedding) {
  const auto bytes_with = [](bool head, std::byte flip) {
    const TempFolder folder;
    tiny_model_with(folder.path(), [&](OwnedTensors& t) {
      OwnedTensor& embedding = t["model.embed_tokens.weight"];
      embedding.bytes = halved(embedding.bytes, true);
      embedding.dtype = "BF16";
      if (!head) return;
      OwnedTensor& wide = t["lm_head.weight"];
      wide = {"F32", embedding.shape, std::vector<std::byte>(2 * embedding.bytes.size())};
      for (std::size_t i = 0; i < embedding.bytes.size(); ++i) wide.bytes[4 * (i / 2) + 2 + i % 2] = embedding.bytes[i];
      wide.bytes.back() ^= flip;
    });
    return weight_bytes(folder.path(), {});
  };
  EXPECT_EQ(bytes_with(true, {}), bytes_with(false, {}));
  EXPECT_GT(bytes_with(true, std::byte{0x80}), bytes_with(false, {}));
}

TEST(Weights, AllThreeTypesLoad) {
  set_compute_threads(0);
  const auto expected = logits_of(kTiny);
  for (const bool bf16 : {true, false}) {
    TempFolder folder;
    tiny_model_with(folder.path(), [&](OwnedTensors& t) {
      for (auto& [name, tensor] : t) {
        tensor.bytes = halved(tensor.bytes, bf16);
        tensor.dtype = bf16 ? "BF16" : "F16";
      }
    });
    // The weights lose 8 (bfloat16) or 11 (float16) bits, which the model's large random weights amplify.
    EXPECT_LT(relative_difference(logits_of(folder.path()), expected), bf16 ? 0.1 : 0.02);
  }
}

TEST(Weights, BytesAreKnownBeforeLoading) {
  for (const DType compute : {DType::kFloat32, DType::kBFloat16}) {
    const ModelOptions options{Device::kCpu, compute};
    const auto model = Gemma2::load(kDemo, options);
    EXPECT_EQ(weight_bytes(kDemo, options), model->weight_bytes());
    const std::int64_t parameters = 8192 * 256 + 8 * (512 * 256 + 256 * 256 + 3 * 1024 * 256);
    const std::int64_t norms = (8 * 4 + 1) * 256;
    EXPECT_EQ(model->weight_bytes(), parameters * 2 + norms * 4);  // bfloat16 files stay so
  }
}

TEST(Weights, FingerprintFollowsTheWeights) {
  const std::string original = Gemma2::load(kTiny)->fingerprint();
  EXPECT_EQ(Gemma2::load(kTiny, {Device::kCpu, DType::kBFloat16})->fingerprint(), original);
  TempFolder folder;
  tiny_model_with(folder.path(), [](OwnedTensors& t) { t[kGate].bytes[5] ^= std::byte{1}; });
  EXPECT_NE(Gemma2::load(folder.path())->fingerprint(), original);
}

TEST(Weights, FingerprintFollowsConfigurationAndTokenizer) {
  const TempFolder folder;
  std::set<std::string> seen;
  const auto is_new = [&] { return seen.insert(Gemma2::load(folder.path())->fingerprint()).second; };
  tiny_model_with(folder.path(), {});
  EXPECT_TRUE(is_new());
  EXPECT_FALSE(is_new());
  nlohmann::json config = nlohmann::json::parse(read_file(folder.path() / "config.json"));
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = config;
    changed[key] = value;
    write_file(folder.path() / "config.json", changed.dump());
  };
  with("rms_norm_eps", 1e-5);
  EXPECT_TRUE(is_new());
  with("eos_token_id", {1, 5});
  EXPECT_TRUE(is_new());
  write_file(folder.path() / "config.json", config.dump(2));  // the same values
  EXPECT_FALSE(is_new());
  std::filesystem::copy_file(kDemo / "tokenizer.model", folder.path() / "tokenizer.model");
  EXPECT_TRUE(is_new());
  std::string tokenizer = read_file(folder.path() / "tokenizer.model");
  tokenizer[tokenizer.size() / 2] ^= 1;
  write_file(folder.path() / "tokenizer.model", tokenizer);
  EXPECT_TRUE(is_new());
  write_file(folder.path() / "added_tokens.json", R"({"<|tool|>": 96})");
  EXPECT_TRUE(is_new());
}

TEST(Weights, LoadingCanBeCancelledAndGpuIsRefusedWhereThereIsNone) {
  CancelToken cancel;
  cancel.cancel();
  EXPECT_THROW((void)Gemma2::load(kTiny, {}, &cancel), Cancelled);
  if (!cuda_available()) {
    expect_parts(error_of([] { (void)Gemma2::load(kTiny, {Device::kCuda, DType::kBFloat16}); }), {"GPU"});
  }
}

}  // namespace
}  // namespace dhsa::test
