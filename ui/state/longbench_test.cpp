#include "ui/state/longbench_test.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/resources.h"
#include "core/experiments/experiment.h"
#include "core/text/chat.h"
#include "core/text/tokenizer_config.h"
#include "ui/models/format.h"
#include "ui/models/method_list.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

constexpr qint64 kTellEveryMs = 30;

QString q(std::string_view text) { return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size())); }

std::vector<std::string> namesIn(const QString& list) {
  std::vector<std::string> names;
  for (const QString& name : list.split(u',', Qt::SkipEmptyParts)) names.push_back(name.trimmed().toStdString());
  return names;
}

LongBenchData readData(const QString& folder, std::vector<std::string> tasks, const LongBenchSettings& settings) {
  const fs::path path = folder.isEmpty() ? resource_path("longbench") : fs::path(folder.toStdU16String());
  return read_longbench(path, {}, std::move(tasks), settings.e, settings.limit);
}

}  // namespace

LongBenchTest::LongBenchTest(Explorer* explorer)
    : Experiment(explorer, JobKind::kLongBench), m_opener(new SampleOpener(explorer, this)) {}

QString LongBenchTest::problem(const LongBenchRequest& request, const std::vector<MethodChoice>& methods) const {
  try {
    check_settings(request.settings);
    checkContext(request.settings.max_length);
    for (const std::string& task : namesIn(request.tasks)) static_cast<void>(longbench_task(task));
    if (request.results.isEmpty()) throw Error(tr("Choose a folder for the answers.").toStdString());
    if (methods.size() < 2) throw Error(tr("Choose a method to stand beside dense.").toStdString());
    for (const MethodChoice& method : methods) check_parameters(method.parameters);
  } catch (const Error& error) {
    return QString::fromStdString(error.what());
  }
  return {};
}

void LongBenchTest::start(const LongBenchRequest& request, const std::vector<MethodChoice>& methods) {
  const auto model = explorer()->session()->model();
  if (!model || isRunning()) return;
  if (const QString sentence = problem(request, methods); !sentence.isEmpty()) {
    Q_EMIT explorer()->message(sentence, true);
    return;
  }
  m_data = request.data;
  submit([this, model, request, methods](const JobContext& job) {
    LongBenchSettings settings = request.settings;
    settings.chat = settings.chat && is_instruction_tuned(model->folder.toStdU16String());
    const LongBenchData data = readData(request.data, namesIn(request.tasks), settings);
    LongBenchResults results = begin_longbench(settings, data, methods);
    results.model = model->name.toStdString();
    const auto predictor = predictorFor(methods, *model);
    results.fingerprint = identity_of(*model->weights, predictor.get());
    const fs::path folder(request.results.toStdU16String());
    begin_longbench_folder(folder, results);
    auto file = std::make_shared<ResultsFile>();
    file->setPath((folder / "results.json").string());
    job.post([this, results, file] {
      m_results = results;
      begun(file);
    });
    LongBenchOptions options;
    options.cancel = job.cancel();
    options.progress = [&, sinceProgress = QElapsedTimer()](const ExperimentProgress& at) mutable {
      if (!sinceProgress.isValid() || sinceProgress.elapsed() >= kTellEveryMs) {
        sinceProgress.start();
        job.post([this, at] { tell(at); });
      }
      job.serveAll();
    };
    options.updated = [&](const LongBenchResults& soFar, std::size_t answer) {
      const LongBenchPlace place = soFar.place(answer);
      append_longbench_answer(folder, soFar, place, data.sets[place.task].rows[place.row]);
      job.post([this, task = place.task, now = soFar.tasks[place.task]] {
        m_results.tasks[task] = now;
        added(static_cast<int>(task));
      });
      job.serveAll();
    };
    run_longbench(*model->weights, *model->tokenizer, data, results, options, predictor);
  });
}

QStringList LongBenchTest::methodTitles() const {
  QStringList titles;
  for (const MethodChoice& method : m_results.methods) titles << methodTitle(method);
  return titles;
}

int LongBenchTest::dense() const {
  for (std::size_t m = 0; m < m_results.methods.size(); ++m) {
    if (m_results.methods[m].parameters.method == Method::kDense) return static_cast<int>(m);
  }
  return -1;
}

// Every task that has answers, of LongBench-E by length too.
std::vector<LongBenchTest::LineOf> LongBenchTest::lineTasks() const {
  std::vector<LineOf> lines;
  for (std::size_t t = 0; t < m_results.tasks.size(); ++t) {
    if (m_results.tasks[t].lengths.empty()) continue;
    lines.push_back({static_cast<int>(t), -1});
    for (int bucket = 0; m_results.settings.e && bucket < static_cast<int>(kLengthBuckets.size()); ++bucket) {
      if (!rowsOf({static_cast<int>(t), bucket}).empty()) lines.push_back({static_cast<int>(t), bucket});
    }
  }
  return lines;
}

std::vector<int> LongBenchTest::rowsOf(const LineOf& line) const {
  std::vector<int> rows;
  const LongBenchTaskResults& task = m_results.tasks[static_cast<std::size_t>(line.task)];
  for (std::size_t row = 0; row < task.lengths.size(); ++row) {
    if (line.bucket < 0 || line.bucket == length_bucket(task.lengths[row])) rows.push_back(static_cast<int>(row));
  }
  return rows;
}

// Tasks, then groups and averages of either language.
std::vector<ScoreLine> LongBenchTest::lines() const {
  std::vector<ScoreLine> lines;
  const std::size_t methods = m_results.methods.size();
  for (const LineOf& of : lineTasks()) {
    const LongBenchTaskResults& task = m_results.tasks[static_cast<std::size_t>(of.task)];
    ScoreLine line{q(task.task->name), {}, static_cast<int>(rowsOf(of).size()), {}, static_cast<double>(of.bucket)};
    if (of.bucket >= 0) line.length = tr("%1 words").arg(q(kLengthBuckets[static_cast<std::size_t>(of.bucket)]));
    for (std::size_t m = 0; m < methods; ++m) {
      line.percents.push_back(of.bucket < 0 ? task.percent(m) : task.buckets(m)[static_cast<std::size_t>(of.bucket)]);
    }
    lines.push_back(std::move(line));
  }
  for (const bool chinese : {false, true}) {
    for (const LongBenchLine& of : longbench_table(m_results, chinese)) {
      if (of.kind == LongBenchLine::Kind::kTask) continue;
      if (std::none_of(of.percents.begin(), of.percents.end(), [](const auto& percent) { return percent.has_value(); }))
        continue;
      const QString label = q(of.label);
      lines.push_back({chinese ? tr("%1, Chinese").arg(label) : label, {}, 0, of.percents, 0});
    }
  }
  return lines;
}

std::vector<ScoredSample> LongBenchTest::samples(int line) const {
  std::vector<ScoredSample> samples;
  const std::vector<LineOf> lines = lineTasks();
  if (line < 0 || line >= static_cast<int>(lines.size())) return samples;
  const LineOf& of = lines[static_cast<std::size_t>(line)];
  const LongBenchTaskResults& task = m_results.tasks[static_cast<std::size_t>(of.task)];
  for (const int row : rowsOf(of)) {
    const auto at = static_cast<std::size_t>(row);
    ScoredSample sample{tr("row %1").arg(row + 1), {}, {}};
    for (const std::string& answer : task.answers[at]) sample.answers << QString::fromStdString(answer);
    for (const auto& of_method : task.samples) {
      sample.said.push_back(
          at < of_method.size()
              ? std::optional(ScoredSample::Said{QString::fromStdString(of_method[at].prediction), of_method[at].score})
              : std::nullopt);
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

void LongBenchTest::openSample(int line, int sample, int method) {
  const std::vector<LineOf> lines = lineTasks();
  if (line < 0 || line >= static_cast<int>(lines.size())) return;
  const LineOf& of = lines[static_cast<std::size_t>(line)];
  std::vector<std::string> tasks;
  for (const LongBenchTaskResults& task : m_results.tasks) tasks.emplace_back(task.task->name);
  m_opener->open([tasks, task = static_cast<std::size_t>(of.task),
                  row = static_cast<std::size_t>(rowsOf(of).at(static_cast<std::size_t>(sample))), folder = m_data,
                  settings = m_results.settings, digest = m_results.digest,
                  choice = m_results.methods.at(static_cast<std::size_t>(method))](const LoadedModel& model) {
    const LongBenchData data = readData(folder, tasks, settings);
    if (data.digest != digest) {
      throw Error(tr("These answers are to other rows than those of %1; choose the folder of their data.")
                      .arg(folder.isEmpty() ? tr("the set that comes with the program") : folder)
                      .toStdString());
    }
    const LongBenchSet& set = data.sets.at(task);
    const LongBenchPrompt prompt =
        make_longbench_prompt(settings, set, set.rows.at(row), *model.tokenizer, turn_markers(*model.tokenizer));
    OpenedSample opened;
    opened.document.text = QByteArray::fromStdString(prompt.text);
    opened.document.title = tr("%1, row %2").arg(q(set.task->name)).arg(row + 1);
    opened.document.reading = as_it_is();
    opened.parameters = choice.parameters;
    opened.parameters.instruction_tokens =
        settings.mode == NeedleMode::kReference
            ? std::max<std::int64_t>(0, prompt.instruction_tokens - prompt.turn_tokens)
            : 0;
    opened.method = methodTitle(choice);
    opened.row = static_cast<qint64>(model.tokenizer->encode(prompt.text).ids.size()) - 1;
    for (const std::string& answer : set.rows.at(row).answers) {
      if (!answer.empty() && prompt.text.find(answer) != std::string::npos) {
        opened.evidence = QString::fromStdString(answer);
        break;
      }
    }
    return opened;
  });
}

void LongBenchTest::read(const std::string& text, const std::string& where) {
  static_cast<void>(text);  // read again with the answers beside it
  m_results = read_longbench_results(fs::path(where).parent_path());
}
QString LongBenchTest::suggestedName() const { return tr("longbench"); }
QString LongBenchTest::cancelledSentence() const {
  return tr("Cancelled; %1 of %2 are kept, and Start goes on from there.")
      .arg(formatCount(m_results.count().done), counted(m_results.count().all, "answer", "answers"));
}

}  // namespace dhsa
