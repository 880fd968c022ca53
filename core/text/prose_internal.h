// The grammar of generated prose.
#pragma once

#include <map>
#include <string_view>
#include <vector>

namespace dhsa::prose {

// Each rule's alternatives; {name} in them stands for another rule, or for hero, she, her, herself, home and matter,
// which a paragraph keeps. Lower case; sentences begin large once they are whole.
[[nodiscard]] const std::map<std::string_view, std::vector<std::string_view>>& grammar();

}  // namespace dhsa::prose
