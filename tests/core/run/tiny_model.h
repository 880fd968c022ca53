// A model of three layers (local, global, local), texts for it and methods that leave something out of them.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/model/gemma2.h"
#include "core/run/run.h"

namespace dhsa {

inline std::shared_ptr<const Gemma2> tiny_model() {
  static const auto model = Gemma2::load(std::string(DHSA_FIXTURES) + "/gemma2_tiny_a");
  return model;
}

inline std::vector<std::int32_t> random_ids(std::int64_t tokens) {
  std::mt19937 random(3);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  for (auto& id : ids)
    id = static_cast<std::int32_t>(3 + random() % static_cast<unsigned>(tiny_model()->config().vocab_size - 3));
  return ids;
}

inline MethodChoice small_choice(Method method) {
  MethodChoice made{name_of(method), {}};
  made.parameters.method = method;
  made.parameters.budget = 24;
  made.parameters.sink_tokens = 4;
  made.parameters.local_tokens = 8;
  made.parameters.query_block = 16;
  return made;
}

}  // namespace dhsa
