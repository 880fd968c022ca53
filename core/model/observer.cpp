#include "core/model/observer.h"

#include <array>

namespace dhsa {

const char* name_of(Stage stage) noexcept {
  static constexpr std::array<const char*, kStageCount> kNames{"embed",  "qkv", "plan",  "attend",
                                                               "output", "mlp", "logits"};
  const auto index = static_cast<std::size_t>(stage);
  return index < kNames.size() ? kNames[index] : "unknown";
}

}  // namespace dhsa
