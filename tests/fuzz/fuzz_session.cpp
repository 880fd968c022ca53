#include "tests/fuzz/target.h"
#include "ui/state/session_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dhsa::fuzz::parses_or_refuses([&] {
    const auto session = dhsa::SessionFile::parse(dhsa::fuzz::text_of(data, size), QStringLiteral("/none/file"));
    dhsa::fuzz::require(session.matrix.is_object() && session.file.is_object(), "sections are objects");
    // What a valid document holds is UTF-8, hence it can be written again.
    (void)session.file.dump();
    (void)nlohmann::json(session.parameters).dump();
  });
  return 0;
}
