// One kind of table for every setting of the program: the parameters of a method, the looks of a figure, what an
// experiment varies. Options of the command line, JSON, panels and reports are made from it.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace dhsa {

// Of a choice: its name.
using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

// What there is to say about an option, whatever struct holds it.
struct OptionInfo {
  enum class Kind : std::uint8_t { kFlag, kCount, kReal, kChoice, kText, kFile };
  std::string key = {};    // "chunks-per-block": the option of the command line and the key in JSON
  std::string label = {};  // "Chunks per block": the caption in the window
  std::string group = {};  // "Selection": the heading in help and in the window
  std::string unit = {};   // "keys", "tokens", ""
  std::string help = {};   // one sentence: what it does
  double minimum = 0;      // of kCount and kReal
  double maximum = 0;
  std::vector<std::string> choices = {};        // of kChoice
  std::vector<std::string> choice_labels = {};  // as shown to a person; none: the choices themselves
  double slider_end = 0;                        // where a slider ends that is meant to be handy; 0: at the maximum
  std::vector<double> usual = {};               // values that one tries first
  std::string when = {};                        // when it is read at all, for help: "dhsa"; empty: always
  Kind kind = Kind::kText;                      // by the member, but that kFile is said

  [[nodiscard]] bool numeric() const noexcept { return kind == Kind::kCount || kind == Kind::kReal; }
};
inline constexpr double kLengthOfText = -1;  // slider_end

// When an option is read: of the whole struct, in code and in words.
template <class Settings>
struct ReadWhen {
  const char* words = "";
  bool (*holds)(const Settings&) = nullptr;  // null: always
};

// The value as the option's kind has it; a number or a flag may come as text. Throws Error, naming key, value and what
// fits.
[[nodiscard]] OptionValue fitting(const OptionInfo& info, const OptionValue& value);
// The same of a value in JSON, whose type must be right.
[[nodiscard]] OptionValue fitting_json(const OptionInfo& info, const nlohmann::json& value);
[[nodiscard]] nlohmann::json json_of(const OptionValue& value);
[[nodiscard]] std::string to_text(const OptionInfo& info, const OptionValue& value);  // "12 keys", "Window + sinks"
[[nodiscard]] std::string plain_text(const OptionValue& value);  // "0.5", "key-shift", "true": reads back the same
// What it does, with choices, unit, range, default and when it is read: for the command line.
[[nodiscard]] std::string help_of(const OptionInfo& info, const OptionValue& standard);
[[noreturn]] void refuse_key(const std::string& what, const std::string& key, const std::vector<std::string>& keys);

template <class Settings>
class Option : public OptionInfo {
 public:
  template <class Value>
  Option(OptionInfo info, Value Settings::*member, ReadWhen<Settings> read = {})
      : OptionInfo(std::move(info)), read_(read.holds) {
    when = read.words;
    if constexpr (std::is_enum_v<Value>) {
      kind = Kind::kChoice;
      get_ = [member, names = choices](const Settings& s) { return names[static_cast<std::size_t>(s.*member)]; };
      put_ = [member, names = choices](Settings& s, const OptionValue& value) {
        std::size_t at = 0;
        while (names[at] != std::get<std::string>(value)) ++at;
        s.*member = static_cast<Value>(at);
      };
    } else {
      using Held = std::conditional_t<std::is_same_v<Value, std::uint64_t>, std::int64_t, Value>;
      if constexpr (std::is_same_v<Held, bool>) kind = Kind::kFlag;
      if constexpr (std::is_same_v<Held, std::int64_t>) kind = Kind::kCount;
      if constexpr (std::is_same_v<Held, double>) kind = Kind::kReal;
      if (kind == Kind::kText && !choices.empty()) kind = Kind::kChoice;
      get_ = [member](const Settings& s) { return OptionValue(static_cast<Held>(s.*member)); };
      put_ = [member](Settings& s, const OptionValue& value) { s.*member = static_cast<Value>(std::get<Held>(value)); };
    }
  }

  [[nodiscard]] OptionValue get(const Settings& settings) const { return get_(settings); }
  void set(Settings& settings, const OptionValue& value) const { put_(settings, fitting(*this, value)); }
  // Whether it makes a difference beside the other values.
  [[nodiscard]] bool is_read(const Settings& settings) const { return read_ == nullptr || read_(settings); }

 private:
  std::function<OptionValue(const Settings&)> get_;
  std::function<void(Settings&, const OptionValue&)> put_;  // a value that fits
  bool (*read_)(const Settings&);
};

template <class Settings>
class OptionTable {
 public:
  // `what` one of them is called in errors: "parameter".
  OptionTable(std::string what, std::vector<Option<Settings>> options)
      : what_(std::move(what)), options_(std::move(options)) {}

  [[nodiscard]] auto begin() const noexcept { return options_.begin(); }
  [[nodiscard]] auto end() const noexcept { return options_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return options_.size(); }
  [[nodiscard]] const Option<Settings>* find(const std::string& key) const noexcept {
    for (const Option<Settings>& option : options_) {
      if (option.key == key) return &option;
    }
    return nullptr;
  }
  [[nodiscard]] const Option<Settings>& at(const std::string& key) const {  // throws Error
    if (const Option<Settings>* option = find(key)) return *option;
    std::vector<std::string> keys;
    for (const Option<Settings>& option : options_) keys.push_back(option.key);
    refuse_key(what_, key, keys);
  }
  void check_ranges(const Settings& settings) const {  // throws Error
    for (const Option<Settings>& option : options_) static_cast<void>(fitting(option, option.get(settings)));
  }
  // Options of the command line that lead from `defaults` to `settings`; `always` names one that is said in any case.
  [[nodiscard]] std::vector<std::string> arguments(const Settings& settings, const Settings& defaults,
                                                   const std::string& always = {}) const {
    std::vector<std::string> said;
    for (const Option<Settings>& option : options_) {
      const OptionValue value = option.get(settings);
      if (value == option.get(defaults) && option.key != always) continue;
      const auto* flag = std::get_if<bool>(&value);
      said.push_back((flag != nullptr && !*flag ? "--no-" : "--") + option.key);
      if (flag == nullptr) said.push_back(plain_text(value));
    }
    return said;
  }
  // Into a JSON object. Words of a key are joined by `joint`.
  template <class Json>
  void write(Json& json, const Settings& settings, char joint = '-') const {
    for (const Option<Settings>& option : options_) json[joined(option.key, joint)] = json_of(option.get(settings));
  }
  // One member of a JSON object; false where the table has no such key. Throws Error on a value that does not fit.
  template <class Json>
  [[nodiscard]] bool read(Settings& settings, const std::string& key, const Json& value, char joint = '-') const {
    for (const Option<Settings>& option : options_) {
      if (joined(option.key, joint) != key) continue;
      option.set(settings, fitting_json(option, value));
      return true;
    }
    return false;
  }

 private:
  [[nodiscard]] static std::string joined(std::string key, char joint) {
    for (char& c : key) {
      if (c == '-') c = joint;
    }
    return key;
  }

  std::string what_;
  std::vector<Option<Settings>> options_;
};

}  // namespace dhsa
