// Where the tokens of one line stand, whatever the direction of their writing, and what is drawn for their characters.
#pragma once

#include <QFont>
#include <QString>
#include <QStringView>
#include <memory>
#include <vector>

class QTextLayout;

namespace dhsa {

// Tabulators as blanks; a mark for each character that nobody sees, "⟨0000⟩" for NUL; joiners and variation
// selectors have one only where they stand alone.
[[nodiscard]] QString drawnText(QStringView text);

[[nodiscard]] bool holdsRightToLeft(QStringView text);

struct TextLine {
  struct Part {
    QString text;      // as drawn; empty for line breaks, <bos> and the later bytes of a character
    double width = 0;  // by itself; 0 for line breaks
  };
  struct Place {
    double left = 0, right = 0;
  };
  std::vector<Place> places;            // of each part, from the left edge
  std::shared_ptr<QTextLayout> layout;  // draws the whole line where the parts do not simply follow each other
};

// `room`: pixels of the line. A line of a paragraph that is written from right to left ends at the right edge.
[[nodiscard]] TextLine placeLine(const std::vector<TextLine::Part>& parts, const QFont& font, double room,
                                 bool rightToLeftParagraph);

}  // namespace dhsa
