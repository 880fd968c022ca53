// dhsa verify tokenizer: a model's token ids of texts against stored ones of Hugging Face's library.
#include "app/cli/verify_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/files/gguf.h"
#include "core/model/folder.h"
#include "core/verify/tokenizer.h"

namespace dhsa::cli {
namespace {

struct TokenizerOptions {
  ModelOptionsText model;
  OutputOptions output;
  std::string cases;
};

int verify_ids(const TokenizerOptions& options) {
  JsonFile json(options.output.json);
  const std::filesystem::path folder = options.model.path();
  const std::vector<TokenizerCase> cases = read_tokenizer_cases(options.cases);
  // A tokenizer may come alone.
  const bool bare = !is_gguf(folder) && !std::filesystem::exists(folder / "config.json");
  const std::shared_ptr<const Tokenizer> tokenizer =
      Tokenizer::of_model(folder, bare ? 0 : read_model_config(folder).vocab_size);
  const std::vector<TokenizerCheck> checks = verify_tokenizer(*tokenizer, cases);
  nlohmann::json list = nlohmann::json::array();
  for (const TokenizerCheck& check : checks) list.push_back({{"name", check.name}, {"passed", check.passed}});
  const auto first = std::find_if(checks.begin(), checks.end(), [](const TokenizerCheck& c) { return !c.passed; });
  const auto failed = std::count_if(checks.begin(), checks.end(), [](const TokenizerCheck& c) { return !c.passed; });
  json.write({{"kind", "dhsa-verify-tokenizer"},
              {"model", folder.string()},
              {"cases", options.cases},
              {"passed", failed == 0},
              {"texts", list}});
  if (first == checks.end()) {
    fmt::print("All {} texts have the ids of the reference.\n", checks.size());
    return 0;
  }
  fmt::print("{} of {} texts differ. The first is \"{}\", at token {}, before {}:\n", failed, checks.size(),
             first->name, first->at, nlohmann::json(first->text).dump());
  const auto line = [&](const char* whose, const std::vector<std::int32_t>& ids) {
    std::vector<std::string> pieces;
    for (const std::int32_t id : ids) pieces.push_back(fmt::format("{} {}", id, tokenizer->piece(id)));
    fmt::print("  {}  {}\n", whose, ids.empty() ? "nothing more" : fmt::format("{}", fmt::join(pieces, ", ")));
  };
  line("expected", first->expected);
  line("found   ", first->found);
  return 1;
}

}  // namespace

void add_verify_tokenizer(CLI::App& verify, Action& action) {
  auto ids = std::make_shared<TokenizerOptions>();
  CLI::App* tokenizer = verify.add_subcommand("tokenizer", "Compare with stored token ids of texts");
  tokenizer
      ->add_option("--model", ids->model.folder,
                   "Folder of a Gemma 2 model, its configuration and tokenizer are enough [default: the demo model]")
      ->type_name("DIR")
      ->group("Model");
  tokenizer
      ->add_option("--cases", ids->cases,
                   "JSON list of name, text and ids_plain: ids without <bos>, special tokens in the text read as text")
      ->type_name("FILE")
      ->required()
      ->group("Check");
  ids->output.add_to(*tokenizer);
  tokenizer->callback([ids, &action] { action = [ids] { return verify_ids(*ids); }; });
}

}  // namespace dhsa::cli
