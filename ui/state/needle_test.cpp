#include "ui/state/needle_test.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "core/model/gemma2.h"

namespace dhsa {
namespace {

// Progress is told to the window at most this often.
constexpr qint64 kTellEveryMs = 30;

}  // namespace

NeedleTest::NeedleTest(Explorer* explorer) : Experiment(explorer, JobKind::kNeedle) {
  connect(explorer->session(), &Session::documentChanged, this, &NeedleTest::showPrompt);
  connect(this, &Experiment::runningChanged, this, [this] { m_now = {}; });
}

NeedleResults NeedleTest::asked(const NeedleSettings& settings, const std::vector<MethodChoice>& methods) const {
  NeedleResults results;
  results.settings = settings;
  results.methods = methods;
  if (const auto model = explorer()->session()->model()) {
    results.model = model->name.toStdString();
    results.fingerprint = model->weights->fingerprint();
  }
  return results;
}

QString NeedleTest::problem(const NeedleSettings& settings, const std::vector<MethodChoice>& methods) const {
  const auto model = explorer()->session()->model();
  try {
    check_settings(settings);
    if (methods.size() < 2) throw Error(tr("Choose a method to stand beside dense.").toStdString());
    const std::int64_t longest = settings.lengths.back();
    if (model && longest > model->weights->config().context) {
      throw Error(tr("Prompts of %1 tokens are longer than the model's context of %2.")
                      .arg(longest)
                      .arg(model->weights->config().context)
                      .toStdString());
    }
    for (const std::int64_t length : settings.lengths) {
      for (const MethodChoice& method : methods) {
        try {
          check_parameters(needle_parameters(settings, method.parameters, length, 0));
        } catch (const Error& error) {
          throw Error(method.name + " at " + std::to_string(length) + " tokens: " + error.what());
        }
      }
    }
  } catch (const Error& error) {
    return QString::fromStdString(error.what());
  }
  return {};
}

bool NeedleTest::goesOn(const NeedleSettings& settings, const std::vector<MethodChoice>& methods, QString* why) const {
  if (isEmpty() || isFinished()) return false;
  const std::string other = difference(m_results, asked(settings, methods));
  if (why) *why = QString::fromStdString(other);
  return other.empty();
}

void NeedleTest::start(const NeedleSettings& settings, const std::vector<MethodChoice>& methods) {
  const auto model = explorer()->session()->model();
  if (!model || isRunning()) return;
  if (const QString sentence = problem(settings, methods); !sentence.isEmpty()) {
    Q_EMIT explorer()->message(sentence, true);
    return;
  }
  NeedleResults begin = asked(settings, methods);
  const bool same = goesOn(settings, methods);
  if (same) begin.cells = m_results.cells;
  submit([this, model, begin = std::move(begin), file = fileFor(same)](const JobContext& job) {
    NeedleResults results = begin;
    QElapsedTimer sinceProgress;
    NeedleOptions options;
    options.cancel = job.cancel();
    options.progress = [&](const NeedleProgress& at) {
      if (!sinceProgress.isValid()) {
        // Nothing was refused: what was shown before makes room.
        job.post([this, results, file] {
          m_results = results;
          begun(file);
        });
      }
      if (!sinceProgress.isValid() || sinceProgress.elapsed() >= kTellEveryMs) {
        sinceProgress.start();
        const double depth = results.settings.depth(at.depth);
        job.post([this, at, depth] {
          m_now = at;
          tell(at.fraction, tr("%1 tokens · depth %2 % · prompt %3 · %4")
                                .arg(at.length)
                                .arg(std::lround(100 * depth))
                                .arg(at.prompt + 1)
                                .arg(QString::fromStdString(at.method)));
        });
      }
      job.serveAll();
    };
    options.updated = [&](const NeedleResults& soFar, std::size_t index) {
      file->write(soFar);
      job.post([this, index, cell = soFar.cells[index]] { takeCell(index, cell); });
    };
    run_needle(*model->weights, *model->tokenizer, results, options, predictorFor(results.methods, *model));
  });
}

void NeedleTest::takeCell(std::size_t index, const NeedleCell& cell) {
  if (index >= m_results.cells.size()) m_results.cells.resize(index + 1);
  m_results.cells[index] = cell;
  added(static_cast<int>(index));
}

void NeedleTest::openPrompt(std::int64_t length, std::int64_t depth, std::int64_t prompt, std::size_t method) {
  const auto model = explorer()->session()->model();
  if (!model || method >= m_results.methods.size()) return;
  explorer()->engine()->submit(JobKind::kLoadDocument, [this, model, settings = m_results.settings,
                                                        choice = m_results.methods[method], length, depth,
                                                        prompt](const JobContext& job) {
    const NeedlePrompt made = make_needle_prompt(settings, length, depth, prompt, *model->tokenizer);
    const SparsityParameters parameters = needle_parameters(settings, choice.parameters, length, made.question_tokens);
    DocumentRequest request;
    request.text = QByteArray::fromStdString(made.text);
    auto row = static_cast<qint64>(made.encoding.ids.size()) - 1;
    if (settings.mode == NeedleMode::kStrict) {
      request.text += QByteArray::fromStdString(made.answer);
      // A blank of its own comes before the digits.
      const std::string first = model->tokenizer->decode(std::span(made.answer_ids).first(1));
      if (first.find_first_of("0123456789") == std::string::npos) ++row;
    }
    request.title = tr("Needle at %1 % of %2 tokens").arg(std::lround(100 * settings.depth(depth))).arg(length);
    request.allowLong = true;
    job.post([this, request, parameters, row, needle = made.needles.front(), name = choice.name] {
      m_opening = std::make_unique<Opening>(Opening{request.text, needle, row});
      explorer()->parameters()->apply(parameters, tr("Parameters of “%1”").arg(QString::fromStdString(name)));
      explorer()->session()->openDocument(request);
    });
  });
}

void NeedleTest::showPrompt() {
  if (!m_opening || explorer()->session()->document()->source != m_opening->text) return;
  const std::unique_ptr<Opening> opened = std::move(m_opening);
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
  view->selectRow(opened->row);
  view->selectKeys(opened->needle.first, opened->needle.second);
  Q_EMIT promptOpened(opened->needle.first);
}

nlohmann::json NeedleTest::json() const { return m_results; }
std::string NeedleTest::csv() const { return to_csv(m_results); }
void NeedleTest::read(const std::string& text, const std::string& where) {
  m_results = parse_needle_results(text, where);
}
QString NeedleTest::suggestedName() const { return tr("needle"); }
QString NeedleTest::cancelledSentence() const {
  const auto all = m_results.settings.lengths.size() * static_cast<std::size_t>(m_results.settings.depths);
  return tr("Needle test cancelled; %1 of %2 cells are kept, and Start goes on from there.")
      .arg(m_results.cells.size())
      .arg(all);
}

}  // namespace dhsa
