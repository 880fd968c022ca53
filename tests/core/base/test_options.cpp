#include "core/base/options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

enum class Colour : std::uint8_t { kRed, kBlue };

struct Settings {
  bool on = true;
  std::int64_t whole_number = 3;
  std::uint64_t seed = 1;
  double real = 0.5;
  Colour colour = Colour::kRed;
  std::string shape = "round";
  std::string name;
  bool operator==(const Settings&) const = default;
};

const OptionTable<Settings>& table() {
  using S = Settings;
  static const OptionTable<Settings> made(
      "setting", {{{.key = "on", .label = "On", .help = "Whether."}, &S::on},
                  {{.key = "whole-number", .unit = "keys", .help = "A number.", .minimum = 1, .maximum = 10},
                   &S::whole_number,
                   {"red ones", [](const S& s) { return s.colour == Colour::kRed; }}},
                  {{.key = "seed", .help = "A seed.", .maximum = 9.2e18}, &S::seed},
                  {{.key = "real", .help = "A real.", .maximum = 1}, &S::real},
                  {{.key = "colour", .choices = {"red", "blue"}, .choice_labels = {"Red", "Blue"}}, &S::colour},
                  {{.key = "shape", .choices = {"round", "square"}}, &S::shape},
                  {{.key = "name"}, &S::name}});
  return made;
}

TEST(Options, ValuesReachTheirMembersWhateverTheirType) {
  Settings s;
  table().at("on").set(s, std::string("off"));
  table().at("whole-number").set(s, 7.0);
  table().at("seed").set(s, std::string("9000000000000000000"));
  table().at("real").set(s, std::string("0.25"));
  table().at("colour").set(s, std::string("blue"));
  table().at("shape").set(s, std::string("square"));
  table().at("name").set(s, std::string("any"));
  const Settings expected{false, 7, 9000000000000000000U, 0.25, Colour::kBlue, "square", "any"};
  EXPECT_EQ(s, expected);
  for (const auto& option : table()) {
    Settings copy;
    option.set(copy, option.get(s));
    EXPECT_EQ(option.get(copy), option.get(s)) << option.key;
  }
}

TEST(Options, AValueThatDoesNotFitLeavesAllAsItWasAndIsNamed) {
  const auto fault = [](const char* key, const OptionValue& value) {
    Settings s;
    std::string said = error_of([&] { table().at(key).set(s, value); });
    EXPECT_EQ(s, Settings());
    return said;
  };
  EXPECT_EQ(fault("whole-number", std::int64_t{11}),
            "whole-number cannot be 11; give a whole number from 1 to 10 keys.");
  EXPECT_EQ(fault("whole-number", std::string("3 ")),
            "whole-number cannot be \"3 \"; give a whole number from 1 to 10 keys.");
  EXPECT_EQ(fault("seed", std::int64_t{-1}), "seed cannot be -1; give a whole number from 0.");
  EXPECT_EQ(fault("real", std::string("nan")), "real cannot be \"nan\"; give a number from 0 to 1.");
  EXPECT_EQ(fault("real", true), "real cannot be true; give a number from 0 to 1.");
  EXPECT_EQ(fault("on", std::string("maybe")), "on cannot be \"maybe\"; give true or false.");
  EXPECT_EQ(fault("colour", std::string("green")), "colour cannot be \"green\"; give one of red, blue.");
  EXPECT_EQ(fault("shape", std::int64_t{1}), "shape cannot be 1; give one of round, square.");
  EXPECT_EQ(error_of([] { static_cast<void>(table().at("size")); }),
            "There is no setting \"size\"; there are on, whole-number, seed, real, colour, shape, name.");
}

TEST(Options, JsonIsStrictInTypesAndKeepsItsKeys) {
  Settings s{false, 7, 5, 0.25, Colour::kBlue, "square", "any"};
  nlohmann::json json = nlohmann::json::object();
  table().write(json, s, '_');
  EXPECT_EQ(json["whole_number"], 7);
  EXPECT_EQ(json["colour"], "blue");
  Settings back;
  for (const auto& [key, value] : json.items()) EXPECT_TRUE(table().read(back, key, value, '_')) << key;
  EXPECT_EQ(back, s);
  EXPECT_FALSE(table().read(back, "size", 3));
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    error_of([&] { static_cast<void>(table().read(back, key, value)); });
    EXPECT_EQ(back, s) << key;
  };
  refused("whole-number", "7");
  refused("whole-number", true);
  refused("whole-number", 7.5);
  refused("whole-number", 18446744073709551615U);
  refused("real", nullptr);
  refused("on", 1);
  refused("on", "on");
  refused("colour", 1);
  refused("colour", "green");
  refused("name", nlohmann::json::array());
}

TEST(Options, ArgumentsSayWhatDiffersAndHelpSaysTheRest) {
  Settings s;
  EXPECT_TRUE(table().arguments(s, {}).empty());
  s.on = false;
  s.real = 0.1;
  EXPECT_EQ(table().arguments(s, {}, "seed"), (std::vector<std::string>{"--no-on", "--seed", "1", "--real", "0.1"}));
  const auto help = [](const char* key) { return help_of(table().at(key), table().at(key).get({})); };
  EXPECT_EQ(help("whole-number"), "A number [keys; 1 to 10; default 3; for red ones]");
  EXPECT_EQ(help("seed"), "A seed [default 1]");
  EXPECT_EQ(help("on"), "Whether [on; --no-on leaves it out]");
  EXPECT_TRUE(table().at("whole-number").is_read(s));
  s.colour = Colour::kBlue;
  EXPECT_FALSE(table().at("whole-number").is_read(s));
  EXPECT_EQ(to_text(table().at("colour"), std::string("blue")), "Blue");
  EXPECT_EQ(to_text(table().at("shape"), std::string("square")), "square");
}

}  // namespace
}  // namespace dhsa
