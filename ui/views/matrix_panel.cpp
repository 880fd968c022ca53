#include "ui/views/matrix_panel.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QStandardItemModel>
#include <QVBoxLayout>
#include <QWidgetAction>
#include <nlohmann/json.hpp>

#include "core/analysis/pyramid.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

constexpr int kContents = 8;
constexpr int kModes = 6;

QString contentName(MatrixContent content) {
  switch (content) {
    case MatrixContent::kMask:
      return MatrixPanel::tr("Retained mask");
    case MatrixContent::kDense:
      return MatrixPanel::tr("Dense attention");
    case MatrixContent::kSparse:
      return MatrixPanel::tr("Sparse attention");
    case MatrixContent::kDifference:
      return MatrixPanel::tr("Dense − sparse");
    case MatrixContent::kTokenScores:
      return MatrixPanel::tr("Chunk similarity spread over tokens (S_t)");
    case MatrixContent::kChunkScores:
      return MatrixPanel::tr("Chunk similarity (S_c)");
    case MatrixContent::kPinnedMask:
      return MatrixPanel::tr("Mask of pinned run");
    case MatrixContent::kDropped:
      return MatrixPanel::tr("Dropped mass: dense attention where the mask is 0");
  }
  return {};
}

// For the pickers, which stand in one line even on a small screen; the matrix' title has the whole name.
QString shortName(MatrixContent content) {
  switch (content) {
    case MatrixContent::kMask:
      return MatrixPanel::tr("Mask");
    case MatrixContent::kDense:
      return MatrixPanel::tr("Dense");
    case MatrixContent::kSparse:
      return MatrixPanel::tr("Sparse");
    case MatrixContent::kTokenScores:
      return MatrixPanel::tr("Token scores");
    case MatrixContent::kChunkScores:
      return MatrixPanel::tr("Chunk scores");
    case MatrixContent::kPinnedMask:
      return MatrixPanel::tr("Pinned mask");
    case MatrixContent::kDropped:
      return MatrixPanel::tr("Dropped mass");
    default:
      return contentName(content);
  }
}

MatrixSource::Kind kindOf(MatrixContent content) {
  switch (content) {
    case MatrixContent::kDense:
    case MatrixContent::kSparse:
    case MatrixContent::kDropped:
      return MatrixSource::Kind::kProbability;
    case MatrixContent::kDifference:
      return MatrixSource::Kind::kDifference;
    case MatrixContent::kTokenScores:
    case MatrixContent::kChunkScores:
      return MatrixSource::Kind::kScore;
    default:
      return MatrixSource::Kind::kMask;
  }
}

bool needsAttention(MatrixContent content) {
  return content == MatrixContent::kDense || content == MatrixContent::kSparse ||
         content == MatrixContent::kDifference || content == MatrixContent::kDropped;
}

QComboBox* makePicker(QWidget* parent, const char* name, const QString& accessible, const QString& tip) {
  auto* combo = new QComboBox(parent);
  combo->setObjectName(QString::fromLatin1(name));
  combo->setAccessibleName(accessible);
  combo->setToolTip(tip);
  return combo;
}

template <class Enum>
Enum bounded(const nlohmann::json& json, const char* key, Enum now, int count) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) return now;
  const int value = found->get<int>();
  return value >= 0 && value < count ? static_cast<Enum>(value) : now;
}

}  // namespace

MatrixPanel::MatrixPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent), m_explorer(explorer), m_matrix(new MatrixView(this)) {
  setObjectName(QStringLiteral("matrixPanel"));
  m_layer = makePicker(this, "layerPicker", tr("Layer"), tr("Layer in view (Ctrl+PgUp, Ctrl+PgDown)"));
  m_head = makePicker(this, "headPicker", tr("Head"), tr("Query head in view (Ctrl+Shift+PgUp, Ctrl+Shift+PgDown)"));
  m_side[0] = makePicker(this, "sideA", tr("Matrix A"), tr("What side A shows"));
  m_side[1] = makePicker(this, "sideB", tr("Matrix B"), tr("What side B shows, where two are compared"));
  m_mode = makePicker(this, "compareMode", tr("Comparison"),
                      tr("One matrix, both side by side, a split line to drag, a composite, or the difference"));
  for (QComboBox* side : m_side) {
    for (int i = 0; i < kContents; ++i) {
      side->addItem(shortName(static_cast<MatrixContent>(i)));
      side->setItemData(i, contentName(static_cast<MatrixContent>(i)), Qt::ToolTipRole);
    }
    side->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  }
  m_side[0]->setCurrentIndex(static_cast<int>(MatrixContent::kDense));
  for (int i = 0; i < kModes; ++i) m_mode->addItem(compareModeName(static_cast<CompareMode>(i)));
  m_layer->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_head->setFixedWidth(fontMetrics().horizontalAdvance(QStringLiteral("00")) + 38);
  m_mode->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_display = new QPushButton(this);
  m_display->setObjectName(QStringLiteral("displayMenu"));
  m_display->setText(tr("Display"));
  m_display->setAccessibleName(tr("Display: colours, range, reducer"));
  m_display->setToolTip(tr("Colours, scale, range, reducer, keys to leave out, strips and grid"));
  m_display->setAutoDefault(false);
  m_display->setMaximumWidth(fontMetrics().horizontalAdvance(m_display->text()) + 30);
  auto* menu = new QMenu(m_display);
  auto* content = new QWidgetAction(menu);
  content->setDefaultWidget(makeDisplayMenu());
  menu->addAction(content);
  m_display->setMenu(menu);

  auto* bar = new QHBoxLayout;
  bar->setContentsMargins(8, 4, 8, 0);
  bar->setSpacing(4);
  const auto labelled = [&](const QString& text, QWidget* widget, int stretch) {
    auto* label = new QLabel(text, this);
    label->setBuddy(widget);
    bar->addWidget(label);
    bar->addWidget(widget, stretch);
  };
  labelled(tr("&Layer"), m_layer, 0);
  labelled(tr("Hea&d"), m_head, 0);
  labelled(tr("&A"), m_side[0], 1);
  bar->addWidget(m_mode, 1);
  labelled(tr("&B"), m_side[1], 1);
  bar->addWidget(m_display);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addLayout(bar);
  layout->addWidget(m_matrix, 1);
  setFocusProxy(m_matrix);
  m_matrix->setObjectName(QStringLiteral("matrixView"));

  ViewState* view = explorer->view();
  connect(m_layer, &QComboBox::activated, view, &ViewState::setLayer);
  connect(m_head, &QComboBox::activated, view, &ViewState::setHead);
  for (QComboBox* side : m_side) {
    connect(side, &QComboBox::currentIndexChanged, this, [this] {
      if (m_filling) return;
      refresh();
      Q_EMIT settingsChanged();
    });
  }
  connect(m_mode, &QComboBox::currentIndexChanged, this, [this](int index) {
    m_matrix->setCompareMode(static_cast<CompareMode>(index));
    m_side[1]->setEnabled(static_cast<CompareMode>(index) != CompareMode::A);
    m_side[0]->setEnabled(static_cast<CompareMode>(index) != CompareMode::B);
    refresh();
    Q_EMIT settingsChanged();
  });

  connect(m_matrix, &MatrixView::rowSelected, view, &ViewState::selectRow);
  connect(m_matrix, &MatrixView::keyRangeSelected, view, &ViewState::selectKeys);
  connect(m_matrix, &MatrixView::hovered, view, &ViewState::hover);
  connect(m_matrix, &MatrixView::viewChanged, view, &ViewState::setZoom);
  connect(m_matrix, &MatrixView::viewChanged, this, [this] { Q_EMIT reducerChanged(m_matrix->reducerText()); });
  connect(m_matrix, &MatrixView::statusText, this, &MatrixPanel::statusText);
  connect(view, &ViewState::rowSelected, m_matrix, &MatrixView::setSelectedRow);
  connect(view, &ViewState::keysSelected, m_matrix, [this](qint64 begin, qint64 end) {
    m_matrix->setSelectedKeys({begin, end});
  });
  connect(view, &ViewState::hovered, m_matrix, [this](qint64 row, qint64 key) {
    // The text knows keys only: without a row the crosshair stands on the diagonal.
    m_matrix->setCrosshair(key < 0 ? MatrixCell{} : MatrixCell{row < 0 ? key : row, key});
  });
  connect(view, &ViewState::zoomChanged, m_matrix, [this](const QRectF& zoom) {
    if (zoom.isEmpty()) {
      m_matrix->fitView();
    } else {
      m_matrix->moveView(zoom);
    }
  });
  connect(view, &ViewState::cellWanted, m_matrix, [this](qint64 row, qint64 key) {
    m_matrix->ensureVisible({row, key});
  });
  connect(view, &ViewState::marksChanged, m_matrix, &MatrixView::setMarks);
  connect(view, &ViewState::layerChanged, this, &MatrixPanel::refresh);
  connect(view, &ViewState::headChanged, this, &MatrixPanel::refresh);
  connect(explorer->session(), &Session::modelChanged, this, &MatrixPanel::fillPickers);
  connect(explorer->whatIf(), &WhatIf::layersReset, this, [this] {
    fillPickers();
    refresh();
  });
  connect(explorer->session(), &Session::documentChanged, this, [this] {
    m_matrix->setTokenText(
        [document = m_explorer->session()->document()](qint64 token) { return document->tokenLabel(token); });
  });
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this](int layer) {
    if (layer == m_explorer->view()->layer()) refresh();
  });
  connect(explorer->whatIf(), &WhatIf::attentionChanged, this, &MatrixPanel::refresh);
  connect(explorer->whatIf(), &WhatIf::staleChanged, this, &MatrixPanel::refreshDimming);
  connect(explorer, &Explorer::busyChanged, this, &MatrixPanel::refreshDimming);
  connect(explorer->history()->runs(), &RunList::pinnedChanged, this, &MatrixPanel::refresh);
  m_mode->setCurrentIndex(static_cast<int>(CompareMode::SideBySide));
}

QWidget* MatrixPanel::makeDisplayMenu() {
  auto* panel = new QWidget(this);
  auto* form = new QFormLayout(panel);
  form->setContentsMargins(12, 10, 12, 10);
  m_map =
      makePicker(panel, "colourMap", tr("Colour map"),
                 tr("Differences always take the diverging map, masks the two colours of their own. Default: magma for "
                    "attention, viridis for scores"));
  for (const ColourMapId id : ColourMap::all()) m_map->addItem(ColourMap::name(id), static_cast<int>(id));
  m_scale = makePicker(panel, "colourScale", tr("Scale"), tr("Default: logarithmic for attention, linear otherwise"));
  m_scale->addItems({tr("Linear"), tr("Logarithmic"), tr("Square root")});
  m_range = makePicker(panel, "colourRange", tr("Range"), tr("What the ends of the colours stand for"));
  m_range->addItems({tr("Smallest to largest"), tr("Percentiles 1 to 99"), tr("Visible area"), tr("Manual")});
  const auto number = [&](const char* name, const QString& accessible) {
    auto* box = new QDoubleSpinBox(panel);
    box->setObjectName(QString::fromLatin1(name));
    box->setAccessibleName(accessible);
    box->setDecimals(6);
    box->setRange(-1e6, 1e6);
    box->setKeyboardTracking(false);
    box->setToolTip(tr("Used where the range is manual"));
    return box;
  };
  m_low = number("colourLow", tr("Low end"));
  m_high = number("colourHigh", tr("High end"));
  m_reducer = makePicker(panel, "reducer", tr("Reducer"),
                         tr("What a pixel shows of the query–key pairs behind it: their maximum, so that nothing kept "
                            "disappears, or their mean (of a mask: the share kept). Default: maximum"));
  m_reducer->addItems({tr("Maximum"), tr("Mean, share kept")});
  m_skip = new QSpinBox(panel);
  m_skip->setObjectName(QStringLiteral("skipKeys"));
  m_skip->setRange(0, 4096);
  m_skip->setSuffix(tr(" keys"));
  m_skip->setAccessibleName(tr("Leave out the first keys"));
  m_skip->setToolTip(tr("The first keys draw so much attention that nothing else shows. Unit: keys. Default: 0"));
  form->addRow(tr("Colour &map"), m_map);
  form->addRow(tr("&Scale"), m_scale);
  form->addRow(tr("Ra&nge"), m_range);
  form->addRow(tr("Lo&w end"), m_low);
  form->addRow(tr("Hi&gh end"), m_high);
  form->addRow(tr("Red&ucer"), m_reducer);
  form->addRow(tr("Leave &out first"), m_skip);
  const auto toggle = [&](const QString& text, auto apply) {
    auto* box = new QCheckBox(text, panel);
    box->setChecked(true);
    connect(box, &QCheckBox::toggled, m_matrix, apply);
    form->addRow(box);
  };
  toggle(tr("Row and column s&trips"), &MatrixView::setStripsVisible);
  toggle(tr("&Chunk grid"), &MatrixView::setChunksVisible);
  toggle(tr("Min&imap"), &MatrixView::setMinimapVisible);
  toggle(tr("Equal scales on both a&xes"), &MatrixView::setSquare);

  const auto colours = [this] {
    if (m_filling) return;
    ColourSettings settings = m_matrix->colours();
    settings.map = static_cast<ColourMapId>(m_map->currentData().toInt());
    settings.scale = static_cast<ColourScale>(m_scale->currentIndex());
    settings.range = static_cast<RangeMode>(m_range->currentIndex());
    settings.manualLow = m_low->value();
    settings.manualHigh = m_high->value();
    m_colours[colourKind()] = settings;
    applyColours(settings);
    Q_EMIT settingsChanged();
  };
  for (QComboBox* combo : {m_map, m_scale, m_range}) connect(combo, &QComboBox::activated, this, colours);
  for (QDoubleSpinBox* box : {m_low, m_high}) connect(box, &QDoubleSpinBox::valueChanged, this, colours);
  connect(m_reducer, &QComboBox::currentIndexChanged, this, [this](int index) {
    m_matrix->setReducer(static_cast<Reducer>(index));
    Q_EMIT reducerChanged(m_matrix->reducerText());
    Q_EMIT settingsChanged();
  });
  connect(m_skip, &QSpinBox::valueChanged, this, [this](int keys) {
    m_matrix->setSkipKeys(keys);
    Q_EMIT settingsChanged();
  });
  return panel;
}

MatrixContent MatrixPanel::content(int side) const { return static_cast<MatrixContent>(m_side[side]->currentIndex()); }
void MatrixPanel::setContent(int side, MatrixContent content) {
  m_side[side]->setCurrentIndex(static_cast<int>(content));
}
bool MatrixPanel::wantsPinnedRun() const {
  const auto mode = static_cast<CompareMode>(m_mode->currentIndex());
  return (mode != CompareMode::B && content(0) == MatrixContent::kPinnedMask) ||
         (mode != CompareMode::A && content(1) == MatrixContent::kPinnedMask);
}
void MatrixPanel::setMode(CompareMode mode) { m_mode->setCurrentIndex(static_cast<int>(mode)); }

void MatrixPanel::fillPickers() {
  const auto model = m_explorer->session()->model();
  if (!model) return;
  const Gemma2Config& config = model->weights->config();
  const QSignalBlocker layers(m_layer);
  const QSignalBlocker heads(m_head);
  m_layer->clear();
  m_head->clear();
  for (int layer = 0; layer < static_cast<int>(config.layers); ++layer) {
    m_layer->addItem(config.window_of(layer) > 0 ? tr("%1 local").arg(layer) : tr("%1 global").arg(layer));
  }
  for (int head = 0; head < static_cast<int>(config.heads); ++head) m_head->addItem(QString::number(head));
  m_layer->setCurrentIndex(m_explorer->view()->layer());
  m_head->setCurrentIndex(m_explorer->view()->head());
}

MatrixLayer MatrixPanel::make(MatrixContent content) {
  MatrixLayer made;
  made.title = contentName(content);
  const auto layer = m_explorer->whatIf()->layerInView();
  const int head = m_explorer->view()->head();
  if (!layer || !layer->plan) return made;
  switch (content) {
    case MatrixContent::kMask:
      made.source =
          layer->masks[static_cast<std::size_t>(layer->plan->mask.mask_head(head, m_explorer->session()->heads()))];
      break;
    case MatrixContent::kPinnedMask: {
      const Run* pinned = m_explorer->history()->comparison();
      const auto index = static_cast<std::size_t>(layer->layer);
      if (pinned && index < pinned->result.trace.plans.size() && pinned->result.trace.plans[index]) {
        const auto& plan = pinned->result.trace.plans[index];
        if (plan != m_pinnedPlan) {
          m_pinnedPlan = plan;
          m_pinnedMasks = mask_sources(plan);
        }
        made.source =
            m_pinnedMasks[static_cast<std::size_t>(plan->mask.mask_head(head, m_explorer->session()->heads()))];
        made.title = tr("Mask of “%1”").arg(pinned->label);
      } else {
        made.title = tr("No run is pinned");
      }
      break;
    }
    case MatrixContent::kTokenScores:
    case MatrixContent::kChunkScores:
      if (layer->plan->trace.chunk_scores.empty()) {
        made.title = tr("%1: this method has none").arg(made.title);
      } else {
        made.source = score_source(*layer->plan, layer->plan->mask.mask_head(head, m_explorer->session()->heads()),
                                   content == MatrixContent::kTokenScores);
        made.unit = tr("similarity");
      }
      break;
    default:
      if (const auto levels = m_explorer->whatIf()->attention();
          levels && levels->input().heads.front() == head && levels->input().layer.index == layer->layer) {
        if (levels != m_levels) {
          m_levels = levels;
          for (const auto what : {AttentionLevels::What::kDense, AttentionLevels::What::kSparse,
                                  AttentionLevels::What::kDifference, AttentionLevels::What::kDropped})
            m_attention[static_cast<std::size_t>(what)] = attention_source(levels, what);
        }
        made.source = m_attention[static_cast<std::size_t>(
            content == MatrixContent::kDense     ? AttentionLevels::What::kDense
            : content == MatrixContent::kSparse  ? AttentionLevels::What::kSparse
            : content == MatrixContent::kDropped ? AttentionLevels::What::kDropped
                                                 : AttentionLevels::What::kDifference)];
        made.unit = tr("probability");
      } else if (!layer->captured) {
        made.title = tr("%1: run again with this layer in view").arg(made.title);
      } else {
        made.pending = true;
      }
      break;
  }
  return made;
}

MatrixSource::Kind MatrixPanel::colourKind() const {
  // With both sides on the screen the one with values to tell apart decides; a mask needs only two colours.
  const auto a = kindOf(content(0));
  const auto b = kindOf(content(1));
  const auto mode = static_cast<CompareMode>(m_mode->currentIndex());
  if (mode == CompareMode::A) return a;
  if (mode == CompareMode::B) return b;
  return a == MatrixSource::Kind::kMask ? b : a;
}

void MatrixPanel::applyColours(const ColourSettings& colours) {
  m_matrix->setColours(colours);
  showColours();
}

void MatrixPanel::showColours() {
  const ColourSettings& colours = m_matrix->colours();
  m_filling = true;
  m_map->setCurrentIndex(m_map->findData(static_cast<int>(colours.map)));
  m_scale->setCurrentIndex(static_cast<int>(colours.scale));
  m_range->setCurrentIndex(static_cast<int>(colours.range));
  m_low->setValue(colours.manualLow);
  m_high->setValue(colours.manualHigh);
  m_map->setEnabled(colourKind() != MatrixSource::Kind::kMask);
  m_low->setEnabled(colours.range == RangeMode::Manual);
  m_high->setEnabled(colours.range == RangeMode::Manual);
  m_filling = false;
}

void MatrixPanel::refresh() {
  const auto layer = m_explorer->whatIf()->layerInView();
  m_layer->setCurrentIndex(m_explorer->view()->layer());
  m_head->setCurrentIndex(m_explorer->view()->head());
  offerDifference();
  const auto kind = colourKind();
  const auto known = m_colours.find(kind);
  applyColours(known != m_colours.end() ? known->second : ColourSettings::forKind(kind));
  if (layer && layer->plan) {
    const auto& boundaries = layer->plan->trace.boundaries;
    m_matrix->setBoundaries(boundaries.size() > 1 ? MatrixView::Boundaries(layer->plan, &layer->plan->trace.boundaries)
                                                  : nullptr);
    m_matrix->setWindow(layer->plan->mask.window());
  }
  m_matrix->setLayers(make(content(0)), make(content(1)));
  // The view forgets a selection while it has nothing to show.
  m_matrix->setSelectedRow(m_explorer->view()->row());
  m_matrix->setSelectedKeys({m_explorer->view()->keysBegin(), m_explorer->view()->keysEnd()});
  refreshDimming();
  Q_EMIT reducerChanged(m_matrix->reducerText());
}

// Of two matrices of one kind only: a mask less a probability is nothing.
void MatrixPanel::offerDifference() {
  const bool alike = kindOf(content(0)) == kindOf(content(1));
  const int difference = static_cast<int>(CompareMode::Difference);
  auto* item = qobject_cast<QStandardItemModel*>(m_mode->model())->item(difference);
  item->setEnabled(alike);
  item->setToolTip(alike ? QString()
                         : tr("Of two matrices of one kind only; what a mask loses is the matrix “Dropped mass”"));
  if (!alike && m_mode->currentIndex() == difference)
    m_mode->setCurrentIndex(static_cast<int>(CompareMode::SideBySide));
}

void MatrixPanel::refreshDimming() {
  const auto layer = m_explorer->whatIf()->layerInView();
  const auto mode = static_cast<CompareMode>(m_mode->currentIndex());
  // Attention that is shown belongs to another mask: only what is made with the mask is out of date.
  const auto outdated = [&](MatrixContent shown) {
    const auto levels = m_explorer->whatIf()->attention();
    if (!layer || !layer->captured || !needsAttention(shown)) return false;
    if (!levels) return mode == CompareMode::A || mode == CompareMode::B;
    return shown != MatrixContent::kDense && levels->input().mask.get() != &layer->plan->mask;
  };
  const bool pending =
      (mode != CompareMode::B && outdated(content(0))) || (mode != CompareMode::A && outdated(content(1)));
  if (!layer) {
    m_matrix->setBusy(true, m_explorer->engine()->isBusy()
                                ? tr("Waiting for layer %1…").arg(m_explorer->view()->layer())
                                : QString());
  } else if (m_explorer->whatIf()->isStale()) {
    const bool contradicting = !m_explorer->parameters()->problem().isEmpty();
    m_matrix->setBusy(true, contradicting      ? tr("These parameters cannot be planned with")
                            : !layer->captured ? tr("Of the last run: its queries and keys were not kept")
                                               : tr("Planning…"));
  } else {
    m_matrix->setBusy(pending && m_explorer->engine()->isBusy(JobKind::kPicture), tr("Attention…"));
  }
}

nlohmann::json MatrixPanel::settings() const {
  nlohmann::json colours = nlohmann::json::object();
  for (const auto& [kind, c] : m_colours) {
    colours[std::to_string(static_cast<int>(kind))] = {{"map", ColourMap::key(c.map).toStdString()},
                                                       {"scale", static_cast<int>(c.scale)},
                                                       {"range", static_cast<int>(c.range)},
                                                       {"low", c.manualLow},
                                                       {"high", c.manualHigh}};
  }
  return {{"a", m_side[0]->currentIndex()},
          {"b", m_side[1]->currentIndex()},
          {"mode", m_mode->currentIndex()},
          {"reducer", m_reducer->currentIndex()},
          {"skip_keys", m_skip->value()},
          {"split", m_matrix->splitPosition()},
          {"colours", colours}};
}

void MatrixPanel::applySettings(const nlohmann::json& json) {
  if (!json.is_object()) return;
  m_side[0]->setCurrentIndex(static_cast<int>(bounded(json, "a", content(0), kContents)));
  m_side[1]->setCurrentIndex(static_cast<int>(bounded(json, "b", content(1), kContents)));
  m_mode->setCurrentIndex(bounded(json, "mode", m_mode->currentIndex(), kModes));
  m_reducer->setCurrentIndex(bounded(json, "reducer", m_reducer->currentIndex(), 2));
  m_skip->setValue(bounded(json, "skip_keys", m_skip->value(), m_skip->maximum() + 1));
  if (const auto split = json.find("split"); split != json.end() && split->is_number()) {
    m_matrix->setSplitPosition(split->get<double>());
  }
  const auto colours = json.find("colours");
  if (colours != json.end() && colours->is_object()) {
    for (int kind = 0; kind < 4; ++kind) {
      const auto found = colours->find(std::to_string(kind));
      if (found == colours->end() || !found->is_object()) continue;
      ColourSettings c = ColourSettings::forKind(static_cast<MatrixSource::Kind>(kind));
      if (const auto map = found->find("map"); map != found->end() && map->is_string()) {
        c.map = ColourMap::fromKey(QString::fromStdString(map->get<std::string>()), c.map);
      }
      c.scale = bounded(*found, "scale", c.scale, 3);
      c.range = bounded(*found, "range", c.range, 4);
      if (const auto low = found->find("low"); low != found->end() && low->is_number())
        c.manualLow = low->get<double>();
      if (const auto high = found->find("high"); high != found->end() && high->is_number())
        c.manualHigh = high->get<double>();
      m_colours[static_cast<MatrixSource::Kind>(kind)] = c;
    }
  }
  refresh();
}

}  // namespace dhsa
