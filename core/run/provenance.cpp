#include "core/run/provenance.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/attention/attend.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

struct Program {
  std::string version = "unknown";
  std::string revision;
};

Program& program() {
  static Program one;
  return one;
}

}  // namespace

void set_program(std::string version, std::string revision) { program() = {std::move(version), std::move(revision)}; }
const std::string& program_version() noexcept { return program().version; }
const std::string& program_revision() noexcept { return program().revision; }

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

nlohmann::json machine_json() {
#ifdef __OPTIMIZE__
  const char* build = "optimised";
#else
  const char* build = "not optimised";
#endif
  std::vector<std::string> kernels;
  for (const CpuKernel kernel : available_cpu_kernels()) kernels.emplace_back(name_of(kernel));
  return {{"program", "dhsa"},
          {"version", program_version()},
          {"build", build},
          {"compiler", fmt::format("gcc-compatible {}", __VERSION__)},
          {"processor", processor_name()},
          {"threads", compute_threads()},
          {"cpu_kernels", kernels}};
}

nlohmann::json model_json(const std::filesystem::path& folder, const Gemma2& model) {
  const Gemma2Config& config = model.config();
  return {{"folder", folder.string()},
          {"fingerprint", model.fingerprint()},
          {"weights", config.parameters()},
          {"weight_bytes", model.weight_bytes()},
          {"layers", config.layers},
          {"query_heads", config.heads},
          {"key_value_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"sliding_window", config.sliding_window},
          {"context", config.context},
          {"dtype", name_of(model.options().compute)},
          {"device", name_of(model.options().device)}};
}

nlohmann::json document_json(const Document& document) {
  return {{"name", document.name},
          {"bytes", document.text.size()},
          {"tokens", document.tokens()},
          {"whole_tokens", document.whole_tokens},
          {"question_tokens", document.question_tokens},
          {"notes", document.notes}};
}

const char* name_of(Device device) noexcept { return device == Device::kCpu ? "cpu" : "cuda"; }

const char* name_of(DType type) noexcept { return type == DType::kFloat32 ? "float32" : "bfloat16"; }

}  // namespace dhsa
