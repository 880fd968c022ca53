#include "ui/views/importance_panel.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QSplitter>
#include <QVBoxLayout>
#include <limits>
#include <optional>

#include "ui/models/format.h"
#include "ui/state/explorer.h"
#include "ui/views/head_map.h"
#include "ui/views/importance_strip.h"

namespace dhsa {

ImportancePanel::ImportancePanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_strip(new ImportanceStrip(this)),
      m_heads(new HeadMap(this)),
      m_worst(new QLabel(this)) {
  setObjectName(QStringLiteral("importancePanel"));
  m_strip->setObjectName(QStringLiteral("importanceStrip"));
  m_heads->setObjectName(QStringLiteral("headMap"));
  auto* split = new QSplitter(Qt::Horizontal, this);
  split->setChildrenCollapsible(false);
  split->addWidget(m_strip);
  m_worst->setObjectName(QStringLiteral("worstHead"));
  m_worst->setAccessibleName(tr("Worst head"));
  m_worst->setToolTip(tr("The head of all layers that retains the least mass; click to go there"));
  m_worst->setTextFormat(Qt::RichText);
  m_worst->setTextInteractionFlags(Qt::TextBrowserInteraction);
  m_worst->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  auto* overview = new QWidget(this);
  auto* column = new QVBoxLayout(overview);
  column->setContentsMargins(6, 3, 0, 0);
  column->setSpacing(0);
  column->addWidget(m_worst);
  column->addWidget(m_heads, 1);
  split->addWidget(overview);
  split->setStretchFactor(0, 3);
  split->setStretchFactor(1, 1);
  split->setSizes({450, 210});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(split);

  ViewState* view = explorer->view();
  connect(m_strip, &ImportanceStrip::hovered, view, [view](qint64 token) { view->hover(view->row(), token); });
  connect(m_strip, &ImportanceStrip::keyRangeSelected, view, &ViewState::selectKeys);
  connect(m_strip, &ImportanceStrip::statusText, this, &ImportancePanel::statusText);
  // The strip looks at the same keys as the matrix; the rows stay as they are.
  connect(m_strip, &ImportanceStrip::viewChanged, view, [this, view](double begin, double end) {
    const auto document = m_explorer->session()->document();
    if (!document) return;
    const auto all = static_cast<double>(document->tokens());
    QRectF zoom = view->zoom().isEmpty() ? QRectF(0, 0, all, all) : view->zoom();
    zoom.setLeft(begin);
    zoom.setRight(end);
    view->setZoom(zoom);
  });
  connect(view, &ViewState::zoomChanged, m_strip, [this](const QRectF& zoom) {
    const auto document = m_explorer->session()->document();
    if (!document) return;
    m_strip->setView(zoom.isEmpty() ? 0 : zoom.left(),
                     zoom.isEmpty() ? static_cast<double>(document->tokens()) : zoom.right());
  });
  connect(view, &ViewState::hovered, m_strip, [this](qint64, qint64 key) { m_strip->setCrosshair(key); });
  connect(view, &ViewState::keysSelected, m_strip, [this](qint64 begin, qint64 end) {
    m_strip->setSelectedKeys({begin, end});
  });
  connect(m_heads, &HeadMap::headChosen, view, [view](int layer, int head) {
    view->setLayer(layer);
    if (head >= 0) view->setHead(head);
  });
  connect(m_worst, &QLabel::linkActivated, view, [view](const QString& place) {
    view->setLayer(place.section(u',', 0, 0).toInt());
    view->setHead(place.section(u',', 1, 1).toInt());
  });
  connect(m_heads, &HeadMap::statusText, this, &ImportancePanel::statusText);
  const auto current = [this, view] { m_heads->setCurrent(view->layer(), view->head()); };
  connect(view, &ViewState::layerChanged, this, current);
  connect(view, &ViewState::headChanged, this, current);

  connect(explorer->whatIf(), &WhatIf::layersReset, this, [this] {
    resetHeads();
    showLayer();
  });
  connect(explorer->session(), &Session::documentChanged, this, [this] {
    m_strip->setTokenText(
        [document = m_explorer->session()->document()](qint64 token) { return document->tokenLabel(token); });
  });
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    showHeads(layer);
    if (layer == m_explorer->view()->layer()) showLayer();
  });
  connect(explorer->parameters(), &ParameterSet::changed, this, [this] {
    for (int layer = 0; layer < m_explorer->whatIf()->layers(); ++layer)
      m_heads->setOutdated(layer, m_explorer->whatIf()->outdatedNote(layer));
  });
  connect(view, &ViewState::layerChanged, this, &ImportancePanel::showLayer);
  connect(explorer->whatIf(), &WhatIf::staleChanged, m_strip, &ImportanceStrip::setBusy);
}

void ImportancePanel::resetHeads() {
  const int layers = m_explorer->whatIf()->layers();
  const int heads = m_explorer->session()->heads();
  m_heads->setValues(
      layers, heads,
      std::vector<float>(static_cast<std::size_t>(layers * heads), std::numeric_limits<float>::quiet_NaN()));
  if (const auto model = m_explorer->session()->model()) m_heads->setLocalLayers(model->weights->config().local_layer);
  m_heads->setCurrent(m_explorer->view()->layer(), m_explorer->view()->head());
  showWorst();
}

void ImportancePanel::showHeads(int index) {
  const auto layer = m_explorer->whatIf()->layer(index);
  if (!layer) return;
  m_heads->setOutdated(index, m_explorer->whatIf()->outdatedNote(index));
  for (std::size_t head = 0; head < layer->metrics.heads.size(); ++head) {
    const Measured& mass = layer->metrics.heads[head].at("retained_mass");
    const QString estimate = mass.sampled() ? formatMeasured(measure("retained_mass"), mass) : QString();
    m_heads->setValue(index, static_cast<int>(head), static_cast<float>(mass.value), estimate);
  }
  showWorst();
}

void ImportancePanel::showWorst() {
  std::optional<Measured> worst;
  QString place;
  for (int index = 0; index < m_explorer->whatIf()->layers(); ++index) {
    const auto layer = m_explorer->whatIf()->layer(index);
    for (std::size_t head = 0; layer && head < layer->metrics.heads.size(); ++head) {
      const Measured& mass = layer->metrics.heads[head].at("retained_mass");
      if (worst && !(mass.value < worst->value)) continue;
      worst = mass;
      place = QStringLiteral("<a href=\"%1,%2\">%3</a>")
                  .arg(index)
                  .arg(head)
                  .arg(tr("layer %1, head %2").arg(index).arg(head));
    }
  }
  m_worst->setText(
      worst ? tr("Worst: %1, %2%3")
                  .arg(place, worst->sampled() ? QStringLiteral("≈ ") : QString(), formatPercent(worst->value))
            : QString());
}

void ImportancePanel::showLayer() {
  const auto layer = m_explorer->whatIf()->layerInView();
  if (!layer || !layer->plan) {
    m_strip->setLanes({});
    return;
  }
  const auto& boundaries = layer->plan->trace.boundaries;
  m_strip->setBoundaries(boundaries.size() > 1 ? MatrixView::Boundaries(layer->plan, &boundaries) : nullptr);
  using Lane = std::shared_ptr<const std::vector<float>>;
  std::vector<ImportanceLane> lanes;
  const TokenImportance& importance = layer->metrics.importance;
  if (!importance.received_mass.empty()) {
    const bool sampled = importance.row_step > 1;
    lanes.push_back({tr("Received mass, dense"),
                     sampled ? tr("≈ one row in %1").arg(formatCount(importance.row_step)) : QString(),
                     Lane(layer, &importance.received_mass), ColourScale::Log, sampled});
  }
  if (!layer->predicted.empty()) {
    lanes.push_back({tr("Predicted"), tr("× mean"), Lane(layer, &layer->predicted), ColourScale::Log});
  }
  if (!importance.retention.empty()) {
    lanes.push_back({tr("Kept by rows"), tr("share"), Lane(layer, &importance.retention), ColourScale::Linear});
  }
  m_strip->setLanes(std::move(lanes));
  m_strip->setSelectedKeys({m_explorer->view()->keysBegin(), m_explorer->view()->keysEnd()});
}

}  // namespace dhsa
