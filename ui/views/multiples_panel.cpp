#include "ui/views/multiples_panel.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/analysis/pyramid.h"
#include "core/figures/figure_spec.h"
#include "ui/models/format.h"
#include "ui/state/explorer.h"
#include "ui/views/multiples_view.h"

namespace dhsa {
namespace {

constexpr int kSoonMs = 120;
constexpr int kSide = 96;  // blocks of a picture, along each axis

constexpr std::array kKinds = {FigureKind::kDropped, FigureKind::kMask, FigureKind::kDense};

// Of one head. Masks are shown by density: nearly every block of a long text keeps something.
std::vector<float> makePicture(const MeasuredLayer& layer, int head, FigureKind what, const CancelToken* cancel) {
  const KeyMask& mask = layer.plan->mask;
  if (what == FigureKind::kMask) {
    SampleGrid grid;
    const auto tokens = static_cast<double>(mask.rows());
    const auto side = static_cast<int>(std::min<std::int64_t>(kSide, mask.rows()));
    const auto heads = static_cast<int>(layer.metrics.heads.size());
    layer.masks[static_cast<std::size_t>(mask.mask_head(head, heads))]->sample({0, tokens, 0, tokens}, side, side,
                                                                               {.cancel = cancel}, grid);
    return std::move(grid.mean);
  }
  AttentionInput input;
  input.q = layer.captured->q();
  input.k = layer.captured->k();
  input.heads = {head};
  input.layer = layer.captured->layer();
  input.mask = std::shared_ptr<const KeyMask>(layer.plan, &mask);
  return glance(input, what == FigureKind::kDense ? AttentionLevels::What::kDense : AttentionLevels::What::kDropped,
                kSide, cancel)
      .max;
}

}  // namespace

MultiplesPanel::MultiplesPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_view(new MultiplesView),
      m_over(new QComboBox(this)),
      m_what(new QComboBox(this)),
      m_note(new QLabel(this)),
      m_export(new QPushButton(tr("Export…"), this)) {
  setObjectName(QStringLiteral("multiplesPanel"));
  m_view->setObjectName(QStringLiteral("multiplesView"));
  m_over->setObjectName(QStringLiteral("multiplesOver"));
  m_over->setAccessibleName(tr("Heads or layers"));
  m_over->addItem(tr("All heads of the layer"));
  m_over->addItem(tr("All layers of the head"));
  m_what->setObjectName(QStringLiteral("multiplesWhat"));
  m_what->setAccessibleName(tr("What every picture shows"));
  for (const FigureKind kind : kKinds) m_what->addItem(QString::fromUtf8(figure_kind(kind).label));
  m_note->setObjectName(QStringLiteral("multiplesNote"));
  m_note->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  m_export->setObjectName(QStringLiteral("multiplesExport"));
  m_export->setToolTip(tr("All pictures as one figure, of all rows"));
  m_export->setAutoDefault(false);
  auto* bar = new QHBoxLayout;
  bar->setContentsMargins(8, 4, 8, 2);
  bar->setSpacing(6);
  bar->addWidget(m_over);
  bar->addWidget(m_what);
  bar->addWidget(m_note, 1);
  bar->addWidget(m_export);
  auto* scroll = new QScrollArea(this);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setWidgetResizable(true);
  scroll->setFocusPolicy(Qt::NoFocus);
  scroll->setWidget(m_view);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addLayout(bar);
  layout->addWidget(scroll, 1);
  setFocusProxy(m_view);

  m_soon.setSingleShot(true);
  m_soon.setInterval(kSoonMs);
  connect(&m_soon, &QTimer::timeout, this, &MultiplesPanel::refresh);
  const auto soon = [this] {
    if (m_seen && !m_soon.isActive()) m_soon.start();
  };
  ViewState* view = explorer->view();
  connect(view, &ViewState::layerChanged, this, &MultiplesPanel::refresh);
  connect(view, &ViewState::headChanged, this, &MultiplesPanel::refresh);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, soon);
  connect(explorer->whatIf(), &WhatIf::layersReset, this, [this] {
    m_pictures.clear();
    refresh();
  });
  connect(m_over, &QComboBox::currentIndexChanged, this, &MultiplesPanel::refresh);
  connect(m_what, &QComboBox::currentIndexChanged, this, &MultiplesPanel::refresh);
  connect(explorer->engine(), &Engine::cancelled, this, [this](JobKind kind) {
    if (kind == JobKind::kMultiples) say();
  });
  connect(m_view, &MultiplesView::chosen, this, [view](int layer, int head) {
    view->setLayer(layer);
    view->setHead(head);
  });
  connect(m_view, &MultiplesView::statusText, this, &MultiplesPanel::statusText);
  connect(m_export, &QPushButton::clicked, this, [this] {
    const FigureKind kind = kKinds[static_cast<std::size_t>(m_what->currentIndex())];
    Q_EMIT figureWanted(QString::fromLatin1(figure_kind(kind).key), byLayer());
  });
  refresh();
}

const MultiplesPanel::Picture* MultiplesPanel::pictureOf(const Multiple& one) const {
  const auto layer = m_explorer->whatIf()->layer(one.layer);
  const auto known = layer ? m_pictures.find(Key{layer->plan, one.head, m_what->currentIndex()}) : m_pictures.end();
  return known == m_pictures.end() ? nullptr : &known->second;
}

bool MultiplesPanel::byLayer() const { return m_over->currentIndex() == 1; }

void MultiplesPanel::setSeen(bool seen) {
  m_seen = seen;
  refresh();
}

void MultiplesPanel::refresh() {
  m_soon.stop();
  const WhatIf* whatIf = m_explorer->whatIf();
  const ViewState* view = m_explorer->view();
  const int kind = m_what->currentIndex();
  std::vector<Multiple> multiples;
  struct Missing {
    std::shared_ptr<const MeasuredLayer> layer;
    int head;
  };
  std::vector<Missing> missing;
  std::erase_if(m_pictures, [&](const auto& picture) {
    for (int index = 0; index < whatIf->layers(); ++index) {
      if (const auto layer = whatIf->layer(index); layer && layer->plan == std::get<0>(picture.first)) return false;
    }
    return true;
  });
  const std::vector<Multiple> before =
      std::exchange(m_shown, kind) == kind ? m_view->multiples() : std::vector<Multiple>();
  const int count = byLayer() ? whatIf->layers() : m_explorer->session()->heads();
  for (int i = 0; i < count; ++i) {
    Multiple one;
    one.layer = byLayer() ? i : view->layer();
    one.head = byLayer() ? view->head() : i;
    one.name = byLayer() ? tr("Layer %1").arg(i) : tr("Head %1").arg(i);
    const auto layer = whatIf->layer(one.layer);
    one.help = tr("layer %1 · head %2").arg(one.layer).arg(one.head);
    if (layer) {
      if (byLayer()) one.name += layer->plan->mask.window() > 0 ? tr(" local") : tr(" global");
      Measured dropped = layer->metrics.heads[static_cast<std::size_t>(one.head)].at("retained_mass");
      dropped.value = 1 - dropped.value;
      one.cost =
          tr("drops %1").arg((dropped.sampled() ? QStringLiteral("≈ ") : QString()) + formatPercent(dropped.value));
      one.help += tr(" · dropped mass %1").arg(formatMeasured(measure("retained_mass"), dropped));
      if (const QString note = whatIf->outdatedNote(one.layer); !note.isEmpty()) one.help += tr(" · %1").arg(note);
      // One of an older plan stays until the new one is made.
      const auto old = std::find_if(before.begin(), before.end(), [&](const Multiple& other) {
        return other.layer == one.layer && other.head == one.head;
      });
      if (old != before.end()) {
        one.values = old->values;
        one.side = old->side;
      }
      if (const Picture* known = pictureOf(one)) {
        one.values = known->values;
        one.side = known->side;
      } else if (layer->captured || kKinds[static_cast<std::size_t>(kind)] == FigureKind::kMask) {
        missing.push_back({layer, one.head});
      } else {
        one.cost = tr("not kept: run again");
      }
    }
    multiples.push_back(std::move(one));
  }
  const FigureKind what = kKinds[static_cast<std::size_t>(kind)];
  const ColourSettings look = ColourSettings::forKind(MatrixSource::Kind::kProbability);
  if (what == FigureKind::kMask)
    m_view->setLook(ColourMapId::Mask, ColourScale::Linear, tr("share kept"));
  else
    m_view->setLook(look.map, look.scale, what == FigureKind::kDense ? tr("probability") : tr("dropped probability"));
  m_view->setMultiples(std::move(multiples));
  m_view->setCurrent(view->layer(), view->head());
  m_export->setEnabled(count > 0 && whatIf->layerInView());
  say();
  if (missing.empty() || !m_seen) {
    m_explorer->engine()->cancel(JobKind::kMultiples);
    return;
  }
  // Made once, also where the work makes way for more urgent work and begins again.
  auto made = std::make_shared<std::vector<Picture>>(missing.size());
  m_explorer->engine()->submit(JobKind::kMultiples, [this, missing, made, kind, what](const JobContext& job) {
    for (std::size_t i = 0; i < missing.size(); ++i) {
      Picture& picture = (*made)[i];
      const auto& [layer, head] = missing[i];
      if (!picture.values) {
        if (job.cancel() != nullptr) job.cancel()->check();
        auto values = std::make_shared<const std::vector<float>>(makePicture(*layer, head, what, job.cancel()));
        picture = {values, static_cast<int>(std::lround(std::sqrt(static_cast<double>(values->size()))))};
      }
      job.post([this, key = Key{layer->plan, head, kind}, picture] {
        m_pictures[key] = picture;
        show();
      });
    }
  });
}

// Pictures that have come since, into what is shown.
void MultiplesPanel::show() {
  std::vector<Multiple> multiples = m_view->multiples();
  for (Multiple& one : multiples) {
    const Picture* known = pictureOf(one);
    if (!known) continue;
    one.values = known->values;
    one.side = known->side;
  }
  m_view->setMultiples(std::move(multiples));
  say();
}

void MultiplesPanel::say() {
  const std::vector<Multiple>& all = m_view->multiples();
  const auto made = std::count_if(all.begin(), all.end(), [this](const Multiple& one) { return pictureOf(one); });
  const auto document = m_explorer->session()->document();
  const bool mask = kKinds[static_cast<std::size_t>(m_what->currentIndex())] == FigureKind::kMask;
  const qint64 block = document ? (document->tokens() + kSide - 1) / kSide : 1;
  QString text;
  if (made < static_cast<std::ptrdiff_t>(all.size()))
    text = tr("%1 of %2 made").arg(made).arg(all.size());
  else if (mask)
    text = tr("share kept of %1×%1 pairs").arg(formatCount(block));
  else if (block > kGlanceRows)
    text = tr("≈ max of %1×%1 pairs, %2 rows of each looked at").arg(formatCount(block)).arg(kGlanceRows);
  m_note->setText(text);
  m_note->setToolTip(mask || block <= kGlanceRows
                         ? QString()
                         : tr("≈: rows drawn at random from each block; the figure that is exported is of all rows."));
}

}  // namespace dhsa
