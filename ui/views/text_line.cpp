#include "ui/views/text_line.h"

#include <QGlyphRun>
#include <QRawFont>
#include <QTextLayout>
#include <QTextOption>
#include <algorithm>

namespace dhsa {
namespace {

bool isJoiner(char16_t c) { return c == u'\u200c' || c == u'\u200d' || (c >= u'\ufe00' && c <= u'\ufe0f'); }

// Of a character of several parts the first has the text: all get a share of its place, in the order of the writing.
void shareCharacters(const std::vector<TextLine::Part>& parts, std::vector<TextLine::Place>& places) {
  for (std::size_t begin = 0, end = 1; begin < parts.size(); begin = end++) {
    if (parts[begin].text.isEmpty()) continue;
    while (end < parts.size() && parts[end].text.isEmpty() && parts[end].width > 0) ++end;
    const TextLine::Place whole = places[begin];
    const double share = (whole.right - whole.left) / static_cast<double>(end - begin);
    const bool fromTheRight = holdsRightToLeft(parts[begin].text);
    for (std::size_t at = begin; at < end; ++at) {
      const double left = whole.left + share * static_cast<double>(fromTheRight ? end - 1 - at : at - begin);
      places[at] = {left, left + share};
    }
  }
}

// Parts in the order of the writing, characters of each at [begin, end) of the line's text.
TextLine placeMixed(const std::vector<TextLine::Part>& parts, const QFont& font, double room,
                    bool rightToLeftParagraph) {
  TextLine placed;
  QString text;
  std::vector<std::pair<int, int>> ranges;
  for (const TextLine::Part& part : parts) {
    const auto begin = static_cast<int>(text.size());
    text += part.text;
    ranges.emplace_back(begin, static_cast<int>(text.size()));
  }
  placed.layout = std::make_shared<QTextLayout>(text, font);
  QTextOption option;
  option.setWrapMode(QTextOption::NoWrap);
  option.setAlignment(rightToLeftParagraph ? Qt::AlignRight : Qt::AlignLeft);
  option.setTextDirection(rightToLeftParagraph ? Qt::RightToLeft : Qt::LeftToRight);
  option.setFlags(QTextOption::IncludeTrailingSpaces);
  placed.layout->setTextOption(option);
  placed.layout->beginLayout();
  QTextLine line = placed.layout->createLine();
  line.setLineWidth(room);
  placed.layout->endLayout();
  double last = line.cursorToX(0, QTextLine::Leading);
  for (const auto& [begin, end] : ranges) {
    TextLine::Place place = {last, last};
    // By glyphs: where the direction changes a cursor stands in two places.
    const auto edges = [&](int at) {
      TextLine::Place one = {room, 0};
      for (const QGlyphRun& run : line.glyphRuns(at, 1)) {
        const auto advances = run.rawFont().advancesForGlyphIndexes(run.glyphIndexes());
        for (qsizetype i = 0; i < advances.size(); ++i) {
          one.left = std::min(one.left, run.positions()[i].x());
          one.right = std::max(one.right, run.positions()[i].x() + advances[i].x());
        }
      }
      if (one.right < one.left) one = {last, last};
      last = one.right;
      return one;
    };
    // The word first. A blank of its token may stand elsewhere, where the direction changes between them.
    bool any = false;
    for (const bool blanks : {false, true}) {
      for (int at = begin; at < end; ++at) {
        if (text[at].isSpace() != blanks) continue;
        const TextLine::Place one = edges(at);
        if (!any) place = one;
        any = true;
        if (blanks && (one.left > place.right + 0.5 || one.right < place.left - 0.5)) continue;
        place = {std::min(place.left, one.left), std::max(place.right, one.right)};
      }
    }
    placed.places.push_back(place);
  }
  shareCharacters(parts, placed.places);
  return placed;
}

}  // namespace

QString drawnText(QStringView text) {
  QString drawn;
  drawn.reserve(text.size());
  for (const QChar c : text) {
    const char16_t code = c.unicode();
    if (code == u'\t') {
      drawn += QStringLiteral("    ");
    } else if (isJoiner(code) ? text.size() == 1
                              : c.category() == QChar::Other_Control || c.category() == QChar::Other_Format) {
      drawn += QStringLiteral("⟨%1⟩").arg(QString::number(code, 16).toUpper().rightJustified(4, u'0'));
    } else {
      drawn += c;
    }
  }
  return drawn;
}

bool holdsRightToLeft(QStringView text) {
  return std::any_of(text.begin(), text.end(), [](QChar c) {
    return c.unicode() >= 0x590 && (c.direction() == QChar::DirR || c.direction() == QChar::DirAL);
  });
}

TextLine placeLine(const std::vector<TextLine::Part>& parts, const QFont& font, double room,
                   bool rightToLeftParagraph) {
  if (rightToLeftParagraph ||
      std::any_of(parts.begin(), parts.end(), [](const TextLine::Part& part) { return holdsRightToLeft(part.text); })) {
    return placeMixed(parts, font, room, rightToLeftParagraph);
  }
  TextLine placed;
  double x = 0;
  for (const TextLine::Part& part : parts) {
    placed.places.push_back({x, x + part.width});
    x += part.width;
  }
  return placed;
}

}  // namespace dhsa
