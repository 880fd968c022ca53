// dhsa export: figures for papers and the data behind them, without a display.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <optional>

#include "app/cli/common.h"
#include "app/cli/export_figures.h"
#include "app/cli/table.h"
#include "core/base/resources.h"
#include "core/figures/sidecar.h"
#include "core/files/sha256.h"

namespace dhsa::cli {
namespace {

struct ExportOptions {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  std::string panels;
  TextOptions text;
  std::string session;
  std::string ran_with;
  std::string layers;
  std::string heads;
  std::vector<std::string> files;
  std::string out;
  OptionFlags looks;
};

FigureSpec spec_of(const ExportOptions& options) {
  FigureSpec spec;
  options.looks.put(figure_options(), spec);
  for (const std::string& panel : split_list(options.panels)) spec.panels.push_back(parse_panel(panel));
  check_figure(spec);
  return spec;
}

// "3", "0,2,5", "0-7" or "all"; empty: none named.
std::vector<int> indices_of(const char* option, const std::string& text, std::int64_t count) {
  std::vector<int> indices;
  if (text == "all") {
    for (int i = 0; i < count; ++i) indices.push_back(i);
    return indices;
  }
  for (const std::string& part : split_list(text)) {
    const std::size_t dash = part.find('-');
    const auto number = [&](std::string_view digits) {
      int value = -1;
      const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size() || value < 0 ||
          value >= count) {
        throw Error(fmt::format("{}: \"{}\" is not allowed; name some of 0 to {}, or all.", option, part, count - 1));
      }
      return value;
    };
    const int first = number(std::string_view(part).substr(0, dash));
    const int last = dash == std::string::npos ? first : number(std::string_view(part).substr(dash + 1));
    if (last < first) throw Error(fmt::format("{}: \"{}\" runs backwards.", option, part));
    for (int i = first; i <= last; ++i) indices.push_back(i);
  }
  return indices;
}

// Panels without a layer or head of their own, once for each that was named.
std::vector<FigurePanel> spread(const std::vector<FigurePanel>& panels, const std::vector<int>& layers,
                                const std::vector<int>& heads) {
  std::vector<FigurePanel> all;
  for (const FigurePanel& panel : panels) {
    const FigureKindInfo& info = figure_kind(panel.what);
    const bool free_layer = panel.layer < 0 && info.from == FigureKindInfo::From::kLayer && !layers.empty();
    const bool free_head = panel.head < 0 && info.per_head && !heads.empty();
    for (const int layer : free_layer ? layers : std::vector<int>{panel.layer}) {
      for (const int head : free_head ? heads : std::vector<int>{panel.head}) all.push_back({panel.what, layer, head});
    }
  }
  return all;
}

std::string replaced(std::string text, const std::string& what, int value) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos;)
    text.replace(at, what.size(), std::to_string(value));
  return text;
}

struct Job {
  std::filesystem::path path;
  FigureSpec spec;
};

// One figure, or where the name holds {layer} or {head} one for each.
std::vector<Job> jobs_of(const std::string& out, const FigureSpec& spec, const std::vector<int>& layers,
                         const std::vector<int>& heads) {
  const bool by_layer = out.find("{layer}") != std::string::npos;
  const bool by_head = out.find("{head}") != std::string::npos;
  if (by_layer && layers.empty()) throw Error("--out names {layer}, so --layer has to say which, for example all.");
  if (by_head && heads.empty()) throw Error("--out names {head}, so --head has to say which, for example all.");
  std::vector<Job> jobs;
  for (const int layer : by_layer ? layers : std::vector<int>{-1}) {
    for (const int head : by_head ? heads : std::vector<int>{-1}) {
      Job job{replaced(replaced(out, "{layer}", layer), "{head}", head), spec};
      job.spec.panels =
          spread(spec.panels, by_layer ? std::vector<int>{layer} : layers, by_head ? std::vector<int>{head} : heads);
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

// Nothing where data alone are wanted.
std::optional<FigurePainter> painter_of(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  for (char& letter : suffix) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (suffix == ".pdf" || suffix == ".svg" || suffix == ".png") return painter_for(suffix);
  if (suffix == ".npz" || suffix == ".csv") return std::nullopt;
  throw Error(fmt::format("--out: \"{}\" ends in none of .pdf, .svg, .png (figures), .npz (arrays) and .csv (tables).",
                          path.string()));
}

// What there is to export: the model's run, or files alone.
struct Source {
  std::optional<OpenModel> loaded;
  std::optional<Document> document;
  FigureOrigin origin;
  FigureMaterial material;
};

void load(const ExportOptions& options, Source& source, ProgressLine& progress, std::optional<SessionChoice>& session) {
  FigureOrigin& origin = source.origin;
  origin.text = options.text.path;
  origin.model = options.model.folder;
  ModelOptionsText model = options.model;
  TextOptions text = options.text;
  if (session) {
    origin.session = options.session;
    text.path = session->text;
    text.reading = session->reading;
    model.folder = session->model;
    // As the window computed, unless the command says otherwise; without its device in the same type.
    if (model.dtype == "auto") model.dtype = session->dtype;
    if (session->device == "cuda" && cuda_available()) model.device = session->device;
  }
  origin.device = model.device;
  origin.dtype = model.dtype == "float32" && model.device == "cpu" ? "auto" : model.dtype;
  origin.reading = text.reading;
  source.loaded = load_model(model, progress);
  const OpenModel& loaded = *source.loaded;
  if (session && !session->fingerprint.empty() && session->fingerprint != loaded.model->fingerprint()) {
    throw Error(fmt::format(
        "The model in {} is not the one that the session was saved with: its weights differ; save the session again.",
        loaded.folder.string()));
  }
  progress.show("reading the text", -1);
  std::string raw;
  if (session && !session->pasted.empty()) {
    raw = session->pasted;
    source.document = make_document("pasted text", raw, *loaded.tokenizer,
                                    document_options(text.reading, loaded.folder, loaded.model->config().context));
  } else {
    source.document = load_document(text, loaded);
    raw = read_text(text.path.empty() ? resource_path("documents/sample.txt") : std::filesystem::path(text.path));
  }
  const std::string hash = sha256(raw);
  if (session && !session->text_sha256.empty() && session->text_sha256 != hash) {
    throw Error(fmt::format("The text {} has changed since the session was saved; save the session again.",
                            source.document->name));
  }
  if (session) {
    origin.defaults = session->parameters;
    origin.parameters = options.parameters.read_onto(session->parameters);
    origin.ran_with = session->ran_with == session->parameters ? origin.parameters : session->ran_with;
  } else {
    origin.parameters = options.parameters.read(source.document->question_tokens);
    origin.ran_with = origin.parameters;
  }
  if (!options.ran_with.empty()) {
    origin.ran_with = origin.parameters;
    apply_differences(origin.ran_with, options.ran_with);
    check_parameters(origin.ran_with);
  }
  describe_sources(origin, loaded.folder, *loaded.model, *source.document, source.document->name, hash);
}

int export_all(const ExportOptions& options) {
  const FigureSpec wanted = spec_of(options);
  if (options.out.empty()) throw Error("Say where to write with --out, for example --out mask.pdf.");
  if (options.text.path == "-") {
    throw Error(
        "A text from standard input cannot be named in the command that makes the figure again; save it first.");
  }
  const std::optional<FigurePainter> painter = painter_of(options.out);
  std::optional<SessionChoice> session;
  if (!options.session.empty()) {
    if (!options.text.path.empty() || !options.model.folder.empty()) {
      throw Error("--session says which text and model to take; leave TEXT and --model out.");
    }
    session = read_session(options.session);
  } else {
    static_cast<void>(options.parameters.read(0));
  }
  ProgressLine progress(options.output.style());
  const FigureProgress tell = [&](const std::string& what, double fraction) { progress.show(what, fraction); };

  Source source;
  FigureOrigin& origin = source.origin;
  origin.files = options.files;
  origin.threads = options.model.threads;
  for (const std::string& file : options.files) source.material.files.push_back(read_figure_file(file));

  std::vector<Job> jobs;
  if (needs_model(wanted)) {
    load(options, source, progress, session);
    const Gemma2Config& config = source.loaded->model->config();
    const auto layers = indices_of("--layer", options.layers, config.layers);
    const auto heads = indices_of("--head", options.heads, config.heads);
    jobs = jobs_of(options.out, wanted, layers, heads);
    FigureSpec everything = wanted;
    everything.panels.clear();
    for (Job& job : jobs) {
      if (session && layers.empty()) job.spec.panels = spread(job.spec.panels, {session->layer}, {});
      resolve_panels(job.spec, config);
      check_figure(job.spec);
      everything.panels.insert(everything.panels.end(), job.spec.panels.begin(), job.spec.panels.end());
    }
    std::vector<FigureFile> files = std::move(source.material.files);
    source.material =
        prefill_for_figure(*source.loaded->model, *source.document, origin.parameters, origin.ran_with,
                           open_predictor(std::vector<MethodChoice>{{"", origin.parameters}, {"", origin.ran_with}},
                                          source.loaded->folder),
                           everything, tell, &interrupt());
    source.material.files = std::move(files);
  } else {
    jobs = jobs_of(options.out, wanted, {}, {});
  }

  for (std::size_t j = 0; j < jobs.size(); ++j) {
    Job& job = jobs[j];
    interrupt().check();
    const auto of_file = [&](const std::string& what, double fraction) {
      progress.show(what, (static_cast<double>(j) + fraction) / static_cast<double>(jobs.size()));
    };
    const FigureFiles files = make_figure_files(origin, job.spec, source.material, job.path,
                                                painter ? &*painter : nullptr, of_file, &interrupt());
    if (!painter && (job.path.extension() == ".npz" ? files.arrays.empty() : files.csv.empty())) {
      throw Error(fmt::format("--out: there {} for {}; take the suffix {}.",
                              job.path.extension() == ".npz" ? "are no arrays" : "is no table", options.panels,
                              job.path.extension() == ".npz" ? ".csv" : ".npz"));
    }
    write_figure_files(files);
    progress.clear();
    fmt::print("{}", job.path.string());
    if (painter) {
      fmt::print("  {:.3g} x {:.3g} in", files.page.at("width_inches").get<double>(),
                 files.page.at("height_inches").get<double>());
    }
    fmt::print(", beside it {}\n", painter ? "data and description" : "its description");
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Figures for papers, masks and scores as data");
  std::string kinds;
  for (const FigureKindInfo& info : figure_kinds()) kinds += fmt::format("\n  {:<14}{}", info.key, info.help);
  command->footer(fmt::format(
      "WHAT is one or several of these, separated by commas; @LAYER or @LAYER.HEAD picks one:{}\n"
      "The suffix of --out decides: .pdf, .svg and .png draw and put data (.npz, .csv) and a description (.json) "
      "beside;"
      "\n.npz and .csv write data alone. The description holds the command that makes the same bytes again.\n"
      "Examples: dhsa export mask --layer 3 --out mask.pdf\n"
      "          dhsa export dense,sparse --layer 3 --venue icml --columns one --out attention.pdf\n"
      "          dhsa export mask --layer all --out 'masks/layer-{{layer}}.npz'\n"
      "          dhsa export latency --data-file bench.json --out latency.pdf",
      kinds));
  command->add_option("WHAT", options->panels, "What to export, listed below")
      ->type_name("")
      ->required()
      ->group("What");
  options->text.add_to(*command);
  add_output(*command, "-o,--out", options->out,
             "File to write; {layer} and {head} in its name make one file for each");
  command->add_option("--layer", options->layers, "Layers: 3, 0-7 or all [default: the first global one]")
      ->type_name("LIST")
      ->group("What");
  command
      ->add_option("--head", options->heads,
                   "Query heads: 0, 0-3 or all [default: mean of all; of masks the first list]")
      ->type_name("LIST")
      ->group("What");
  command->add_option("--session", options->session, "Text, model, parameters and layer of a saved session")
      ->type_name("FILE")
      ->group("What");
  command
      ->add_option("--data-file", options->files,
                   "Result of dhsa bench, sweep or needle (--json) or the results.json of longbench to draw; may be "
                   "given several times")
      ->type_name("FILE")
      ->group("What");
  command
      ->add_option("--ran-with", options->ran_with,
                   "What-if: prefill with these changes to the parameters, KEY=VALUE,..., and plan without them")
      ->type_name("LIST")
      ->group("What");
  options->looks.add_to(*command, figure_options(), FigureSpec{}, "Figure: ");
  options->model.add_to(*command);
  options->parameters.add_to(*command);
  command
      ->add_flag("--progress", options->output.progress,
                 "Progress as plain lines on standard error, also where that is no terminal")
      ->group("Output");
  command->add_flag("--quiet", options->output.quiet, "No progress")->group("Output");
  command->callback([options, &action] { action = [options] { return export_all(*options); }; });
}

}  // namespace dhsa::cli
