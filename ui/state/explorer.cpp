#include "ui/state/explorer.h"

#include <algorithm>

namespace dhsa {

Explorer::Explorer(QObject* parent)
    : QObject(parent),
      m_engine(new Engine(this)),
      m_parameters(new ParameterSet(this)),
      m_view(new ViewState(this)),
      m_session(new Session(m_engine, this)),
      m_whatIf(new WhatIf(m_session, m_parameters, m_view, m_engine, this)),
      m_history(new RunHistory(m_session, m_parameters, m_view, m_engine, this)),
      m_generation(new Generation(m_session, m_parameters, m_engine, this)) {
  // The first layer that sees the whole text is the one to look at first.
  connect(
      m_session, &Session::modelChanged, this,
      [this] {
        const auto& local = m_session->model()->weights->config().local_layer;
        const auto global = std::find(local.begin(), local.end(), false);
        if (m_view->layer() == 0 && global != local.end()) {
          m_view->setLayer(static_cast<int>(std::distance(local.begin(), global)));
        }
      },
      Qt::SingleShotConnection);
  connect(m_session, &Session::documentChanged, m_parameters,
          [this] { m_parameters->setQuestionTokens(m_session->document()->content.question_tokens); });
  connect(m_session, &Session::opened, m_history, &RunHistory::run);
  connect(m_history, &RunHistory::runBegins, m_whatIf, &WhatIf::runBegins);
  connect(m_history, &RunHistory::layerReached, m_whatIf, &WhatIf::runReached);
  connect(m_history, &RunHistory::runEnds, m_whatIf, &WhatIf::runEnds);
  connect(m_whatIf, &WhatIf::measuredExactly, m_history,
          [this](int layer) { m_history->refine(*m_whatIf->layer(layer)); });
  connect(m_session, &Session::message, this, &Explorer::message);
  connect(m_history, &RunHistory::message, this, &Explorer::message);
  connect(m_parameters, &ParameterSet::refused, this,
          [this](const QString& sentence) { Q_EMIT message(sentence, true); });
  connect(m_engine, &Engine::failed, this,
          [this](JobKind, quint64, const QString& sentence) { Q_EMIT message(sentence, true); });
  connect(m_engine, &Engine::started, this, &Explorer::busyChanged);
  connect(m_engine, &Engine::finished, this, &Explorer::busyChanged);
  connect(m_engine, &Engine::cancelled, this, &Explorer::busyChanged);
  connect(m_engine, &Engine::failed, this, &Explorer::busyChanged);
}

Explorer::~Explorer() {
  // Join before anything the jobs' deliveries refer to goes away.
  delete m_engine;
}

void Explorer::cancel() {
  const auto cancelAll = [this](std::initializer_list<JobKind> kinds) {
    bool any = false;
    for (const JobKind kind : kinds) {
      if (!m_engine->isBusy(kind)) continue;
      m_engine->cancel(kind);
      any = true;
    }
    return any;
  };
  if (!cancelAll(
          {JobKind::kLoadModel, JobKind::kLoadDocument, JobKind::kPrefill, JobKind::kCompare, JobKind::kGenerate})) {
    cancelAll({JobKind::kNeedle, JobKind::kSweep, JobKind::kSuite, JobKind::kLongBench, JobKind::kMultiples});
  }
}

}  // namespace dhsa
