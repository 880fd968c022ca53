#include "ui/state/sample_opener.h"

#include "core/model/gemma2.h"

namespace dhsa {

SampleOpener::SampleOpener(Explorer* explorer, QObject* parent) : QObject(parent), m_explorer(explorer) {
  connect(explorer->session(), &Session::documentChanged, this, &SampleOpener::show);
}

void SampleOpener::open(std::function<OpenedSample(const LoadedModel&)> make) {
  const auto model = m_explorer->session()->model();
  if (!model) return;
  m_explorer->engine()->submit(JobKind::kLoadDocument, [this, model, make = std::move(make)](const JobContext& job) {
    job.post([this, sample = make(*model)] {
      m_opening = std::make_unique<OpenedSample>(sample);
      m_explorer->session()->openDocument(sample.document);
    });
  });
}

void SampleOpener::show() {
  if (!m_opening || m_explorer->session()->document()->source != m_opening->document.text) return;
  const std::unique_ptr<OpenedSample> sample = std::move(m_opening);
  m_explorer->parameters()->apply(sample->parameters, tr("Parameters of “%1”").arg(sample->method));
  ViewState* view = m_explorer->view();
  // What a question looks for is far away: only global layers see it.
  const Gemma2Config& config = m_explorer->session()->model()->weights->config();
  for (int layer = 0; config.window_of(view->layer()) > 0 && layer < m_explorer->whatIf()->layers(); ++layer) {
    if (config.window_of(layer) == 0) view->setLayer(layer);
  }
  if (sample->row >= 0) view->selectRow(sample->row);
  if (sample->begin >= 0) view->selectKeys(sample->begin, sample->end);
  Q_EMIT opened(sample->begin, sample->evidence);
}

}  // namespace dhsa
