#include "ui/state/needle_test.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "core/model/gemma2.h"
#include "ui/models/format.h"

namespace dhsa {
NeedleTest::NeedleTest(Explorer* explorer) : NeedleExperiment(explorer, JobKind::kNeedle) {}

void NeedleTest::check(const NeedleResults& asked) const {
  if (asked.methods.size() < 2) throw Error(tr("Choose a method to stand beside dense.").toStdString());
  for (const std::int64_t length : asked.settings.lengths) {
    for (const MethodChoice& method : asked.methods) {
      try {
        check_parameters(needle_parameters(asked.settings, method.parameters, length, 0));
      } catch (const Error& error) {
        throw Error(method.name + " at " + std::to_string(length) + " tokens: " + error.what());
      }
    }
  }
}

void NeedleTest::run(const LoadedModel& model, NeedleResults& results, const NeedleOptions& options) {
  run_needle(*model.weights, *model.tokenizer, results, options, predictorFor(results.methods, model));
}

void NeedleTest::openPrompt(std::int64_t length, std::int64_t depth, std::int64_t prompt, std::size_t method) {
  const auto model = explorer()->session()->model();
  if (!model || method >= results().methods.size()) return;
  explorer()->engine()->submit(JobKind::kLoadDocument, [this, model, settings = results().settings,
                                                        choice = results().methods[method], length, depth,
                                                        prompt](const JobContext& job) {
    const NeedlePrompt made = make_needle_prompt(settings, length, depth, prompt, *model->tokenizer);
    const SparsityParameters parameters = needle_parameters(settings, choice.parameters, length, made.question_tokens);
    DocumentRequest request;
    request.text = QByteArray::fromStdString(made.text);
    auto row = static_cast<qint64>(made.encoding.ids.size()) - 1;
    if (settings.mode == NeedleMode::kStrict) {
      // Not the answer, which every row of it could read. But the blank before its digits, if that is a token of its
      // own: the first digit comes from there.
      const std::string first = model->tokenizer->decode(std::span(made.answer_ids).first(1));
      if (first.find_first_of("0123456789") == std::string::npos) {
        request.text += ' ';
        ++row;
      }
    }
    request.title =
        tr("Needle at %1 % of %2 tokens").arg(std::lround(100 * settings.depth(depth))).arg(formatCount(length));
    request.reading = as_it_is();
    const auto show = [this, parameters, row, needle = made.needles.front(), name = choice.name] {
      explorer()->parameters()->apply(parameters, tr("Parameters of “%1”").arg(QString::fromStdString(name)));
      showPrompt(row, needle);
    };
    job.post([this, request, show] { explorer()->session()->openDocument(request, show); });
  });
}

void NeedleTest::showPrompt(qint64 row, std::pair<qint64, qint64> needle) {
  ViewState* view = explorer()->view();
  // A needle can only be lost where the whole prompt is seen.
  const Gemma2Config& config = explorer()->session()->model()->weights->config();
  if (config.window_of(view->layer()) > 0) {
    for (int layer = 0; layer < explorer()->whatIf()->layers(); ++layer) {
      if (config.window_of(layer) > 0) continue;
      view->setLayer(layer);
      break;
    }
  }
  view->selectRow(row);
  view->selectKeys(needle.first, needle.second);
  Q_EMIT promptOpened(needle.first);
}

void NeedleTest::read(const std::string& text, const std::string& where) { adopt(parse_needle_results(text, where)); }
QString NeedleTest::suggestedName() const { return tr("needle"); }
QString NeedleTest::cancelledSentence() const {
  const qint64 all = static_cast<qint64>(results().settings.lengths.size()) * results().settings.depths;
  return tr("Needle test cancelled; %1 of %2 are kept, and Start goes on from there.")
      .arg(formatCount(static_cast<qint64>(results().cells.size())), counted(all, "cell", "cells"));
}

}  // namespace dhsa
