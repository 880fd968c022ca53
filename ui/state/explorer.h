// The state behind the window, put together: what is looked at, what is known of it, what ran, and the engine that does
// the work. Views read these and listen to their signals; none of them talks to the engine itself.
#pragma once

#include <QObject>

#include "ui/state/generation.h"
#include "ui/state/run_history.h"
#include "ui/state/what_if.h"

namespace dhsa {

class Explorer : public QObject {
  Q_OBJECT

 public:
  explicit Explorer(QObject* parent = nullptr);
  ~Explorer() override;

  [[nodiscard]] Engine* engine() const noexcept { return m_engine; }
  [[nodiscard]] ParameterSet* parameters() const noexcept { return m_parameters; }
  [[nodiscard]] ViewState* view() const noexcept { return m_view; }
  [[nodiscard]] Session* session() const noexcept { return m_session; }
  [[nodiscard]] WhatIf* whatIf() const noexcept { return m_whatIf; }
  [[nodiscard]] RunHistory* history() const noexcept { return m_history; }
  [[nodiscard]] Generation* generation() const noexcept { return m_generation; }

 public Q_SLOTS:
  void cancel();  // run, comparison or loading, whatever goes on; else the work in the background

 Q_SIGNALS:
  void busyChanged();
  // For the message bar: `failed` for errors, otherwise news.
  void message(const QString& sentence, bool failed);

 private:
  Engine* m_engine;
  ParameterSet* m_parameters;
  ViewState* m_view;
  Session* m_session;
  WhatIf* m_whatIf;
  RunHistory* m_history;
  Generation* m_generation;
};

}  // namespace dhsa
