#include "ui/state/run.h"

#include <QLocale>
#include <QStringList>
#include <algorithm>
#include <limits>

#include "core/files/csv.h"

namespace dhsa {
namespace {

double meanOverLayers(const Run& run, const char* measure) {
  double sum = 0;
  int count = 0;
  for (const auto& metrics : run.metrics) {
    if (!metrics) continue;
    sum += metrics->value(measure);
    ++count;
  }
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

QString field(const QString& text) { return QString::fromStdString(csv_field(text.toStdString())); }

QString number(double value) { return value == value ? QString::number(value, 'g', 8) : QString(); }

}  // namespace

RunInput inputOf(const OpenDocument& document, const LoadedModel& model) {
  return {document.sha256, model.fingerprint, document.tokens()};
}

double Run::density() const {
  double kept = 0;
  double causal = 0;
  for (std::size_t layer = 0; trace && layer < trace->summaries.size(); ++layer) {
    kept += trace->summaries[layer].kept_pairs;
    causal += trace->summaries[layer].causal_pairs;
  }
  return causal > 0 ? kept / causal : std::numeric_limits<double>::quiet_NaN();
}

bool Run::sampled() const {
  return std::any_of(rowSteps.begin(), rowSteps.end(), [](std::int64_t step) { return step > 1; });
}

double Run::meanRetainedMass() const { return meanOverLayers(*this, "retained_mass"); }

int RunList::indexOf(int id) const {
  const auto found = std::find_if(m_runs.begin(), m_runs.end(), [id](const Run& run) { return run.id == id; });
  return found == m_runs.end() ? -1 : static_cast<int>(std::distance(m_runs.begin(), found));
}

const Run* RunList::find(int id) const {
  const int index = indexOf(id);
  return index < 0 ? nullptr : &at(index);
}

const Run* RunList::pinned() const {
  const auto found = std::find_if(m_runs.begin(), m_runs.end(), [](const Run& run) { return run.pinned; });
  return found == m_runs.end() ? nullptr : &*found;
}

const Run* RunList::dense(const RunInput& input) const {
  const auto found = std::find_if(m_runs.rbegin(), m_runs.rend(), [&](const Run& run) {
    return run.parameters.method == Method::kDense && run.input == input;
  });
  return found == m_runs.rend() ? nullptr : &*found;
}

int RunList::add(Run run) {
  run.id = m_nextId++;
  const int id = run.id;
  Q_EMIT aboutToAdd(size());
  m_runs.push_back(std::move(run));
  Q_EMIT added(size() - 1);
  return id;
}

void RunList::rename(int id, const QString& label) {
  const int index = indexOf(id);
  if (index < 0 || label.trimmed().isEmpty()) return;
  m_runs[static_cast<std::size_t>(index)].label = label.trimmed();
  Q_EMIT changed(index);
}

void RunList::setPinned(int id, bool pinned) {
  for (int index = 0; index < size(); ++index) {
    Run& run = m_runs[static_cast<std::size_t>(index)];
    const bool now = run.id == id ? pinned : (pinned ? false : run.pinned);
    if (now == run.pinned) continue;
    run.pinned = now;
    Q_EMIT changed(index);
  }
  Q_EMIT pinnedChanged();
}

void RunList::setLogits(int id, const LogitComparison& logits) {
  const int index = indexOf(id);
  if (index < 0) return;
  m_runs[static_cast<std::size_t>(index)].logits = logits;
  Q_EMIT changed(index);
}

void RunList::setMetrics(int id, int layer, const MaskMetrics& metrics, std::int64_t rowStep) {
  const int index = indexOf(id);
  const auto at = static_cast<std::size_t>(layer);
  if (index < 0 || at >= m_runs[static_cast<std::size_t>(index)].metrics.size()) return;
  Run& run = m_runs[static_cast<std::size_t>(index)];
  run.metrics[at] = metrics;
  run.rowSteps[at] = rowStep;
  Q_EMIT changed(index);
  if (run.pinned) Q_EMIT pinnedChanged();
}

void RunList::remove(int id) {
  const int index = indexOf(id);
  if (index < 0) return;
  const bool wasPinned = at(index).pinned;
  Q_EMIT aboutToRemove(index);
  m_runs.erase(m_runs.begin() + index);
  Q_EMIT removed(index);
  if (wasPinned) Q_EMIT pinnedChanged();
}

QString RunList::csv() const {
  QStringList lines{
      QStringLiteral("run,label,document,sha256,model,method,budget,tokens,prefill_seconds,plan_seconds,"
                     "attend_seconds,peak_bytes,start_bytes,density,mean_retained_mass,mean_kl_nats,"
                     "same_top,sampled")};
  for (const Run& run : m_runs) {
    QStringList cells{QString::number(run.id),
                      field(run.label),
                      field(run.documentTitle),
                      run.input.documentSha,
                      field(run.modelName),
                      QString::fromLatin1(name_of(run.parameters.method)),
                      QString::number(run.parameters.budget),
                      QString::number(run.input.tokens),
                      number(run.seconds),
                      run.trace ? number(run.trace->stage_seconds(Stage::kPlan)) : QString(),
                      run.trace ? number(run.trace->stage_seconds(Stage::kAttend)) : QString(),
                      QString::number(run.peakBytes),
                      QString::number(run.startBytes),
                      number(run.density()),
                      number(run.meanRetainedMass()),
                      run.logits ? number(run.logits->meanKl) : QString(),
                      run.logits ? number(run.logits->sameTop) : QString(),
                      QString::number(run.sampled() ? 1 : 0)};
    lines << cells.join(u',');
  }
  return lines.join(QStringLiteral("\r\n")) + QStringLiteral("\r\n");
}

}  // namespace dhsa
