#include "app/cli/inspect_tokens.h"

#include <fmt/format.h>

#include "app/cli/table.h"
#include "core/model/folder.h"
#include "core/text/token_table.h"

namespace dhsa::cli {

int list_tokens(const TokenListOptions& options) {
  JsonFile json(options.output.json);
  const std::filesystem::path folder = options.model.path();
  const Gemma2Config config = read_model_config(folder);
  const TextReader reader = {folder, Tokenizer::of_model(folder, config.vocab_size), config.context};
  check_vocabulary(config, *reader.tokenizer);
  ProgressLine progress(options.output.style());
  const Document document = load_document(options.text, reader, &progress);
  progress.clear();

  const std::vector<std::int32_t>& ids = document.encoding.ids;
  const std::vector<std::string> pieces = shown_pieces(*reader.tokenizer, ids);
  Table table({"token", "id", "bytes", "piece"}, {3});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const TokenSpan& span = document.encoding.spans[i];
    table.add(
        {std::to_string(i), std::to_string(ids[i]), fmt::format("{}-{}", span.begin, span.end), in_quotes(pieces[i])});
  }
  if (!options.csv.empty()) write_file(options.csv, tokens_csv(document, *reader.tokenizer));
  if (json) {
    json.write({{"kind", "dhsa-tokens"},
                {"machine", machine_json()},
                {"folder", folder.string()},
                {"document", document_json(document)},
                {"tokens", tokens_json(document, *reader.tokenizer)}});
  }
  fmt::print("Text    {}: {} tokens, {} bytes\n", document.name, count(document.tokens()),
             count(static_cast<std::int64_t>(document.text.size())));
  for (const std::string& note : document.notes) fmt::print("Note    {}\n", wrap(note, kLineWidth, 8));
  fmt::print("{}", table.text());
  return 0;
}

}  // namespace dhsa::cli
