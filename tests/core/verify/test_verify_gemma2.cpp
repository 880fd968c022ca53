// Agreement with Hugging Face's eager implementation, and that the comparison notices each well-known mistake.
#include "core/verify/gemma2.h"

#include "core/base/parallel.h"
#include "tests/core/model/model_helpers.h"

namespace dhsa::test {
namespace {

const std::filesystem::path kTinyExpected = kTiny / "expected.safetensors";
const std::filesystem::path kDemoExpected = std::filesystem::path(DHSA_FIXTURES) / "gemma2_demo_1536.safetensors";

std::map<std::string, TensorCheck> by_name(const std::vector<TensorCheck>& checks) {
  std::map<std::string, TensorCheck> map;
  for (const TensorCheck& check : checks) map[check.name] = check;
  return map;
}

class VerifyGemma2 : public testing::Test {
 protected:
  static void SetUpTestSuite() { set_compute_threads(0); }
};

TEST_F(VerifyGemma2, TinyModelInFloat32) {
  const auto checks = verify_gemma2(kTiny, kTinyExpected);
  ASSERT_EQ(checks.size(), 8U);
  for (const TensorCheck& check : checks) {
    EXPECT_TRUE(check.passed) << check.name << " " << check.max_abs << " " << check.max_relative;
    EXPECT_LT(check.max_relative, 2e-5) << check.name;
    EXPECT_GE(check.max_abs, 0);
  }
  EXPECT_EQ(checks.front().name, "hidden.0");
  EXPECT_EQ(checks.back().name, "logits");
}

TEST_F(VerifyGemma2, DemoModelInFloat32) {
  const auto checks = verify_gemma2(kDemo, kDemoExpected);
  ASSERT_EQ(checks.size(), 13U);
  for (const TensorCheck& check : checks) {
    EXPECT_TRUE(check.passed) << check.name << " " << check.max_abs << " " << check.max_relative;
  }
}

TEST_F(VerifyGemma2, DemoModelInBfloat16) {
  VerifyGemma2Options options;
  options.model.compute = DType::kBFloat16;
  options.tolerance = 5e-2;
  for (const TensorCheck& check : verify_gemma2(kDemo, kDemoExpected, options)) {
    EXPECT_TRUE(check.passed) << check.name << " " << check.max_abs << " " << check.max_relative;
  }
}

TEST_F(VerifyGemma2, NoticesEveryWellKnownMistake) {
  const auto verify_with = [](const std::function<void(nlohmann::json&)>& change) {
    TempFolder folder;
    tiny_model_with(folder.path(), {}, change);
    return by_name(verify_gemma2(folder.path(), kTinyExpected)).at("logits");
  };
  const std::vector<std::pair<const char*, std::function<void(nlohmann::json&)>>> mistakes{
      {"window one longer", [](nlohmann::json& c) { c["sliding_window"] = 9; }},
      {"window one shorter", [](nlohmann::json& c) { c["sliding_window"] = 7; }},
      {"no window", [](nlohmann::json& c) { c["sliding_window"] = nullptr; }},
      {"odd layers slide",
       [](nlohmann::json& c) {
         c["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
       }},
      {"no attention softcap", [](nlohmann::json& c) { c["attn_logit_softcapping"] = nullptr; }},
      {"no final softcap", [](nlohmann::json& c) { c["final_logit_softcapping"] = nullptr; }},
      {"scale from the head size", [](nlohmann::json& c) { c["query_pre_attn_scalar"] = 16; }},
      {"another RoPE base", [](nlohmann::json& c) { c["rope_parameters"]["rope_theta"] = 1000.0; }},
  };
  for (const auto& [what, change] : mistakes) {
    const TensorCheck check = verify_with(change);
    EXPECT_FALSE(check.passed) << what;
    EXPECT_GT(check.max_relative, 1e-2) << what;
  }
  EXPECT_TRUE(verify_with({}).passed);
}

TEST_F(VerifyGemma2, PositionsChooseRows) {
  OwnedTensors whole = read_tensors(kTinyExpected);
  const auto rows_of = [](const OwnedTensor& from, std::int64_t outer, const std::vector<std::int32_t>& rows) {
    OwnedTensor out = from;
    const std::size_t at_axis = outer > 1 ? 1 : 0;
    const auto all = static_cast<std::size_t>(from.shape[at_axis]);
    const std::size_t row = from.bytes.size() / (static_cast<std::size_t>(outer) * all);
    out.shape[at_axis] = static_cast<std::int64_t>(rows.size());
    out.bytes.clear();
    for (std::size_t block = 0; block < static_cast<std::size_t>(outer); ++block) {
      for (const std::int32_t r : rows) {
        const auto begin =
            from.bytes.begin() + static_cast<std::ptrdiff_t>((block * all + static_cast<std::size_t>(r)) * row);
        out.bytes.insert(out.bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(row));
      }
    }
    return out;
  };
  const auto int_tensor = [](const std::vector<std::int32_t>& values) {
    OwnedTensor out{"I32", {static_cast<std::int64_t>(values.size())}, std::vector<std::byte>(values.size() * 4)};
    std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
    return out;
  };
  const std::vector<std::int32_t> rows{74, 0, 20};
  const std::vector<std::int32_t> attention_rows{3, 50};
  OwnedTensors some{{"input_ids", whole["input_ids"]},
                    {"positions", int_tensor(rows)},
                    {"attention_positions", int_tensor(attention_rows)},
                    {"hidden.2", rows_of(whole["hidden.2"], 1, rows)},
                    {"logits", rows_of(whole["logits"], 1, rows)},
                    {"attention.1", rows_of(whole["attention.1"], 4, attention_rows)}};
  TempFolder folder;
  const auto file = folder.path() / "some.safetensors";
  write_tensors(file, some);
  const auto checks = verify_gemma2(kTiny, file);
  ASSERT_EQ(checks.size(), 3U);
  for (const TensorCheck& check : checks) EXPECT_TRUE(check.passed) << check.name << " " << check.max_relative;

  // Without attention_positions, `positions` speaks for attention too.
  some.erase("attention_positions");
  some["attention.1"] = rows_of(whole["attention.1"], 4, rows);
  write_tensors(file, some);
  for (const TensorCheck& check : verify_gemma2(kTiny, file)) EXPECT_TRUE(check.passed) << check.name;
}

TEST_F(VerifyGemma2, OneWrongNumberFails) {
  OwnedTensors tensors = read_tensors(kTinyExpected);
  for (const float wrong : {99.0F, NAN}) {
    OwnedTensors changed = tensors;
    std::memcpy(changed["hidden.1"].bytes.data() + 40, &wrong, 4);
    TempFolder folder;
    write_tensors(folder.path() / "expected.safetensors", changed);
    const auto checks = by_name(verify_gemma2(kTiny, folder.path() / "expected.safetensors"));
    EXPECT_FALSE(checks.at("hidden.1").passed);
    EXPECT_TRUE(checks.at("hidden.2").passed);
  }
}

TEST_F(VerifyGemma2, FilesThatDoNotFitAreRefused) {
  const OwnedTensors tensors = read_tensors(kTinyExpected);
  const auto refusal = [&](const std::function<void(OwnedTensors&)>& change) {
    OwnedTensors changed = tensors;
    change(changed);
    TempFolder folder;
    write_tensors(folder.path() / "expected.safetensors", changed);
    return error_of([&] { (void)verify_gemma2(kTiny, folder.path() / "expected.safetensors"); });
  };
  const auto has = [](const std::string& sentence, const std::string& part) {
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  };
  has(refusal([](OwnedTensors& t) { t.erase("input_ids"); }), "input_ids");
  has(refusal([](OwnedTensors& t) { t = {{"input_ids", t["input_ids"]}}; }), "nothing to compare");
  has(refusal([](OwnedTensors& t) { t["hidden.4"] = t["hidden.3"]; }), "hidden.4");
  has(refusal([](OwnedTensors& t) { t["attention.3"] = t["attention.2"]; }), "attention.3");
  has(refusal([](OwnedTensors& t) { std::swap(t["logits"].shape[0], t["logits"].shape[1]); }), "logits");
  has(refusal([](OwnedTensors& t) {
        t["positions"] = {"I32", {1}, std::vector<std::byte>(4, std::byte{1})};
      }),
      "positions");
  has(error_of([&] { (void)verify_gemma2(kTiny, kTiny / "none.safetensors"); }), "none.safetensors");
}

}  // namespace
}  // namespace dhsa::test
