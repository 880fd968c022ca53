#include "ui/views/text_panel.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QTimer>
#include <QToolButton>
#include <algorithm>
#include <cmath>
#include <vector>

#include "ui/models/format.h"
#include "ui/state/explorer.h"
#include "ui/views/text_view.h"
#include "ui/views/theme.h"
#include "ui/views/view_theme.h"

namespace dhsa {
namespace {

// What the shadings of a selected row mean, drawn as the text draws them; on a second line what has no room on the
// first.
class RowLegend : public QLabel {
 public:
  explicit RowLegend(QWidget* parent) : QLabel(parent) {
    QSizePolicy policy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
  }
  [[nodiscard]] bool hasHeightForWidth() const override { return true; }
  [[nodiscard]] int heightForWidth(int width) const override {
    int bottom = 0;
    for (const Entry& entry : entries(width)) bottom = std::max(bottom, entry.box.bottom() + 3);
    return bottom;
  }
  [[nodiscard]] QSize sizeHint() const override { return {0, heightForWidth(std::max(1, width()))}; }

 protected:
  void paintEvent(QPaintEvent* /*event*/) override {
    const Colours colours(palette());
    QPainter painter(this);
    for (const Entry& entry : entries(width())) {
      painter.fillRect(entry.box, entry.fill);
      painter.fillRect(entry.box, entry.hatch);
      if (entry.underlined) painter.fillRect(entry.box.adjusted(0, entry.box.height() - 2, 0, 0), colours.important);
      painter.setPen(entry.pen);
      painter.drawText(entry.box, Qt::AlignCenter, entry.text);
    }
  }

 private:
  struct Entry {
    QString text;
    QColor fill;
    QColor pen;
    QBrush hatch = {};
    bool underlined = false;
    QRect box = {};
  };
  [[nodiscard]] std::vector<Entry> entries(int width) const {
    const Colours colours(palette());
    const ViewTheme theme = ViewTheme::of(palette());
    const QColor base = palette().color(QPalette::Base);
    const QColor ink = palette().color(QPalette::Text);
    const QColor quiet = mixed(base, ink, 0.48);
    std::vector<Entry> entries = {
        {TextPanel::tr("kept"), mixed(base, colours.kept, isDark(palette()) ? 0.42 : 0.30), ink},
        {TextPanel::tr("dropped"), base, quiet},
        {TextPanel::tr("dropped but important"), mixed(base, colours.important, 0.22), ink,
         QBrush(mixed(base, colours.important, 0.65), Qt::BDiagPattern), true},
        {TextPanel::tr("not causal"), theme.neutral, quiet, theme.hatchBrush()}};
    QPoint at(0, 2);
    for (Entry& entry : entries) {
      const QSize size(fontMetrics().horizontalAdvance(entry.text) + 8, fontMetrics().height() + 2);
      if (at.x() > 0 && at.x() + size.width() > width) at = {0, at.y() + size.height() + 3};
      entry.box = QRect(at, size);
      at.rx() += size.width() + 4;
    }
    return entries;
  }
};

}  // namespace

TextPanel::TextPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_text(new TextView(explorer->view(), this)),
      m_shading(new QComboBox(this)),
      m_heading(new QLabel(this)),
      m_legend(new RowLegend(this)),
      m_findBar(new QWidget(this)),
      m_needle(new QLineEdit(this)),
      m_matches(new QLabel(this)) {
  setObjectName(QStringLiteral("textPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);

  auto* top = new QHBoxLayout;
  top->setContentsMargins(8, 4, 6, 2);
  m_heading->setObjectName(QStringLiteral("textHeading"));
  m_heading->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  auto* shadeLabel = new QLabel(tr("Shade b&y"), this);
  shadeLabel->setBuddy(m_shading);
  m_shading->setObjectName(QStringLiteral("shading"));
  m_shading->setAccessibleName(tr("Shade tokens by"));
  m_shading->setToolTip(
      tr("What darkens a token in the text. Received and predicted are shaded by rank, as the first "
         "tokens outweigh all others. Default: nothing."));
  m_shading->addItem(tr("Nothing"));
  m_shading->addItem(tr("Received mass"));
  m_shading->addItem(tr("Predicted"));
  m_shading->addItem(tr("Kept by rows"));
  top->addWidget(m_heading, 1);
  layout->addLayout(top);
  auto* shade = new QHBoxLayout;
  shade->setContentsMargins(8, 0, 6, 4);
  shade->setSpacing(6);
  shade->addWidget(shadeLabel);
  shade->addWidget(m_shading, 1);
  layout->addLayout(shade);

  auto* row = new QHBoxLayout(m_findBar);
  row->setContentsMargins(8, 2, 6, 4);
  m_needle->setObjectName(QStringLiteral("findText"));
  m_needle->setPlaceholderText(tr("Find in text"));
  m_needle->setAccessibleName(tr("Find in text"));
  m_needle->setClearButtonEnabled(true);
  m_needle->installEventFilter(this);
  row->addWidget(m_needle, 1);
  m_matches->setObjectName(QStringLiteral("findMatches"));
  row->addWidget(m_matches);
  const auto button = [&](const QString& text, const QString& tip, auto slot) {
    auto* made = new QToolButton(m_findBar);
    made->setText(text);
    made->setAutoRaise(true);
    made->setToolTip(tip);
    made->setAccessibleName(tip);
    connect(made, &QToolButton::clicked, this, slot);
    row->addWidget(made);
  };
  button(QStringLiteral("↑"), tr("Previous match"), &TextPanel::findPrevious);
  button(QStringLiteral("↓"), tr("Next match"), &TextPanel::findNext);
  button(QStringLiteral("✕"), tr("Close find"), [this] {
    m_findBar->hide();
    m_text->clearFind();
    m_text->setFocus();
  });
  m_findBar->hide();
  layout->addWidget(m_findBar);
  layout->addWidget(m_text, 1);
  setFocusProxy(m_text);

  m_legend->setObjectName(QStringLiteral("rowLegend"));
  m_legend->setAccessibleName(tr("Legend: kept, dropped, dropped but important, not causal"));
  m_legend->hide();
  auto* bottom = new QHBoxLayout;
  bottom->setContentsMargins(8, 3, 6, 3);
  bottom->addWidget(m_legend, 1);
  layout->addLayout(bottom);

  connect(m_shading, &QComboBox::currentIndexChanged, this,
          [this](int index) { m_text->setShading(static_cast<TextView::Shading>(index)); });
  connect(m_needle, &QLineEdit::textChanged, this, [this] { find(false, true); });
  connect(m_needle, &QLineEdit::returnPressed, this, &TextPanel::findNext);
  connect(m_text, &TextView::tokenDescribed, this, &TextPanel::described);
  connect(explorer->session(), &Session::documentChanged, this, [this] {
    m_text->setDocument(m_explorer->session()->document());
    m_legend->hide();  // no row of it is known yet
    updateHeading();
  });
  connect(explorer->session(), &Session::opening, m_text, [this] { m_text->setWaiting(TextView::tr("Opening…")); });
  connect(explorer->session(), &Session::reading, m_text,
          [this](double share) { m_text->setWaiting(TextView::tr("Opening… %1 %").arg(std::lround(100 * share))); });
  const auto nothingOpened = [this](JobKind kind) {
    if (kind != JobKind::kLoadModel && kind != JobKind::kLoadDocument) return;
    m_text->setWaiting(tr("Nothing is open. Open a text or a model from the File menu; the demo model is there too."));
  };
  connect(explorer->engine(), &Engine::failed, m_text, nothingOpened);
  connect(explorer->engine(), &Engine::cancelled, m_text, nothingOpened);
  const auto showLayer = [this] {
    m_text->setLayer(m_explorer->whatIf()->layerInView());
    updateHeading();
  };
  connect(explorer->whatIf(), &WhatIf::layersReset, this, showLayer);
  connect(explorer->whatIf(), &WhatIf::layerChanged, this, [this, showLayer](int layer) {
    if (layer == m_explorer->view()->layer()) showLayer();
  });
  connect(explorer->view(), &ViewState::layerChanged, this, showLayer);
  connect(explorer->whatIf(), &WhatIf::rowChanged, this, [this] {
    m_text->setRow(m_explorer->whatIf()->row());
    const qint64 selected = m_explorer->view()->row();
    const bool inSight = m_text->viewport()->rect().contains(m_text->tokenRect(selected));
    m_legend->setVisible(m_explorer->whatIf()->row() != nullptr);
    // It takes its place from the text, where the row may be.
    if (inSight) QTimer::singleShot(0, m_text, [this, selected] { m_text->scrollToToken(selected); });
    updateHeading();
  });
  connect(explorer->whatIf(), &WhatIf::staleChanged, m_text, &TextView::setDimmed);
}

QString TextPanel::tokensText(const OpenDocument& document) {
  const std::int64_t whole = document.content.whole_tokens;
  if (document.tokens() >= whole) return formatCount(document.tokens());
  const QString all = formatCount(whole);
  return tr("%1 of %2")
      .arg(formatCount(document.tokens()), document.content.whole_tokens_estimated ? tr("about %1").arg(all) : all);
}

int TextPanel::shading() const { return m_shading->currentIndex(); }
void TextPanel::setShading(int shading) { m_shading->setCurrentIndex(shading); }

void TextPanel::updateHeading() {
  const auto document = m_explorer->session()->document();
  if (!document) return;
  QString text = tr("%1 · %2 tokens").arg(document->title, tokensText(*document));
  const auto layer = m_explorer->whatIf()->layerInView();
  if (layer && layer->plan && layer->plan->trace.boundaries.size() > 1) {
    text += tr(" · %1 chunks").arg(formatCount(static_cast<qint64>(layer->plan->trace.boundaries.size()) - 1));
  }
  if (const auto row = m_explorer->whatIf()->row()) {
    text = tr("Row %1: %2 keys, %3 of mass")
               .arg(formatCount(row->row), formatCount(row->kept), formatPercent(row->kept_mass));
    m_heading->setToolTip(tr("%n of the keys that hold 95 % of the row's dense attention are dropped", nullptr,
                             static_cast<int>(row->dropped_important)));
    m_heading->setText(text);
    return;
  }
  m_heading->setText(text);
  m_heading->setToolTip(document->path.isEmpty() ? text : document->path);
}

void TextPanel::openFind() {
  m_findBar->show();
  m_needle->setFocus();
  m_needle->selectAll();
}

void TextPanel::find(const QString& text) {
  m_findBar->setVisible(!text.isEmpty());
  const QSignalBlocker quiet(m_needle);
  m_needle->setText(text);
  find(false, true);  // also where the words are those of the last search: the document may be another
}

void TextPanel::findNext() { find(false, false); }
void TextPanel::findPrevious() { find(true, false); }

void TextPanel::find(bool backwards, bool fromStart) {
  const QString needle = m_needle->text();
  const bool found = m_text->find(needle, backwards, fromStart);
  m_matches->setText(needle.isEmpty() ? QString()
                                      : (found ? tr("%n match(es)", nullptr, m_text->matchCount()) : tr("no match")));
}

bool TextPanel::eventFilter(QObject* watched, QEvent* event) {
  if (watched == m_needle && event->type() == QEvent::ShortcutOverride &&
      static_cast<QKeyEvent*>(event)->key() == Qt::Key_Escape) {
    m_findBar->hide();
    m_text->clearFind();
    m_text->setFocus();
    event->accept();
    return true;
  }
  return QWidget::eventFilter(watched, event);
}

}  // namespace dhsa
