// dhsa info: what a model folder or GGUF file holds, and the memory a prefill would take.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "core/files/gguf.h"
#include "core/files/safetensors.h"
#include "core/model/folder.h"
#include "core/run/open_model.h"

namespace dhsa::cli {
namespace {

struct InfoOptions {
  ModelOptionsText model;
  OutputOptions output;
  bool tensors = false;
};

struct Shard {
  std::int64_t tensors = 0;
  std::int64_t bytes = 0;
  std::map<std::string, std::int64_t> types;  // dtype -> tensors
};

std::string type_list(const std::map<std::string, std::int64_t>& types) {
  std::string text;
  for (const auto& [type, number] : types) text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", number, type);
  return text;
}

std::string pattern(const Gemma2Config& config) {
  const auto local = std::count(config.local_layer.begin(), config.local_layer.end(), true);
  return fmt::format("{} ({} local with a window of {} tokens, {} global)", config.layers, local, config.sliding_window,
                     config.layers - local);
}

int info(const InfoOptions& options) {
  options.model.use_threads();
  const ModelOptions compute = options.model.options();
  JsonFile json(options.output.json);
  const std::filesystem::path folder = options.model.path();
  const Gemma2Config config = read_model_config(folder);
  const TensorFolder tensors = TensorFolder::open(folder);
  std::map<std::string, Shard> shards;
  std::int64_t all_bytes = 0;
  nlohmann::json list = nlohmann::json::array();
  Table names({"tensor", "type", "shape", "bytes", "file"}, {0, 1, 2, 4});
  for (const std::string& name : tensors.names()) {
    const TensorFile& file = tensors.file_of(name);
    const TensorInfo& tensor = file.info(name);
    const auto size = static_cast<std::int64_t>(tensor.end - tensor.begin);
    Shard& shard = shards[file.path().filename().string()];
    ++shard.tensors;
    shard.bytes += size;
    ++shard.types[tensor.dtype];
    all_bytes += size;
    const std::string shape = fmt::format("[{}]", fmt::join(tensor.shape, ", "));
    names.add({name, tensor.dtype, shape, count(size), file.path().filename().string()});
    list.push_back({{"name", name},
                    {"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"bytes", size},
                    {"file", file.path().filename().string()}});
  }

  std::string tokenizer = "tokenizer.model is missing: texts cannot be read with this model";
  nlohmann::json pieces = nullptr;
  if (is_gguf(folder) || std::filesystem::exists(folder / "tokenizer.model") ||
      std::filesystem::exists(folder / "tokenizer.json")) {
    const std::shared_ptr<const Tokenizer> loaded = Tokenizer::of_model(folder, config.vocab_size);
    check_vocabulary(config, *loaded);
    tokenizer = fmt::format("SentencePiece, {} pieces, begins a text with {} ({})", count(loaded->size()),
                            loaded->piece(loaded->bos()), loaded->bos());
    pieces = loaded->size();
  }

  fmt::print("{}\n", folder.string());
  fmt::print("  layers        {}\n", pattern(config));
  fmt::print("  heads         {} query, {} key/value, {} dimensions each\n", config.heads, config.kv_heads,
             config.head_dim);
  fmt::print("  sizes         hidden {}, intermediate {}, vocabulary {}\n", count(config.hidden_size),
             count(config.intermediate_size), count(config.vocab_size));
  fmt::print("  attention     scale {:g}^-1/2, softcap {:g}; logits softcap {:g}\n", config.query_pre_attn_scalar,
             config.attention_softcap, config.final_softcap);
  fmt::print("  position      RoPE theta {:g}, context {} tokens\n", config.rope_theta, count(config.context));
  fmt::print("  stop tokens   {}\n", fmt::join(config.stop_tokens, ", "));
  fmt::print("  tokenizer     {}\n", tokenizer);
  const bool chat = is_instruction_tuned(folder);
  fmt::print("  kind          {}\n",
             chat ? "instruction-tuned: a text is given as one turn of the user" : "base model");
  fmt::print("  weights       {} in {} tensors, {}\n\n", count(config.parameters()), tensors.names().size(),
             bytes(all_bytes));
  Table files({"file", "tensors", "bytes", "types"}, {0, 3});
  nlohmann::json shard_list = nlohmann::json::array();
  for (const auto& [name, shard] : shards) {
    files.add({name, std::to_string(shard.tensors), count(shard.bytes), type_list(shard.types)});
    shard_list.push_back({{"file", name}, {"tensors", shard.tensors}, {"bytes", shard.bytes}, {"types", shard.types}});
  }
  fmt::print("{}", files.text());
  if (options.tensors) fmt::print("\n{}", names.text(2, 200));

  // Loading checks every tensor and value; only then the memory figures mean something.
  ProgressLine progress(options.output.style());
  progress.show("loading and checking the weights", -1);
  const std::shared_ptr<const Gemma2> model = Gemma2::load(folder, compute, &interrupt());
  progress.clear();
  fmt::print("\n  All weights are finite and of the right shape. Fingerprint {}\n", model->fingerprint());
  const std::vector<std::string> notes = weight_notes(folder);
  for (const std::string& note : notes) fmt::print("  Note: {}\n", wrap(note, kLineWidth, 2));
  fmt::print("\n  Memory of a prefill, {} on {}, key/value cache included\n", name_of(compute.compute),
             compute.device == Device::kCpu ? "CPU" : "CUDA");
  Table memory({"tokens", "beside the weights", "with the weights", ""}, {3});
  nlohmann::json estimates = nlohmann::json::array();
  PrefillOptions prefill;
  prefill.keep_cache = true;
  PrefillEstimate estimate;
  for (std::int64_t tokens = 1024; tokens <= 32768; tokens *= 2) {
    estimate = model->estimate(tokens, prefill);
    std::string remark;
    if (estimate.activations > estimate.available) remark = "does not fit now";
    if (tokens > config.context) remark += remark.empty() ? "beyond the context" : ", beyond the context";
    memory.add(
        {count(tokens), bytes(estimate.activations), bytes(estimate.activations + model->weight_bytes()), remark});
    estimates.push_back({{"tokens", tokens}, {"activation_bytes", estimate.activations}});
  }
  fmt::print("{}", memory.text());
  fmt::print("  {} are free now; the longest text that fits has {} tokens.\n", bytes(estimate.available),
             count(estimate.longest));
  json.write({{"kind", "dhsa-info"},
              {"machine", machine_json()},
              {"folder", folder.string()},
              {"fingerprint", model->fingerprint()},
              {"config", to_hugging_face(config, "bfloat16")},
              {"weights", config.parameters()},
              {"bytes", all_bytes},
              {"weight_bytes_in_memory", model->weight_bytes()},
              {"files", shard_list},
              {"tensors", list},
              {"tokenizer_pieces", pieces},
              {"stop_tokens", config.stop_tokens},
              {"instruction_tuned", chat},
              {"notes", notes},
              {"dtype", name_of(compute.compute)},
              {"prefill_memory", estimates},
              {"available_bytes", estimate.available},
              {"longest_tokens", estimate.longest}});
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "Say what a model folder holds and what memory it needs");
  command->add_option("DIR", options->model.folder, "Model folder or GGUF file [default: the demo model]")
      ->type_name("")
      ->group("Model");
  command->add_flag("--tensors", options->tensors, "List every tensor")->group("Model");
  options->model.add_to(*command, false);
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return info(*options); }; });
}

}  // namespace dhsa::cli
