// What the targets of results files share: what is read can be written, read again and gone on from.
#pragma once

#include "core/run/run.h"
#include "tests/fuzz/target.h"

namespace dhsa::fuzz {

// `holds` throws where results that were read break a promise of their kind.
template <class Parse, class Holds>
void results_read_back(const std::uint8_t* data, std::size_t size, const Parse& parse, const Holds& holds) {
  parses_or_refuses([&] {
    const auto results = parse(text_of(data, size), "file");
    holds(results);
    const nlohmann::json written = results;
    try {
      const auto again = parse(written.dump(), "written");
      require(nlohmann::json(again) == written, "what is written reads back equal");
      require(difference(again, results).empty(), "it can be gone on from");
    } catch (const Error& error) {
      require(false, std::string("what is written reads back: ") + error.what());
    }
    (void)to_csv(results);
  });
}

}  // namespace dhsa::fuzz
