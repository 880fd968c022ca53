#include "ui/views/text_view.h"

#include <QElapsedTimer>
#include <QHash>
#include <QPainter>
#include <QScrollBar>
#include <QTextLayout>
#include <algorithm>
#include <cmath>

#include "ui/models/format.h"
#include "ui/state/view_state.h"
#include "ui/views/text_line.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

// Measuring goes on in slices of this length, so that the window stays quick while a long text comes in.
constexpr qint64 kSliceMs = 8;

}  // namespace

TextView::TextView(ViewState* view, QWidget* parent) : QAbstractScrollArea(parent), m_view(view) {
  setObjectName(QStringLiteral("textView"));
  setAccessibleName(tr("Document text"));
  setAccessibleDescription(tr("Arrow keys move the selected row from token to token."));
  setFocusPolicy(Qt::StrongFocus);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOn);
  setFrameShape(QFrame::NoFrame);
  viewport()->setMouseTracking(true);
  viewport()->setCursor(Qt::ArrowCursor);
  setMinimumSize(160, 120);
  m_waiting = tr("Opening…");
  m_measuring.setInterval(0);
  connect(&m_measuring, &QTimer::timeout, this, &TextView::measureSome);
  const auto repaint = [this] { viewport()->update(); };
  connect(view, &ViewState::hovered, this, repaint);
  connect(view, &ViewState::keysSelected, this, repaint);
  connect(view, &ViewState::tokenWanted, this, &TextView::scrollToToken);
  connect(view, &ViewState::rowSelected, this, [this](qint64 row) {
    if (row >= 0 && m_pressed < 0) scrollToToken(row);
    viewport()->update();
  });
}

void TextView::setDocument(std::shared_ptr<const OpenDocument> document) {
  m_document = std::move(document);
  m_layer.reset();
  m_row.reset();
  m_chunkOf.clear();
  m_shade.clear();
  clearFind();
  cutPieces();
}

void TextView::setLayer(std::shared_ptr<const MeasuredLayer> layer) {
  m_layer = std::move(layer);
  m_chunkOf.clear();
  if (m_layer && m_layer->plan && m_document) {
    const auto& boundaries = m_layer->plan->trace.boundaries;
    if (boundaries.size() > 1 && boundaries.back() == m_document->tokens()) {
      m_chunkOf.resize(static_cast<std::size_t>(boundaries.back()));
      for (std::size_t c = 0; c + 1 < boundaries.size(); ++c) {
        std::fill(m_chunkOf.begin() + boundaries[c], m_chunkOf.begin() + boundaries[c + 1],
                  static_cast<std::int32_t>(c));
      }
    }
  }
  updateShade();
  describeAgain();
  viewport()->update();
}

void TextView::setRow(std::shared_ptr<const QueryRow> row) {
  m_row = std::move(row);
  describeAgain();
  viewport()->update();
}

void TextView::setShading(Shading shading) {
  m_shading = shading;
  updateShade();
  viewport()->update();
}

void TextView::setDimmed(bool dimmed) {
  if (dimmed == m_dimmed) return;
  m_dimmed = dimmed;
  viewport()->update();
}

void TextView::setWaiting(const QString& text) {
  m_waiting = text;
  viewport()->update();
}

void TextView::updateShade() {
  m_shade.clear();
  if (!m_layer || m_shading == Shading::kNone) return;
  const auto& values = m_shading == Shading::kReceived    ? m_layer->metrics.importance.received_mass
                       : m_shading == Shading::kPredicted ? m_layer->predicted
                                                          : m_layer->metrics.importance.retention;
  if (values.empty() || !m_document || static_cast<std::int64_t>(values.size()) != m_document->tokens()) return;
  m_shade = values;
  if (m_shading == Shading::kRetention) return;
  // The sinks outweigh everything by orders of magnitude: shade by rank, so that differences show everywhere.
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  for (float& value : m_shade) {
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
    const double rank = static_cast<double>(below) / static_cast<double>(sorted.size());
    value = static_cast<float>(rank * rank * rank);
  }
}

int TextView::lineHeight() const { return static_cast<int>(std::lround(fontMetrics().lineSpacing() * 1.3)); }
int TextView::margin() const { return fontMetrics().averageCharWidth(); }

void TextView::cutPieces() {
  m_pieces.clear();
  m_lines.clear();
  m_measured = 0;
  m_scrollWhenMeasured = -1;
  if (m_document) {
    m_pieces.reserve(static_cast<std::size_t>(m_document->tokens()) + 64);
    for (std::int32_t token = 0; token < m_document->tokens(); ++token) {
      auto at = static_cast<std::int32_t>(m_document->begin[static_cast<std::size_t>(token)]);
      const auto end = static_cast<std::int32_t>(m_document->begin[static_cast<std::size_t>(token) + 1]);
      do {
        std::int32_t stop = at;
        while (stop < end && m_document->shown[stop] != u'\n') ++stop;
        const bool line = stop < end;
        m_pieces.push_back({token, at, stop - at, 0.0F, 0.0F, line});
        at = stop + (line ? 1 : 0);
      } while (at < end);
    }
  }
  verticalScrollBar()->setValue(0);
  measureSome();
  if (!isLaidOut()) m_measuring.start();
}

void TextView::measureSome() {
  QElapsedTimer clock;
  clock.start();
  const QFontMetricsF metrics(font());
  const auto blank = static_cast<float>(metrics.horizontalAdvance(u' '));
  QHash<QStringView, float> known;  // within a slice; words repeat a lot
  const std::size_t from = m_measured;
  while (m_measured < m_pieces.size()) {
    Piece& piece = m_pieces[m_measured++];
    const QStringView text = QStringView(m_document->shown).mid(piece.begin, piece.length);
    if (const auto found = known.constFind(text); found != known.cend()) {
      piece.width = *found;
    } else {
      // <bos> has no text but is a token: it gets a narrow place of its own.
      piece.width = text.isEmpty() && !piece.endsLine ? static_cast<float>(metrics.averageCharWidth() * 0.6)
                                                      : static_cast<float>(metrics.horizontalAdvance(drawnText(text)));
      known.insert(text, piece.width);
    }
    if (isLaterByte(m_measured - 1)) {
      piece.width = m_pieces[m_measured - 2].width;
    } else {
      std::size_t end = m_measured;
      while (end < m_pieces.size() && isLaterByte(end)) ++end;
      piece.width /= static_cast<float>(end - m_measured + 1);  // the tokens of a character share its place
    }
    if (!text.isEmpty() && text.front() == u' ') piece.lead = std::min(piece.width, blank);
    if (m_measured % 64 == 0 && clock.elapsed() >= kSliceMs) break;
  }
  if (isLaidOut()) m_measuring.stop();
  breakLines(from);
  if (isLaidOut() && m_scrollWhenMeasured >= 0) scrollToToken(m_scrollWhenMeasured);
  viewport()->update();
}

bool TextView::isLaterByte(std::size_t piece) const {
  const Piece& p = m_pieces[piece];
  return p.length == 0 && !p.endsLine && p.token > 0;
}

void TextView::breakLines(std::size_t fromPiece) {
  // Take up the last line again: it may go on.
  if (fromPiece == 0 || m_lines.empty()) {
    m_lines.clear();
    if (!m_pieces.empty()) m_lines.push_back({0});
    fromPiece = 0;
  } else {
    fromPiece = m_lines.back().begin;
  }
  const auto startOf = [this](std::size_t piece) { return m_lines.back().broken ? -m_pieces[piece].lead : 0.0F; };
  const auto room = static_cast<float>(std::max(40, viewport()->width() - 2 * margin()));
  float x = m_lines.empty() ? 0.0F : startOf(fromPiece);
  std::size_t wordBegin = fromPiece;  // first piece of the word under way
  float wordX = 0;
  for (std::size_t at = fromPiece; at < m_measured; ++at) {
    const Piece& piece = m_pieces[at];
    const bool beginsWord = (piece.length > 0 && m_document->shown[piece.begin].isSpace()) ||
                            (at > 0 && m_pieces[at - 1].length > 0 &&
                             m_document->shown[m_pieces[at - 1].begin + m_pieces[at - 1].length - 1].isSpace());
    if (beginsWord) {
      wordBegin = at;
      wordX = x;
    }
    std::size_t character = at;  // its first piece
    while (isLaterByte(character)) --character;
    if (x + piece.width > room && character > m_lines.back().begin) {
      // The whole word moves to the next line, unless it alone fills one.
      if (wordBegin <= m_lines.back().begin) {
        wordBegin = character;
        wordX = x - piece.width * static_cast<float>(at - character);
      }
      m_lines.push_back({wordBegin, true});
      x -= wordX + m_pieces[wordBegin].lead;
      wordX = 0;
    }
    x += piece.width;
    if (piece.endsLine && at + 1 < m_pieces.size()) {
      m_lines.push_back({at + 1});
      x = 0;
      wordX = 0;
      wordBegin = at + 1;
    }
  }
  updateScrollBar();
}

void TextView::updateScrollBar() {
  const int page = viewport()->height();
  const int total = static_cast<int>(m_lines.size()) * lineHeight() + 2 * margin();
  verticalScrollBar()->setPageStep(page);
  verticalScrollBar()->setSingleStep(lineHeight());
  verticalScrollBar()->setRange(0, std::max(0, total - page));
}

float TextView::widthOf(std::size_t piece, std::size_t line) const {
  const Piece& p = m_pieces[piece];
  return m_lines[line].broken && m_lines[line].begin == piece ? p.width - p.lead : p.width;
}

std::size_t TextView::lineEnd(std::size_t line) const {
  return line + 1 < m_lines.size() ? m_lines[line + 1].begin : m_measured;
}

std::size_t TextView::lineOfPiece(std::size_t piece) const {
  const auto after = std::upper_bound(m_lines.begin(), m_lines.end(), piece,
                                      [](std::size_t p, const Line& line) { return p < line.begin; });
  return static_cast<std::size_t>(std::distance(m_lines.begin(), after)) - 1;
}

std::size_t TextView::pieceOfToken(qint64 token) const {
  const auto found = std::lower_bound(m_pieces.begin(), m_pieces.end(), token,
                                      [](const Piece& piece, qint64 t) { return piece.token < t; });
  const auto at = static_cast<std::size_t>(std::distance(m_pieces.begin(), found));
  return at < m_measured && found->token == token ? at : m_pieces.size();
}

QRect TextView::tokenRect(qint64 token) const {
  const std::size_t piece = pieceOfToken(token);
  if (piece >= m_pieces.size() || m_lines.empty()) return {};
  const std::size_t line = lineOfPiece(piece);
  const auto [left, right] = placed(line).places[piece - m_lines[line].begin];
  const int top = margin() + static_cast<int>(line) * lineHeight() - verticalScrollBar()->value();
  return QRectF(margin() + left, top, std::max(2.0, right - left), lineHeight()).toAlignedRect();
}

qint64 TextView::tokenAt(const QPoint& position) const {
  if (m_lines.empty()) return -1;
  const int y = position.y() + verticalScrollBar()->value() - margin();
  if (y < 0) return -1;
  const auto line = static_cast<std::size_t>(y / lineHeight());
  if (line >= m_lines.size()) return -1;
  const TextLine now = placed(line);
  const double x = position.x() - margin();
  for (std::size_t i = 0; i < now.places.size(); ++i) {
    // Left of the text the first token is meant, as ever.
    const double left = i == 0 && !now.layout ? -margin() : now.places[i].left;
    if (x >= left && x < now.places[i].right) return m_pieces[m_lines[line].begin + i].token;
  }
  return -1;
}

void TextView::scrollToToken(qint64 token) {
  const std::size_t piece = pieceOfToken(token);
  if (piece >= m_pieces.size()) {
    if (!isLaidOut()) m_scrollWhenMeasured = token;
    return;
  }
  m_scrollWhenMeasured = -1;
  const int top = margin() + static_cast<int>(lineOfPiece(piece)) * lineHeight();
  const int now = verticalScrollBar()->value();
  if (top >= now && top + lineHeight() <= now + viewport()->height()) return;
  verticalScrollBar()->setValue(top - viewport()->height() / 3);
}

bool TextView::find(const QString& needle, bool backwards, bool fromStart) {
  if (!m_document || needle.isEmpty()) {
    clearFind();
    return false;
  }
  const QString& text = m_document->shown;
  if (needle != m_needle) {
    m_needle = needle;
    m_matchCount = 0;
    std::vector<qint64> tokens;
    for (qsizetype at = text.indexOf(needle, 0, Qt::CaseInsensitive); at >= 0;
         at = text.indexOf(needle, at + 1, Qt::CaseInsensitive)) {
      ++m_matchCount;
      tokens.push_back(m_document->tokenAt(at));
    }
    m_view->setMarks(tokens);
  }
  qsizetype found = -1;
  if (backwards) {
    if (m_matchBegin > 0) found = text.lastIndexOf(needle, m_matchBegin - 1, Qt::CaseInsensitive);
    if (found < 0) found = text.lastIndexOf(needle, -1, Qt::CaseInsensitive);
  } else {
    const qsizetype from = m_matchBegin < 0 ? 0 : m_matchBegin + (fromStart ? 0 : 1);
    found = text.indexOf(needle, from, Qt::CaseInsensitive);
    if (found < 0) found = text.indexOf(needle, 0, Qt::CaseInsensitive);
  }
  m_matchBegin = found;
  if (found >= 0) scrollToToken(matchToken());
  viewport()->update();
  return found >= 0;
}

qint64 TextView::matchToken() const { return m_matchBegin < 0 ? -1 : m_document->tokenAt(m_matchBegin); }

void TextView::clearFind() {
  m_view->setMarks({});
  m_needle.clear();
  m_matchBegin = -1;
  m_matchCount = 0;
  viewport()->update();
}

int TextView::chunkOf(qint64 token) const { return m_chunkOf.empty() ? 0 : m_chunkOf[static_cast<std::size_t>(token)]; }

bool TextView::startsChunk(qint64 token) const {
  return !m_chunkOf.empty() && token > 0 &&
         m_chunkOf[static_cast<std::size_t>(token)] != m_chunkOf[static_cast<std::size_t>(token) - 1];
}

double TextView::shade(qint64 token) const {
  return m_shade.empty() ? 0.0 : static_cast<double>(m_shade[static_cast<std::size_t>(token)]);
}

void TextView::paintEvent(QPaintEvent* event) {
  QPainter painter(viewport());
  const Colours colours(palette());
  painter.fillRect(event->rect(), palette().base());
  painter.setFont(font());
  if (!m_document) {
    painter.setPen(colours.faint);
    painter.drawText(viewport()->rect().adjusted(12, 0, -12, 0), Qt::AlignCenter | Qt::TextWordWrap, m_waiting);
    return;
  }
  if (m_dimmed) painter.setOpacity(0.6);
  const int scroll = verticalScrollBar()->value();
  const int height = lineHeight();
  const int firstY = event->rect().top() + scroll - margin();
  const auto first = static_cast<std::size_t>(std::max(0, firstY / height));
  for (std::size_t line = first; line < m_lines.size(); ++line) {
    const int top = margin() + static_cast<int>(line) * height - scroll;
    if (top > event->rect().bottom()) break;
    paintLine(painter, line, top, colours);
  }
}

bool TextView::isRightToLeft(std::size_t line) const {
  std::size_t first = line;
  while (first > 0 && m_lines[first].broken) --first;
  const qsizetype begin = m_pieces[m_lines[first].begin].begin;
  const Piece& last = m_pieces[lineEnd(line) - 1];
  return QStringView(m_document->shown).mid(begin, last.begin + last.length - begin).isRightToLeft();
}

QString TextView::drawnPiece(std::size_t piece, std::size_t line) const {
  const Piece& p = m_pieces[piece];
  const QStringView text = QStringView(m_document->shown).mid(p.begin, p.length);
  return drawnText(m_lines[line].broken && m_lines[line].begin == piece && p.lead > 0 ? text.mid(1) : text);
}

TextLine TextView::placed(std::size_t line) const {
  std::vector<TextLine::Part> parts;
  for (std::size_t at = m_lines[line].begin; at < lineEnd(line); ++at) {
    parts.push_back({drawnPiece(at, line), static_cast<double>(widthOf(at, line))});
  }
  return placeLine(parts, font(), viewport()->width() - 2 * margin(), isRightToLeft(line));
}

void TextView::paintLine(QPainter& painter, std::size_t line, int top, const Colours& colours) const {
  const int height = lineHeight();
  const QColor base = palette().color(QPalette::Base);
  const QColor ink = palette().color(QPalette::Text);
  const QFontMetrics metrics(font());
  const int baseline = top + (height - metrics.height()) / 2 + metrics.ascent();
  const qint64 row = m_view->row();
  const bool rowShown =
      m_row && m_row->row == row && static_cast<std::int64_t>(m_row->fate.size()) == m_document->tokens();
  const ViewTheme notCausal = ViewTheme::of(palette());  // as the matrix draws it
  const qint64 hovered = m_view->hoveredKey();
  const qsizetype matchLength = m_needle.size();

  const TextLine whole = placed(line);
  QList<QTextLayout::FormatRange> pens;  // of the line's characters, where it is drawn at once
  int drawnTo = 0;
  struct Word {
    double left;
    QString text;
    QColor pen;
  };
  std::vector<Word> words;  // drawn over the backgrounds: a character may stand on those of several tokens
  for (std::size_t at = m_lines[line].begin; at < lineEnd(line); ++at) {
    const Piece& piece = m_pieces[at];
    const auto token = static_cast<std::size_t>(piece.token);
    const TextLine::Place& place = whole.places[at - m_lines[line].begin];
    // Whole pixels, so that neighbouring fills neither overlap nor leave a seam.
    const double left = std::round(margin() + place.left);
    const double right = std::round(margin() + place.right);
    const QRectF cell(left, top, std::max(2.0, right - left), height);

    // With a row selected the ground says what it keeps; chunks still have their rules.
    QColor fill = m_chunkOf.empty() || rowShown ? base : colours.chunkTint[chunkOf(piece.token) % 2];
    QColor pen = m_document->isInserted(piece.token) ? colours.faint : ink;
    bool hatched = false;
    bool future = false;
    bool underlined = false;
    if (rowShown) {
      switch (m_row->fate[token]) {
        case KeyFate::kKept:
          fill = mixed(fill, colours.kept, isDark(palette()) ? 0.42 : 0.30);
          break;
        case KeyFate::kDropped:
          pen = mixed(base, ink, 0.48);
          break;
        case KeyFate::kDroppedImportant:
          fill = mixed(base, colours.important, 0.22);
          hatched = underlined = true;
          break;
        case KeyFate::kNotVisible:
          fill = notCausal.neutral;
          pen = mixed(base, ink, 0.48);
          future = true;
          break;
      }
    }
    const double amount = shade(piece.token);
    if (amount > 0) fill = mixed(fill, colours.importance, amount * 0.85);
    if (piece.token == row) {
      fill = palette().color(QPalette::Highlight);
      pen = palette().color(QPalette::HighlightedText);
      hatched = underlined = future = false;
    }
    painter.fillRect(cell, fill);
    if (future) painter.fillRect(cell, notCausal.hatchBrush());
    if (hatched) painter.fillRect(cell, QBrush(mixed(base, colours.important, 0.65), Qt::BDiagPattern));
    if (underlined) painter.fillRect(QRectF(left, top + height - 3, cell.width(), 2), colours.important);
    if (piece.token >= m_view->keysBegin() && piece.token < m_view->keysEnd()) {
      painter.fillRect(QRectF(left, top, cell.width(), 2), colours.accent);
      painter.fillRect(QRectF(left, top + height - 2, cell.width(), 2), colours.accent);
    }
    if (m_matchBegin >= 0 && piece.begin < m_matchBegin + matchLength && piece.begin + piece.length > m_matchBegin) {
      painter.fillRect(cell.adjusted(0, 2, 0, -2), QColor(0xff, 0xd5, 0x4d));
      pen = Qt::black;
    }
    if (startsChunk(piece.token) && (at == 0 || m_pieces[at - 1].token != piece.token)) {
      painter.fillRect(QRectF(left - 0.5, top + 1, 1.5, height - 2), colours.chunkRule);
    }
    if (piece.length > 0) {
      const QString drawn = drawnPiece(at, line);
      if (whole.layout) {
        // One range as long as the colour stays: at the edges of ranges glyphs are clipped and look faint.
        if (!pens.isEmpty() && pens.back().format.foreground().color() == pen) {
          pens.back().length += static_cast<int>(drawn.size());
        } else {
          QTextCharFormat format;
          format.setForeground(pen);
          pens.push_back({drawnTo, static_cast<int>(drawn.size()), format});
        }
        drawnTo += static_cast<int>(drawn.size());
      } else {
        words.push_back({left, drawn, pen});
      }
    } else if (!piece.endsLine && !isLaterByte(at)) {
      painter.setPen(colours.faint);
      painter.drawText(cell, Qt::AlignCenter, QStringLiteral("·"));
    }
    if (piece.token == hovered) {
      painter.setPen(QPen(ink, 1));
      painter.setBrush(Qt::NoBrush);
      painter.drawRect(cell.adjusted(0.5, 1.5, -0.5, -1.5));
    }
  }
  for (const Word& word : words) {
    painter.setPen(word.pen);
    painter.drawText(QPointF(word.left, baseline), word.text);
  }
  if (whole.layout) whole.layout->draw(&painter, QPointF(margin(), baseline - whole.layout->lineAt(0).ascent()), pens);
}

void TextView::resizeEvent(QResizeEvent* event) {
  // What is said of the selected row takes its place from the text: a row that was in sight stays there.
  const qint64 selected = m_view->row();
  const bool seen = selected >= 0 && QRect({}, event->oldSize()).intersects(tokenRect(selected));
  // Keep the first visible token in place while lines break anew.
  qint64 anchor = -1;
  if (!m_lines.empty() && verticalScrollBar()->value() > 0) {
    const auto line = static_cast<std::size_t>(verticalScrollBar()->value() / lineHeight());
    anchor = m_pieces[m_lines[std::min(line, m_lines.size() - 1)].begin].token;
  }
  if (event->size().width() != event->oldSize().width()) {
    breakLines(0);
    if (anchor >= 0) {
      const std::size_t piece = pieceOfToken(anchor);
      if (piece < m_pieces.size()) {
        verticalScrollBar()->setValue(static_cast<int>(lineOfPiece(piece)) * lineHeight());
      }
    }
  } else {
    updateScrollBar();
  }
  if (seen) scrollToToken(selected);
  QAbstractScrollArea::resizeEvent(event);
}

QString TextView::describeToken(qint64 token) const {
  if (!m_document || token < 0 || token >= m_document->tokens()) return {};
  QString text = tr("Token %1 “%2”, id %3")
                     .arg(token)
                     .arg(drawnText(m_document->tokenLabel(token)))
                     .arg(m_document->content.encoding.ids[static_cast<std::size_t>(token)]);
  if (m_document->isInserted(token)) text += tr(", put in by the chat template");
  if (!m_chunkOf.empty()) text += tr(", chunk %1").arg(chunkOf(token));
  const auto at = static_cast<std::size_t>(token);
  if (m_layer && at < m_layer->metrics.importance.received_mass.size()) {
    text += tr(" · receives %1 · kept by %2 of later rows")
                .arg(formatReal(static_cast<double>(m_layer->metrics.importance.received_mass[at])),
                     formatPercent(static_cast<double>(m_layer->metrics.importance.retention[at])));
  }
  if (m_row && m_row->row == m_view->row() && at < m_row->fate.size()) {
    const QString mass = formatReal(static_cast<double>(m_row->mass[at]));
    switch (m_row->fate[at]) {
      case KeyFate::kKept:
        text += tr(" · kept by row %1, dense attention %2").arg(m_row->row).arg(mass);
        break;
      case KeyFate::kDropped:
        text += tr(" · dropped by row %1, dense attention %2").arg(m_row->row).arg(mass);
        break;
      case KeyFate::kDroppedImportant:
        text += tr(" · dropped by row %1 though important, dense attention %2").arg(m_row->row).arg(mass);
        break;
      case KeyFate::kNotVisible:
        text += tr(" · row %1 cannot see it").arg(m_row->row);
        break;
    }
  }
  return text;
}

void TextView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::FontChange && m_document) cutPieces();
  QAbstractScrollArea::changeEvent(event);
}

}  // namespace dhsa
