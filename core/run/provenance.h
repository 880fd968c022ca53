// What reports and sidecars of figures say about where their numbers come from: program, machine, model, document.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/model/gemma2.h"
#include "core/text/document.h"

namespace dhsa {

// Told once by main(), before anything is reported. `revision` of the sources, from git; may be empty.
void set_program(std::string version, std::string revision);
[[nodiscard]] const std::string& program_version() noexcept;
[[nodiscard]] const std::string& program_revision() noexcept;

[[nodiscard]] std::string processor_name();
// Program, version, build, processor and threads.
[[nodiscard]] nlohmann::json machine_json();
[[nodiscard]] nlohmann::json model_json(const std::filesystem::path& folder, const Gemma2& model);
[[nodiscard]] nlohmann::json document_json(const Document& document);
[[nodiscard]] const char* name_of(DType type) noexcept;
[[nodiscard]] const char* name_of(Device device) noexcept;

}  // namespace dhsa
