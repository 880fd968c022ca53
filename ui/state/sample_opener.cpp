#include "ui/state/sample_opener.h"

#include "core/model/gemma2.h"

namespace dhsa {

SampleOpener::SampleOpener(Explorer* explorer, QObject* parent) : QObject(parent), m_explorer(explorer) {}

void SampleOpener::open(std::function<OpenedSample(const LoadedModel&)> make) {
  const auto model = m_explorer->session()->model();
  if (!model) return;
  m_explorer->engine()->submit(JobKind::kLoadDocument, [this, model, make = std::move(make)](const JobContext& job) {
    job.post([this, sample = make(*model)] {
      m_explorer->session()->openDocument(sample.document, [this, sample] { show(sample); });
    });
  });
}

void SampleOpener::show(const OpenedSample& sample) {
  m_explorer->parameters()->apply(sample.parameters, tr("Parameters of “%1”").arg(sample.method));
  ViewState* view = m_explorer->view();
  // What a question looks for is far away: only global layers see it.
  const Gemma2Config& config = m_explorer->session()->model()->weights->config();
  for (int layer = 0; config.window_of(view->layer()) > 0 && layer < m_explorer->whatIf()->layers(); ++layer) {
    if (config.window_of(layer) == 0) view->setLayer(layer);
  }
  if (sample.row >= 0) view->selectRow(sample.row);
  if (sample.begin >= 0) view->selectKeys(sample.begin, sample.end);
  Q_EMIT opened(sample.begin, sample.evidence);
}

}  // namespace dhsa
