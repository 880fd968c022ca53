// Which sources a program was built from; the library is made anew at every build where that has changed.
#pragma once

namespace dhsa {

[[nodiscard]] const char* built_revision() noexcept;  // from git; empty: not known

}  // namespace dhsa
