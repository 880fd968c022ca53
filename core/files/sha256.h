// SHA-256 (FIPS 180-4): which text and which tokenizer a file was made from.
#pragma once

#include <string>
#include <string_view>

namespace dhsa {

[[nodiscard]] std::string sha256(std::string_view bytes);  // 64 hexadecimal digits

}  // namespace dhsa
