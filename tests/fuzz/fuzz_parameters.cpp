// What says which method runs: names of presets with changes behind them, parameters as files hold them.
#include "core/sparsity/parameters.h"
#include "core/text/document.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text = dhsa::fuzz::text_of(data, size);
  dhsa::replace_invalid_utf8(text);  // as files and windows give them
  const auto holds = [](const dhsa::SparsityParameters& parameters) {
    const nlohmann::json written = parameters;
    dhsa::fuzz::require(nlohmann::json(written.get<dhsa::SparsityParameters>()) == written,
                        "what is written reads back equal");
  };
  dhsa::fuzz::parses_or_refuses([&] {
    const dhsa::SparsityParameters parameters = dhsa::named_parameters(text);
    dhsa::check_parameters(parameters);
    holds(parameters);
    for (const auto& [key, value] : dhsa::changes_in(text)) (void)dhsa::is_read(parameters, key);
  });
  dhsa::fuzz::parses_or_refuses([&] {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return;
    const auto parameters = json.get<dhsa::SparsityParameters>();
    dhsa::check_parameters(parameters);
    holds(parameters);
  });
  return 0;
}
