#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa {
namespace {

std::string fault_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Parameters, EveryEntryIsDescribedOnceAndItsDefaultFits) {
  std::set<std::string> keys;
  const SparsityParameters defaults;
  for (const auto& info : parameter_table()) {
    EXPECT_TRUE(keys.insert(info.key).second) << info.key;
    EXPECT_FALSE(info.label.empty() || info.group.empty()) << info.key;
    EXPECT_TRUE(info.help.ends_with('.')) << info.key;
    EXPECT_EQ(info.choices.size(), info.choice_labels.size()) << info.key;
    SparsityParameters copy;
    EXPECT_NO_THROW(set_parameter(copy, info.key, get_parameter(defaults, info.key)));
    EXPECT_EQ(copy, defaults) << info.key;
  }
}

TEST(Parameters, EveryValueReachesItsMemberAndComesBackThroughJson) {
  SparsityParameters changed;
  for (const auto& info : parameter_table()) {
    const SparsityParameters before = changed;
    switch (info.kind) {
      case OptionInfo::Kind::kFlag:
        set_parameter(changed, info.key, !std::get<bool>(get_parameter(changed, info.key)));
        break;
      case OptionInfo::Kind::kCount:
        set_parameter(changed, info.key, std::get<std::int64_t>(get_parameter(changed, info.key)) + 1);
        break;
      case OptionInfo::Kind::kReal:
        set_parameter(changed, info.key, std::get<double>(get_parameter(changed, info.key)) + 0.015625);
        break;
      case OptionInfo::Kind::kChoice: {
        const auto now = std::get<std::string>(get_parameter(changed, info.key));
        set_parameter(changed, info.key, now == info.choices.front() ? info.choices.back() : info.choices.front());
        break;
      }
      case OptionInfo::Kind::kText:
      case OptionInfo::Kind::kFile:
        set_parameter(changed, info.key, std::string("some file"));
        break;
    }
    EXPECT_NE(changed, before) << info.key;
  }
  const nlohmann::json json = changed;
  EXPECT_EQ(json.size(), parameter_table().size());
  EXPECT_EQ(nlohmann::json::parse(json.dump()).get<SparsityParameters>(), changed);
}

TEST(Parameters, ValuesThatDoNotFitAreRefusedByName) {
  SparsityParameters p;
  const auto fault = [&](const char* key, OptionValue value) {
    const SparsityParameters before = p;
    std::string said = fault_of([&] { set_parameter(p, key, value); });
    EXPECT_EQ(p, before);
    return said;
  };
  EXPECT_EQ(fault("budget", std::int64_t{0}), "budget cannot be 0; give a whole number from 1 to 16777216 keys.");
  EXPECT_NE(fault("budget", 1.5).find("budget cannot be 1.5"), std::string::npos);
  EXPECT_NE(fault("budget", std::string("many")).find("\"many\""), std::string::npos);
  EXPECT_NE(fault("mass", std::nan("")).find("mass"), std::string::npos);
  EXPECT_NE(fault("pooling", std::string("max")).find("sqrt-mean, mean"), std::string::npos);
  EXPECT_NE(fault("share-masks", std::int64_t{3}).find("true or false"), std::string::npos);
  EXPECT_NE(fault("colour", std::int64_t{3}).find("no parameter \"colour\""), std::string::npos);
  set_parameter(p, "budget", std::string("512"));
  set_parameter(p, "mass", std::string("0.5"));
  set_parameter(p, "share-masks", std::string("on"));
  EXPECT_EQ(p.budget, 512);
  EXPECT_EQ(p.mass, 0.5);
  EXPECT_TRUE(p.share_masks);
}

TEST(Parameters, JsonRefusesUnknownKeysAndWrongTypes) {
  const auto fault = [](const char* text) {
    return fault_of([&] { static_cast<void>(nlohmann::json::parse(text).get<SparsityParameters>()); });
  };
  EXPECT_NE(fault(R"({"bugdet": 5})").find("bugdet"), std::string::npos);
  EXPECT_NE(fault(R"({"budget": "5"})").find("budget"), std::string::npos);
  EXPECT_NE(fault(R"({"budget": null})").find("budget"), std::string::npos);
  EXPECT_NE(fault(R"({"budget": 18446744073709551615})").find("budget"), std::string::npos);
  EXPECT_NE(fault(R"([1])").find("object"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse("{}").get<SparsityParameters>(), SparsityParameters());
}

TEST(Parameters, CombinationsAreChecked) {
  SparsityParameters p;
  EXPECT_NO_THROW(check_parameters(p));
  p.budget = 200;
  EXPECT_NE(fault_of([&] { check_parameters(p); }).find("256 sink and local tokens"), std::string::npos);
  p.budget = 0;
  EXPECT_NE(fault_of([&] { check_parameters(p); }).find("budget cannot be 0"), std::string::npos);
  p = {};
  p.selection = Selection::kThreshold;
  p.min_budget = 5000;
  EXPECT_NE(fault_of([&] { check_parameters(p); }).find("min-budget"), std::string::npos);
  p = {};
  p.method = Method::kWindowSinks;
  p.budget = p.sink_tokens;
  EXPECT_NE(fault_of([&] { check_parameters(p); }).find("sink-tokens"), std::string::npos);

  SparsityParameters thinned;
  thinned.candidates = 0.5;
  EXPECT_NE(fault_of([&] { check_parameters(thinned); }).find("candidates (0.5)"), std::string::npos);
  thinned.candidates = 1;
  EXPECT_NO_THROW(check_parameters(thinned));
  thinned.candidates = 0;
  EXPECT_NO_THROW(check_parameters(thinned));
}

TEST(Parameters, PresetsAreValidAndKeepWhatBelongsToTheDocument) {
  SparsityParameters p;
  p.instruction_tokens = 17;
  p.predictor = "mine";
  std::set<std::string> names;
  for (const Preset& preset : presets()) {
    EXPECT_TRUE(names.insert(preset.name).second);
    EXPECT_NO_THROW(check_parameters(preset.parameters)) << preset.name;
    apply_preset(p, preset.name);
    EXPECT_EQ(p.instruction_tokens, 17);
    EXPECT_EQ(p.predictor, "mine");
    EXPECT_EQ(p.method, preset.parameters.method);
  }
  for (const char* name : {"reference-niah", "longbench", "latency", "best", "block-sparse", "window-sinks", "dense"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  apply_preset(p, "latency");
  EXPECT_EQ(p.query_block, 256);
  EXPECT_TRUE(p.share_boundaries && p.share_masks);
  EXPECT_NE(fault_of([&] { apply_preset(p, "fast"); }).find("\"fast\""), std::string::npos);
}

// One name, one meaning, wherever a method is named.
TEST(Parameters, ANameStandsForAPresetElseForAMethodWithTheValuesOfItsPreset) {
  SparsityParameters base;
  base.instruction_tokens = 9;
  base.predictor = "mine";
  const auto named = [&](const std::string& name, const ParameterChanges& changes = {}) {
    const SparsityParameters made = named_parameters(name, base, changes);
    EXPECT_EQ(made.instruction_tokens, 9) << name;
    EXPECT_EQ(made.predictor, "mine") << name;
    return made;
  };
  EXPECT_EQ(named("window-sinks").sink_tokens, 4);
  EXPECT_EQ(named("window-sinks+budget=1024").sink_tokens, 4);
  EXPECT_EQ(named("vertical-slash").sink_tokens, 16);
  EXPECT_EQ(named("vertical-slash+budget=512").sink_tokens, 16);
  EXPECT_EQ(named("vertical-slash+budget=512").budget, 512);
  EXPECT_EQ(named("token-topk"), named("oracle"));  // the only preset of that method
  EXPECT_EQ(named("token-topk").mask_heads, MaskHeads::kPerHead);
  EXPECT_EQ(named("dhsa"), named("reference-niah"));
  for (const Preset& preset : presets()) {
    SparsityParameters applied = base;
    apply_preset(applied, preset.name);
    EXPECT_EQ(named(preset.name), applied) << preset.name;
  }
  // A method keeps what it is given to begin with; a preset does not.
  apply_preset(base, "latency");
  EXPECT_EQ(named("dhsa"), base);
  EXPECT_EQ(named("best").query_block, 128);
  EXPECT_EQ(named("window-sinks").query_block, 128);
  // What holds for all names comes before what one says of itself.
  EXPECT_EQ(named("best", {{"budget", std::string("256")}}).budget, 256);
  EXPECT_EQ(named("best+budget=512+sink-tokens=8", {{"budget", std::int64_t{256}}}).budget, 512);
  EXPECT_EQ(named("best+budget=512+sink-tokens=8").sink_tokens, 8);
  const SparsityParameters path = named_parameters("dhsa+predictor=/a+b/c+d.safetensors+budget=7");
  EXPECT_EQ(path.predictor, "/a+b/c+d.safetensors");
  EXPECT_EQ(path.budget, 7);
  for (const char* wrong : {"nobody", "", "+budget=5", "best+budget", "best+", "best+=5", "best+colour=red",
                            "best+budget=many", "best++budget=5", "dhsa+method=window-sinks"}) {
    EXPECT_NE(fault_of([&] { static_cast<void>(named_parameters(wrong)); }), "") << wrong;
  }
}

TEST(Parameters, AreSpelledAsANameThatMeansThem) {
  SparsityParameters changed;
  changed.budget = 512;
  changed.score_last_rows = 8;
  changed.share_masks = true;
  EXPECT_EQ(parameters_name({}), "dhsa");
  EXPECT_EQ(parameters_name(named_parameters("latency")), "latency");
  EXPECT_EQ(parameters_name(named_parameters("window-sinks+budget=512")), "window-sinks+budget=512");
  for (SparsityParameters parameters : {changed, named_parameters("best+sink-tokens=3"), named_parameters("oracle")}) {
    parameters.instruction_tokens = 9;
    parameters.predictor = "mine";
    EXPECT_EQ(parameters_name(parameters).find("mine"), std::string::npos);
    // Onto the same text and model.
    SparsityParameters base;
    base.instruction_tokens = 9;
    base.predictor = "mine";
    EXPECT_EQ(named_parameters(parameters_name(parameters), base), parameters) << parameters_name(parameters);
  }
}

TEST(Parameters, AnotherMethodBeginsWithItsPresetAndTheSameKeepsItsValues) {
  SparsityParameters p;
  p.budget = 77;
  p.instruction_tokens = 3;
  switch_method(p, Method::kDhsa);
  EXPECT_EQ(p.budget, 77);
  switch_method(p, Method::kVerticalSlash);
  EXPECT_EQ(p.sink_tokens, 16);
  EXPECT_EQ(p.budget, 1024);
  EXPECT_EQ(p.instruction_tokens, 3);
  for (const Method method : all_methods()) {
    switch_method(p, method);
    EXPECT_EQ(p.method, method);
    EXPECT_NO_THROW(check_parameters(p));
  }
}

TEST(Parameters, TextIsForPeople) {
  EXPECT_EQ(to_text(parameter_table().at("budget"), std::int64_t{12}), "12 keys");
  EXPECT_EQ(to_text(parameter_table().at("method"), std::string("window-sinks")), "Window + sinks");
  EXPECT_EQ(to_text(parameter_table().at("share-masks"), true), "on");
}

}  // namespace
}  // namespace dhsa
