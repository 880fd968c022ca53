#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa {
namespace {

template <class Change>
Preset preset(const char* name, const char* label, const char* help, const Change& change) {
  Preset made{name, label, help, {}};
  change(made.parameters);
  return made;
}

// What belongs to the document and to the model stays.
void adopt(SparsityParameters& parameters, SparsityParameters other) {
  other.instruction_tokens = parameters.instruction_tokens;
  other.predictor = parameters.predictor;
  parameters = std::move(other);
}

std::vector<Preset> make_presets() {
  using P = SparsityParameters;
  std::vector<Preset> list;
  list.push_back(
      preset("best", "DHSA, best",
             "Of 32-token chunks worth two budgets, the tokens that every sixteenth row attends to most; the "
             "last 64 rows are asked one by one about every key, so that what the answer looks up is kept.",
             [](P& p) {
               p.query_block = 128;
               p.boundaries = BoundarySource::kFixed;
               p.chunk_length = 32;
               p.chunks_per_block = 4;
               p.scores = ChunkScoring::kMoments;
               p.score_rows = 16;
               p.score_last_rows = 64;
               p.candidates = 2;
               p.mask_heads = MaskHeads::kPerHead;
               p.sink_tokens = 16;
             }));
  list.push_back(preset("reference-niah", "Published: needle",
                        "The published setting for the needle test: budget 1024, query blocks of 128 rows.",
                        [](P&) {}));
  list.push_back(preset("longbench", "Published: LongBench",
                        "The published setting for LongBench: budget 2048, query blocks of 128 rows.",
                        [](P& p) { p.budget = 2048; }));
  list.push_back(preset("latency", "Published: latency",
                        "The published setting for speed: budget 2048, query blocks of 256 rows, boundaries and masks "
                        "shared by the layers.",
                        [](P& p) {
                          p.budget = 2048;
                          p.query_block = 256;
                          p.share_boundaries = true;
                          p.share_masks = true;
                        }));
  list.push_back(preset("block-sparse", "Block sparse",
                        "Fixed blocks of 128 keys ranked by their mean, the most recent block always kept.", [](P& p) {
                          p.method = Method::kBlockSparse;
                          p.sink_tokens = 0;
                        }));
  list.push_back(preset("window-sinks", "Window + sinks", "The most recent keys and the first four.", [](P& p) {
    p.method = Method::kWindowSinks;
    p.sink_tokens = 4;
  }));
  list.push_back(preset("vertical-slash", "Vertical-slash",
                        "Columns and diagonals that the last 64 queries attend to most.", [](P& p) {
                          p.method = Method::kVerticalSlash;
                          p.sink_tokens = 16;
                          p.local_tokens = 128;
                        }));
  list.push_back(preset("oracle", "Token top-k oracle",
                        "The keys that dense attention gives the most mass, row by row: the best any mask of this "
                        "budget can do.",
                        [](P& p) {
                          p.method = Method::kTokenTopK;
                          p.mask_heads = MaskHeads::kPerHead;
                        }));
  list.push_back(preset("dense", "Dense", "Every key a query may see.", [](P& p) { p.method = Method::kDense; }));
  return list;
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> list = make_presets();
  return list;
}

void apply_preset(SparsityParameters& parameters, const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return adopt(parameters, preset.parameters);
    names.push_back(preset.name);
  }
  refuse_key("preset", name, names);
}

void switch_method(SparsityParameters& parameters, Method method) {
  if (parameters.method == method) return;
  // Of the methods with several presets, that with the defaults: DHSA as published.
  SparsityParameters own;
  for (auto preset = presets().begin(); own.method != method && preset != presets().end(); ++preset) {
    if (preset->parameters.method == method) own = preset->parameters;
  }
  own.method = method;  // also without a preset
  adopt(parameters, own);
}

std::pair<std::string, std::string> assignment(const std::string& text, const std::string& where) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(fmt::format("{}: \"{}\" has no value; write parameter=value, as in budget=512.", excerpt(where),
                            excerpt(text)));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// Where the next "+parameter=" begins, or the end: a value may hold a "+", as 1e+5 and paths do.
static std::size_t next_change(const std::string& name, std::size_t from) {
  for (std::size_t plus = name.find('+', from); plus != std::string::npos; plus = name.find('+', plus + 1)) {
    std::size_t at = plus + 1;
    while (at < name.size() && (name[at] == '-' || std::islower(static_cast<unsigned char>(name[at])) != 0)) ++at;
    if (at == name.size() || name[at] == '=' || name.find('=', from) > plus) return plus;
  }
  return name.size();
}

ParameterChanges changes_in(const std::string& name) {
  ParameterChanges changes;
  for (std::size_t plus = name.find('+'); plus < name.size();) {
    const std::size_t end = next_change(name, plus + 1);
    const auto [key, value] = assignment(name.substr(plus + 1, end - plus - 1), name);
    if (key == "method") throw Error(fmt::format("{}: name the method first, as in {}+budget=512.", name, value));
    changes.emplace_back(key, value);
    plus = end;
  }
  return changes;
}

SparsityParameters named_parameters(const std::string& name, const SparsityParameters& base,
                                    const ParameterChanges& changes) {
  const std::string first = name.substr(0, name.find('+'));
  SparsityParameters parameters = base;
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  if (std::find(names.begin(), names.end(), first) != names.end()) {
    apply_preset(parameters, first);
  } else {
    const OptionInfo& methods = parameter_table().at("method");
    const auto at = std::find(methods.choices.begin(), methods.choices.end(), first);
    if (at == methods.choices.end()) {
      for (const std::string& method : methods.choices) {
        if (std::find(names.begin(), names.end(), method) == names.end()) names.push_back(method);
      }
      refuse_key("method or preset", first, names);
    }
    switch_method(parameters, static_cast<Method>(at - methods.choices.begin()));
  }
  for (const auto& [key, value] : changes) set_parameter(parameters, key, value);
  for (const auto& [key, value] : changes_in(name)) set_parameter(parameters, key, value);
  return parameters;
}

std::string parameters_name(const SparsityParameters& parameters) {
  const auto means = [&](const std::string& name) { return named_parameters(name, {}); };
  SparsityParameters plain = parameters;
  plain.instruction_tokens = 0;
  plain.predictor.clear();
  std::string name = name_of(parameters.method);
  if (means(name) == plain) return name;
  for (const Preset& preset : presets()) {
    if (means(preset.name) == plain) return preset.name;
  }
  const SparsityParameters own = means(name);
  for (const Option<SparsityParameters>& option : parameter_table()) {
    const OptionValue value = option.get(plain);
    if (value != option.get(own)) name += fmt::format("+{}={}", option.key, plain_text(value));
  }
  return name;
}

}  // namespace dhsa
