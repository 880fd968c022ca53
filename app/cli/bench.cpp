// dhsa bench: attention and whole prefills, every method alternated with dense in one process.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/table.h"
#include "core/attention/cpu/peak.h"
#include "core/base/parallel.h"
#include "core/experiments/bench.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa::cli {
namespace {

struct BenchChoice {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  std::string shapes;
  std::string lengths;
  std::string methods;
  std::string models;
  std::int64_t window = 0;
  std::int64_t naive_longest = 8192;
  std::int64_t layers = 2;
  std::int64_t repeats = 5;
  std::int64_t warm_up = 1;
  bool kernels = false;
};

std::vector<std::int64_t> lengths_of(const std::string& text) {
  std::vector<std::int64_t> lengths;
  for (const std::string& part : split_list(text)) {
    const bool digits = std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || part.size() > 7 || std::stoll(part) < 1) {
      throw Error(fmt::format("--lengths: \"{}\" is not a number of tokens from 1 to 9999999.", part));
    }
    lengths.push_back(std::stoll(part));
  }
  if (lengths.empty()) throw Error("--lengths names no length.");
  return lengths;
}

void check_rounds(const BenchChoice& options) {
  if (options.repeats < 1 || options.repeats > 1000 || options.warm_up < 0 || options.warm_up > 1000) {
    throw Error("--repeats must be from 1 to 1000 and --warm-up from 0 to 1000.");
  }
}

BenchOptions bench_options(const BenchChoice& options, ProgressLine& progress) {
  BenchOptions bench;
  bench.repeats = static_cast<int>(options.repeats);
  bench.warm_up = static_cast<int>(options.warm_up);
  bench.cancel = &interrupt();
  bench.progress = [&](const std::string& what, double fraction) { progress.show(what, fraction); };
  return bench;
}

std::string range(const Spread& spread, double scale, int places) {
  const std::string median = fmt::format("{:.{}f}", spread.median * scale, places);
  if (spread.lowest == spread.highest) return median;
  return fmt::format("{} ({:.{}f}-{:.{}f})", median, spread.lowest * scale, places, spread.highest * scale, places);
}

void print_machine(const BenchChoice& options) {
  fmt::print("Machine  {}, {} threads, kernels {}\n", processor_name(), compute_threads(),
             fmt::join(machine_json()["cpu_kernels"].get<std::vector<std::string>>(), ", "));
  fmt::print("Build    dhsa {}, {}, compiler {}\n", program_version(), machine_json()["build"].get<std::string>(),
             __VERSION__);
  fmt::print("Method   {} rounds after {} to warm up, all methods in turn; median (lowest-highest)\n", options.repeats,
             options.warm_up);
}

// A ratio far below one keeps its digits.
std::string ratio(const Spread& spread) { return range(spread, 1, spread.median < 0.1 ? 4 : 2) + " x"; }

int kernels(const BenchChoice& options) {
  const std::vector<std::int64_t> lengths = lengths_of(options.lengths);
  std::vector<AttentionShape> shapes;
  for (const std::string& name : split_list(options.shapes)) shapes.push_back(attention_shape(name));
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const BenchOptions bench = bench_options(options, progress);
  print_machine(options);
  nlohmann::json results = nlohmann::json::array();
  for (const AttentionShape& shape : shapes) {
    for (const std::int64_t tokens : lengths) {
      progress.restart();
      const std::vector<KernelTiming> timings = bench_kernels(shape, tokens, options.window, bench);
      progress.clear();
      fmt::print("\nDense attention of one {} layer, {} tokens: {} query and {} key/value heads of {}\n",
                 options.window > 0 ? fmt::format("local (window {})", options.window) : std::string("global"),
                 count(tokens), shape.heads, shape.kv_heads, shape.dim);
      Table table({"kernel", "type", "ms", "over best float32", "GFLOP/s", "peak", "of peak", "error", "largest error"},
                  {0, 1});
      for (const KernelTiming& timing : timings) {
        table.add({dhsa::name_of(timing.kernel), name_of(timing.type), range(timing.seconds, 1e3, 1),
                   ratio(timing.speed_up), fmt::format("{:.0f}", timing.gflops), fmt::format("{:.0f}", timing.peak),
                   percent(timing.gflops / timing.peak, 0), fmt::format("{:.1e}", timing.error),
                   fmt::format("{:.1e}", timing.largest)});
        nlohmann::json entry = timing;
        entry["shape"] = shape.name;
        entry["tokens"] = tokens;
        results.push_back(std::move(entry));
      }
      fmt::print("{}", table.text(2, 130));
      std::fflush(stdout);
    }
  }
  fmt::print(
      "\n  peak: measured with the kernel's own multiply-adds. error: norm of the difference from double precision "
      "over "
      "the\n  norm of the result, first 1,024 rows, inputs that bfloat16 holds.\n");
  json.write({{"kind", "dhsa-bench-kernels"},
              {"machine", machine_json()},
              {"window", options.window},
              {"repeats", options.repeats},
              {"warm_up", options.warm_up},
              {"results", results}});
  return 0;
}

int attention(const BenchChoice& options) {
  check_rounds(options);
  if (options.window < 0) throw Error("--window cannot be negative.");
  if (options.kernels) {
    if (options.model.options().device == Device::kCuda) throw Error("--kernels compares kernels of the CPU.");
    options.model.use_threads();
    return kernels(options);
  }
  options.model.use_threads();
  const DType type = options.model.options().compute;
  const std::vector<std::int64_t> lengths = lengths_of(options.lengths);
  const std::vector<MethodChoice> choices = options.parameters.choices(options.methods);
  options.parameters.say_unread(choices);
  std::vector<AttentionShape> shapes;
  for (const std::string& name : split_list(options.shapes)) shapes.push_back(attention_shape(name));
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const BenchOptions bench = bench_options(options, progress);
  const bool cuda = options.model.options().device == Device::kCuda;
  const double peak = cuda ? cuda_matmul_gflops() : cpu::measured_peak_gflops(best_cpu_kernel(type), compute_threads());
  print_machine(options);
  fmt::print("Kernel   {}, {}; measured peak {:.0f} GFLOP/s\n", cuda ? "CUDA" : dhsa::name_of(best_cpu_kernel(type)),
             name_of(type), peak);

  nlohmann::json results = nlohmann::json::array();
  for (const AttentionShape& shape : shapes) {
    for (const std::int64_t tokens : lengths) {
      progress.restart();
      const bool naive = tokens <= options.naive_longest && type == DType::kFloat32;
      const std::vector<AttentionTiming> timings =
          cuda ? bench_attention_cuda(shape, tokens, options.window, choices, bench)
               : bench_attention(shape, tokens, options.window, type, choices, naive, bench);
      progress.clear();
      fmt::print("\nAttention of one {} layer, {} tokens: {} query and {} key/value heads of {}\n",
                 options.window > 0 ? fmt::format("local (window {})", options.window) : std::string("global"),
                 count(tokens), shape.heads, shape.kv_heads, shape.dim);
      Table table(
          {"method", "total ms", "plan ms", "attend ms", "over dense", "density", "GFLOP/s", "of peak", "memory"});
      for (const AttentionTiming& timing : timings) {
        table.add({timing.method, range(timing.total, 1e3, 1), fmt::format("{:.1f}", 1e3 * timing.planning.median),
                   fmt::format("{:.1f}", 1e3 * timing.attention.median), ratio(timing.speed_up),
                   percent(timing.density), fmt::format("{:.0f}", timing.gflops), percent(timing.gflops / peak, 0),
                   bytes(timing.extra_bytes)});
        nlohmann::json entry = timing;
        entry["shape"] = shape.name;
        entry["tokens"] = tokens;
        entry["of_peak"] = timing.gflops / peak;
        results.push_back(std::move(entry));
      }
      fmt::print("{}", table.text(2, 130));
      std::fflush(stdout);
    }
  }
  fmt::print(
      "\n  GFLOP/s: products over the kept pairs, by the attention time alone. memory: most on top of q, k, v and "
      "output.\n");
  json.write({{"kind", "dhsa-bench-attention"},
              {"machine", machine_json()},
              {"dtype", name_of(type)},
              {"kernel", dhsa::name_of(best_cpu_kernel(type))},
              {"peak_gflops", peak},
              {"window", options.window},
              {"repeats", options.repeats},
              {"warm_up", options.warm_up},
              {"parameters", options.parameters.read(0)},
              {"results", results}});
  return 0;
}

// A synthesised model lives in a folder that goes away with this.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "dhsa-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error(fmt::format("No folder can be made in {}.", name));
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

int prefill(const BenchChoice& options) {
  check_rounds(options);
  options.model.use_threads();
  const ModelOptions compute = options.model.options();
  const std::vector<std::int64_t> lengths = lengths_of(options.lengths);
  const std::vector<MethodChoice> choices = options.parameters.choices(options.methods);
  options.parameters.say_unread(choices);
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const BenchOptions bench = bench_options(options, progress);
  const double peak = compute.device == Device::kCuda
                          ? cuda_matmul_gflops()
                          : cpu::measured_peak_gflops(best_cpu_kernel(compute.compute), compute_threads());
  print_machine(options);
  fmt::print("Type     {}; measured peak {:.0f} GFLOP/s\n", name_of(compute.compute), peak);

  nlohmann::json results = nlohmann::json::array();
  std::vector<std::string> models = split_list(options.models);
  if (!options.model.folder.empty()) models = {options.model.folder};
  for (const std::string& name : models) {
    std::optional<TemporaryFolder> made;
    std::filesystem::path folder = name;
    std::string label = name;
    if (options.model.folder.empty()) {
      // The demo model's own weights, and random ones of the other shapes: speed does not depend on their values.
      static_cast<void>(attention_shape(name));
      if (name == "demo") {
        folder = options.model.path();
      } else {
        made.emplace();
        folder = made->path();
        SynthOptions synth;
        synth.shape = name;
        synth.layers = options.layers;
        progress.show(fmt::format("writing a {} model of {} layers", name, options.layers), -1);
        write_synthetic_model(synth, folder, &interrupt());
        label = fmt::format("{}, {} layers, random weights", name, options.layers);
      }
    }
    progress.show("loading the model", -1);
    const std::shared_ptr<const Gemma2> model = Gemma2::load(folder, compute, &interrupt());
    made.reset();  // the weights were read
    for (const std::int64_t tokens : lengths) {
      progress.restart();
      const std::vector<PrefillTiming> timings =
          bench_prefill(*model, tokens, choices, open_predictor(choices, folder), bench);
      progress.clear();
      fmt::print("\nPrefill of {} tokens, {}, {} on {}\n", count(tokens), label, name_of(compute.compute),
                 compute.device == Device::kCpu ? "CPU" : "CUDA");
      MeasureTable table({"method", "seconds", "over dense"}, {"attend s", "linear s", "GFLOP/s", "of peak"});
      for (const PrefillTiming& timing : timings) {
        const auto stage = [&](Stage s) { return timing.stage_seconds[static_cast<std::size_t>(s)]; };
        table.add({{},
                   {timing.method, range(timing.seconds, 1, timing.seconds.median < 1 ? 3 : 2), ratio(timing.speed_up)},
                   timing.values,
                   {fmt::format("{:.2f}", stage(Stage::kAttend)),
                    fmt::format("{:.2f}", stage(Stage::kQkv) + stage(Stage::kOutput) + stage(Stage::kMlp)),
                    fmt::format("{:.0f}", timing.gflops), percent(timing.gflops / peak, 0)}});
        nlohmann::json entry = timing;
        entry["model"] = label;
        entry["of_peak"] = timing.gflops / peak;
        entry["tokens"] = tokens;
        results.push_back(std::move(entry));
      }
      fmt::print("{}", table.text(130));
      std::fflush(stdout);
    }
  }
  fmt::print(
      "\n  Shares in %. GFLOP/s: linear layers and kept pairs, by the whole time. Memory: highest of all rounds.\n");
  json.write({{"kind", "dhsa-bench-prefill"},
              {"machine", machine_json()},
              {"dtype", name_of(compute.compute)},
              {"peak_gflops", peak},
              {"repeats", options.repeats},
              {"warm_up", options.warm_up},
              {"parameters", options.parameters.read(0)},
              {"results", results}});
  return 0;
}

void add_common(CLI::App& command, BenchChoice& options) {
  command.add_option("--methods", options.methods, method_names_help("Methods to time beside dense", options.methods))
      ->type_name("NAMES")
      ->group("Benchmark");
  command.add_option("--lengths", options.lengths, fmt::format("Tokens [default {}]", options.lengths))
      ->type_name("LIST")
      ->group("Benchmark");
  command.add_option("--repeats", options.repeats, fmt::format("Timed rounds [default {}]", options.repeats))
      ->type_name("N")
      ->group("Benchmark");
  command.add_option("--warm-up", options.warm_up, fmt::format("Rounds before them [default {}]", options.warm_up))
      ->type_name("N")
      ->group("Benchmark");
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* bench = app.add_subcommand("bench", "Time attention or whole prefills of all methods against dense");
  bench->require_subcommand(1);

  auto one = std::make_shared<BenchChoice>();
  one->methods = std::string(kUsualMethods) + ",vertical-slash,token-topk";
  one->lengths = "2048,4096,8192";
  one->shapes = "demo,gemma2-2b";
  CLI::App* layer = bench->add_subcommand("attention", "One layer: planning and attention, on random q, k, v");
  layer->add_option("--shapes", one->shapes, "demo, gemma2-2b, gemma2-9b, gemma2-27b [default demo,gemma2-2b]")
      ->type_name("NAMES")
      ->group("Benchmark");
  layer->add_option("--window", one->window, "Time a local layer of this window [tokens; default 0: a global layer]")
      ->type_name("N")
      ->group("Benchmark");
  layer
      ->add_option("--naive-longest", one->naive_longest,
                   "Also time libtorch's own operations with whole score matrices up to this length, in float32 "
                   "[tokens; default 8192]")
      ->type_name("N")
      ->group("Benchmark");
  layer
      ->add_flag("--kernels", one->kernels,
                 "Time dense attention by every kernel of this CPU instead, with its error against double precision")
      ->group("Benchmark");
  add_common(*layer, *one);
  one->model.add_to(*layer, false);
  one->parameters.add_to(*layer, {"method"});
  one->output.add_to(*layer);
  layer->callback([one, &action] { action = [one] { return attention(*one); }; });

  auto whole = std::make_shared<BenchChoice>();
  whole->methods = std::string(kUsualMethods) + ",vertical-slash";
  whole->lengths = "2048,8192";
  whole->models = "demo,gemma2-2b";
  whole->repeats = 3;
  CLI::App* model = bench->add_subcommand("prefill", "Whole prefills of random tokens");
  model
      ->add_option("--models", whole->models,
                   "demo, or shapes with random weights: gemma2-2b, gemma2-9b, gemma2-27b [default demo,gemma2-2b]")
      ->type_name("NAMES")
      ->group("Benchmark");
  model->add_option("--layers", whole->layers, "Layers of the models with random weights [default 2]")
      ->type_name("N")
      ->group("Benchmark");
  add_common(*model, *whole);
  whole->model.add_to(*model);
  whole->parameters.add_to(*model, {"method"});
  whole->output.add_to(*model);
  model->callback([whole, &action] { action = [whole] { return prefill(*whole); }; });
}

}  // namespace dhsa::cli
