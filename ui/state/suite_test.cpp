#include "ui/state/suite_test.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ui/models/format.h"
#include "ui/models/method_list.h"

namespace dhsa {
namespace {

QString q(std::string_view text) { return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size())); }

// The sample as a document; the row that its answer's first token comes from, and the needle's tokens.
OpenedSample opened(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length, std::int64_t number,
                    const MethodChoice& method, const Tokenizer& tokenizer) {
  const auto questions = task.asked == SuiteTask::Asked::kAtTheEnd ? 1 : settings.questions;
  const SuitePrompt prompt = make_suite_prompt(settings, task, length, number / questions, tokenizer);
  const auto index = static_cast<std::size_t>(number % questions);
  const SuitePrompt::Place& place = prompt.places[index];
  OpenedSample sample;
  sample.parameters = suite_parameters(settings, task, method.parameters, length, prompt.question_tokens);
  sample.method = methodTitle(method);
  sample.document.text = QByteArray::fromStdString(prompt.text);
  sample.document.title =
      SuiteTest::tr("%1, %2 tokens, sample %3").arg(q(task.name), formatCount(length)).arg(number + 1);
  sample.document.reading = as_it_is();
  sample.row = static_cast<qint64>(prompt.encoding.ids.size()) - 1;
  if (task.asked == SuiteTask::Asked::kThroughout) {
    sample.row = place.answer_at;
    sample.document.reading.question_marks = "none";  // its questions are part of the text
  }
  if (task.asked == SuiteTask::Asked::kAtTheEnd && settings.mode == NeedleMode::kStrict) {
    sample.document.text += QByteArray::fromStdString(place.answer);
  }
  if (task.asked == SuiteTask::Asked::kFromTheCache) {
    // In the text its rows are part of the prefill; densely they are what decoding was.
    sample.document.text += QByteArray::fromStdString(place.question);
    sample.parameters.instruction_tokens = static_cast<std::int64_t>(place.question_ids.size());
    sample.row += sample.parameters.instruction_tokens;
  }
  sample.evidence = QString::fromStdString(place.asked.references.front());
  for (const auto& [begin, end] : prompt.needles) {
    const std::string needle =
        prompt.text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    if (needle.find(place.asked.references.front()) == std::string::npos) continue;
    for (std::size_t i = 0; i < prompt.encoding.spans.size(); ++i) {
      const TokenSpan& span = prompt.encoding.spans[i];
      if (span.end <= begin || span.begin >= end) continue;
      if (sample.begin < 0) sample.begin = static_cast<qint64>(i);
      sample.end = static_cast<qint64>(i) + 1;
    }
    break;
  }
  return sample;
}

}  // namespace

SuiteTest::SuiteTest(Explorer* explorer)
    : SuiteExperiment(explorer, JobKind::kSuite), m_opener(new SampleOpener(explorer, this)) {}

QStringList SuiteTest::methodTitles() const {
  QStringList titles;
  for (const MethodChoice& method : results().methods) titles << methodTitle(method);
  return titles;
}

int SuiteTest::dense() const {
  const auto& methods = results().methods;
  const auto at = std::find_if(methods.begin(), methods.end(),
                               [](const MethodChoice& method) { return method.parameters.method == Method::kDense; });
  return at == methods.end() ? -1 : static_cast<int>(at - methods.begin());
}

// Cells in their order, then the average of each length.
std::vector<ScoreLine> SuiteTest::lines() const {
  std::vector<ScoreLine> lines;
  for (const SuiteCell& cell : results().cells) {
    ScoreLine line{q(cell.task->name),
                   formatCount(cell.length),
                   static_cast<int>(cell.questions.size()),
                   {},
                   static_cast<double>(cell.length)};
    for (const SuiteScore& score : cell.scores) line.percents.push_back(score.percent());
    lines.push_back(std::move(line));
  }
  if (isEmpty() || results().settings.suite != Suite::kRuler) return lines;
  for (const std::int64_t length : results().settings.lengths) {
    ScoreLine line{tr("Average"), formatCount(length), 0, {}, static_cast<double>(length)};
    for (std::size_t m = 0; m < results().methods.size(); ++m) line.percents.push_back(results().average(m, length));
    if (line.percents.front()) lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<ScoredSample> SuiteTest::samples(int line) const {
  std::vector<ScoredSample> samples;
  if (line < 0 || line >= static_cast<int>(results().cells.size())) return samples;
  const SuiteCell& cell = results().cells[static_cast<std::size_t>(line)];
  for (std::size_t i = 0; i < cell.questions.size(); ++i) {
    ScoredSample sample{QString::fromStdString(cell.questions[i].query), {}, {}};
    for (const std::string& answer : cell.questions[i].references) sample.answers << QString::fromStdString(answer);
    for (const SuiteScore& score : cell.scores) {
      sample.said.push_back(ScoredSample::Said{QString::fromStdString(score.answers[i].text), score.answers[i].score});
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

void SuiteTest::openSample(int line, int sample, int method) {
  if (line < 0 || line >= static_cast<int>(results().cells.size())) return;
  const SuiteCell& cell = results().cells[static_cast<std::size_t>(line)];
  SuiteSettings settings = results().settings;
  if (m_haystack == settings.haystack) settings.haystack = m_haystack;
  m_opener->open([settings = std::move(settings), task = cell.task, length = cell.length, sample,
                  choice = results().methods.at(static_cast<std::size_t>(method))](const LoadedModel& model) {
    return opened(settings, *task, length, sample, choice, *model.tokenizer);
  });
}

void SuiteTest::check(const SuiteResults& asked) const {
  if (asked.methods.size() < 2) throw Error(tr("Choose a method to stand beside dense.").toStdString());
  for (const SuiteTask* task : tasks_of(asked.settings)) {
    for (const std::int64_t length : asked.settings.lengths) {
      for (const MethodChoice& method : asked.methods) {
        try {
          check_parameters(suite_parameters(asked.settings, *task, method.parameters, length, 0));
        } catch (const Error& error) {
          throw Error(method.name + " at " + std::to_string(length) + " tokens: " + error.what());
        }
      }
    }
  }
}

void SuiteTest::run(const LoadedModel& model, SuiteResults& results, const SuiteOptions& options) {
  run_suite(*model.weights, *model.tokenizer, results, options, predictorFor(results.methods, model));
}

void SuiteTest::read(const std::string& text, const std::string& where) { adopt(parse_suite_results(text, where)); }
QString SuiteTest::suggestedName() const { return tr("ruler"); }
QString SuiteTest::cancelledSentence() const {
  if (isEmpty()) return tr("Cancelled before the first prompt.");
  const ExperimentCount count = results().count();
  return tr("Cancelled; %1 of %2 are kept, and Start goes on from there.")
      .arg(formatCount(count.done), counted(count.all, "prompt", "prompts"));
}

}  // namespace dhsa
