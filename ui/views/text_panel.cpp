#include "ui/views/text_panel.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
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

constexpr std::size_t kMostNamed = 5;  // lost tokens

}  // namespace

// What the grounds and marks of the text mean, drawn as the text draws them; on a second line what has no room on the
// first.
class TextLegend : public QWidget {
 public:
  explicit TextLegend(QWidget* parent) : QWidget(parent) {
    QSizePolicy policy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
  }
  // `shading`: what darkens tokens; empty: nothing does.
  void setContents(bool chunks, bool row, const QString& shading) {
    m_chunks = chunks;
    m_row = row;
    m_shading = shading;
    QStringList names;
    for (const Entry& entry : entries(width())) names << entry.text;
    setAccessibleName(TextPanel::tr("Legend: %1").arg(names.join(QStringLiteral(", "))));
    updateGeometry();
    update();
  }
  [[nodiscard]] int heightForWidth(int width) const override {
    int bottom =
        fontMetrics().height() + 6;  // of one line, also while there is nothing to say: the text stays in place
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
      if (entry.ruled)
        painter.fillRect(QRect(entry.box.left(), entry.box.top(), 2, entry.box.height()), colours.chunkRule);
      painter.setPen(entry.pen);
      painter.drawText(entry.box, Qt::AlignCenter, entry.text);
    }
  }

 private:
  struct Entry {
    QString text;
    QBrush fill;
    QColor pen;
    QBrush hatch = {};
    bool underlined = false;
    bool ruled = false;
    QRect box = {};
  };
  [[nodiscard]] std::vector<Entry> entries(int width) const {
    const Colours colours(palette());
    const ViewTheme theme = ViewTheme::of(palette());
    const QColor base = palette().color(QPalette::Base);
    const QColor ink = palette().color(QPalette::Text);
    const QColor quiet = mixed(base, ink, 0.48);
    std::vector<Entry> entries;
    if (m_row) {
      entries = {{TextPanel::tr("kept"), mixed(base, colours.kept, isDark(palette()) ? 0.42 : 0.30), ink},
                 {TextPanel::tr("dropped"), base, quiet},
                 {TextPanel::tr("dropped but important"), mixed(base, colours.important, 0.22), ink,
                  QBrush(mixed(base, colours.important, 0.65), Qt::BDiagPattern), true},
                 {TextPanel::tr("not causal"), theme.neutral, quiet, theme.hatchBrush()}};
    } else if (m_chunks) {
      for (const int tint : {0, 1}) {
        entries.push_back(
            {tint == 0 ? TextPanel::tr("chunk") : TextPanel::tr("next chunk"), colours.chunkTint[tint], ink});
        entries.back().ruled = true;
      }
    }
    if (!m_shading.isEmpty()) entries.push_back({m_shading, mixed(base, colours.importance, 0.85), Qt::black});
    QPoint at(0, 2);
    for (Entry& entry : entries) {
      const QSize size(fontMetrics().horizontalAdvance(entry.text) + 8, fontMetrics().height() + 2);
      if (at.x() > 0 && at.x() + size.width() > width) at = {0, at.y() + size.height() + 3};
      entry.box = QRect(at, size);
      at.rx() += size.width() + 4;
    }
    return entries;
  }

  bool m_chunks = false;
  bool m_row = false;
  QString m_shading;
};

TextPanel::TextPanel(Explorer* explorer, QWidget* parent)
    : QWidget(parent),
      m_explorer(explorer),
      m_text(new TextView(explorer->view(), this)),
      m_shading(new QComboBox(this)),
      m_heading(new QLabel(this)),
      m_legend(new TextLegend(this)),
      m_loss(new QLabel(this)),
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
  m_needle->setToolTip(
      tr("Matches are marked at the edges of the matrix. Enter selects the match as row, and then the "
         "next one"));
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

  m_loss->setObjectName(QStringLiteral("rowLoss"));
  m_loss->setAccessibleName(tr("What the selected row loses"));
  m_loss->setWordWrap(true);
  m_loss->setTextFormat(Qt::RichText);
  m_loss->setTextInteractionFlags(Qt::TextBrowserInteraction | Qt::TextSelectableByKeyboard);
  m_loss->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Minimum);
  m_loss->setAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_loss->setMinimumHeight(3 * fontMetrics().lineSpacing());  // rows of more and less to say take the same place
  m_loss->setToolTip(
      tr("Important are the fewest keys that together hold 95 % of the row's dense attention. Click one to go there."));
  m_loss->hide();
  m_legend->setObjectName(QStringLiteral("textLegend"));
  m_legend->setContents(false, false, {});
  auto* bottom = new QVBoxLayout;
  bottom->setContentsMargins(8, 3, 6, 3);
  bottom->setSpacing(2);
  bottom->addWidget(m_loss);
  bottom->addWidget(m_legend);
  layout->addLayout(bottom);

  connect(m_loss, &QLabel::linkActivated, this, [this](const QString& token) {
    m_explorer->view()->selectKeys(token.toLongLong(), token.toLongLong() + 1);
    m_text->scrollToToken(token.toLongLong());
  });
  connect(m_shading, &QComboBox::currentIndexChanged, this, [this](int index) {
    m_text->setShading(static_cast<TextView::Shading>(index));
    updateLegend();
  });
  connect(m_needle, &QLineEdit::textChanged, this, [this] { find(false, true); });
  connect(m_needle, &QLineEdit::returnPressed, this, &TextPanel::selectMatch);
  connect(m_text, &TextView::tokenDescribed, this, &TextPanel::described);
  connect(explorer->session(), &Session::documentChanged, this, [this] {
    m_text->setDocument(m_explorer->session()->document());
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
  const auto row = m_explorer->whatIf()->row();
  if (row) text = tr("Row %1 · %2 kept").arg(formatCount(row->row), counted(row->kept, "key", "keys"));
  m_heading->setText(text);
  m_heading->setToolTip(row                        ? tr("Of head %1 in layer %2").arg(row->head).arg(row->layer)
                        : document->path.isEmpty() ? text
                                                   : document->path);
  m_loss->setText(row ? lossText(*row, *document) : QString());
  m_loss->setVisible(row != nullptr);
  updateLegend();
}

// "6.6 % of its mass lost, with 14 important keys: harbour 2.1 %, letters 1.3 %, …"
QString TextPanel::lossText(const QueryRow& row, const OpenDocument& document) {
  std::vector<std::size_t> lost;
  for (std::size_t key = 0; key < row.fate.size(); ++key) {
    if (row.fate[key] == KeyFate::kDroppedImportant) lost.push_back(key);
  }
  const std::size_t named = std::min(kMostNamed, lost.size());
  std::partial_sort(lost.begin(), lost.begin() + static_cast<std::ptrdiff_t>(named), lost.end(),
                    [&](std::size_t a, std::size_t b) { return row.mass[a] > row.mass[b]; });
  QString text = tr("<b>%1</b> of its mass is lost").arg(formatPercent(std::max(0.0, 1 - row.kept_mass)));
  if (lost.empty()) return text + tr(", no important key.");
  QStringList words;
  for (std::size_t at = 0; at < named; ++at) {
    const auto token = static_cast<std::int64_t>(lost[at]);
    words << QStringLiteral("<a href=\"%1\">%2</a> %3")
                 .arg(token)
                 .arg(document.tokenLabel(token).toHtmlEscaped(),
                      formatPercent(static_cast<double>(row.mass[lost[at]])));
  }
  if (named < lost.size()) words << QStringLiteral("…");
  return text + tr(", with %1: %2")
                    .arg(counted(static_cast<qint64>(lost.size()), "important key", "important keys"),
                         words.join(QStringLiteral(", ")));
}

void TextPanel::updateLegend() {
  const auto layer = m_explorer->whatIf()->layerInView();
  m_legend->setContents(
      layer && layer->plan && layer->plan->trace.boundaries.size() > 1, m_explorer->whatIf()->row() != nullptr,
      m_shading->currentIndex() > 0 ? tr("much: %1").arg(m_shading->currentText().toLower()) : QString());
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

void TextPanel::selectMatch() {
  ViewState* view = m_explorer->view();
  if (m_text->matchToken() == view->row()) findNext();
  const qint64 token = m_text->matchToken();
  if (token < 0) return;
  view->selectRow(token);
  view->show(token, token, token);
}

void TextPanel::find(bool backwards, bool fromStart) {
  const QString needle = m_needle->text();
  const bool found = m_text->find(needle, backwards, fromStart);
  m_matches->setText(needle.isEmpty() ? QString()
                                      : (found ? counted(m_text->matchCount(), "match", "matches") : tr("no match")));
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
