// The document, token by token. Paints what is visible only: widths are measured once per token in short slices, lines
// are broken from those widths, and text is shaped for the lines on the screen.
#pragma once

#include <QAbstractScrollArea>
#include <QTimer>
#include <memory>
#include <vector>

#include "core/run/what_if.h"
#include "ui/state/document.h"

namespace dhsa {

class ViewState;

class TextView : public QAbstractScrollArea {
  Q_OBJECT

 public:
  enum class Shading : std::uint8_t { kNone, kReceived, kPredicted, kRetention };
  Q_ENUM(Shading)

  explicit TextView(ViewState* view, QWidget* parent = nullptr);

  void setDocument(std::shared_ptr<const OpenDocument> document);
  void setLayer(std::shared_ptr<const MeasuredLayer> layer);
  void setRow(std::shared_ptr<const QueryRow> row);
  void setShading(Shading shading);
  [[nodiscard]] Shading shading() const noexcept { return m_shading; }
  void setDimmed(bool dimmed);
  void setWaiting(const QString& text);  // shown while there is no document

  // Selects the next match of `needle` from the current one and scrolls to it; wraps around. False without a match.
  bool find(const QString& needle, bool backwards, bool fromStart = false);
  [[nodiscard]] int matchCount() const noexcept { return m_matchCount; }
  [[nodiscard]] qint64 matchToken() const;  // in which the present match begins; -1: none
  void clearFind();
  void scrollToToken(qint64 token);

  // Where a token's text begins, in viewport coordinates; empty if it is not laid out. For tests and tools.
  [[nodiscard]] QRect tokenRect(qint64 token) const;
  [[nodiscard]] qint64 tokenAt(const QPoint& position) const;  // -1: none
  [[nodiscard]] bool isLaidOut() const noexcept { return m_measured == m_pieces.size(); }
  [[nodiscard]] QString describeToken(qint64 token) const;

 Q_SIGNALS:
  void tokenDescribed(const QString& text);  // of the token under the pointer or the keyboard cursor

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void changeEvent(QEvent* event) override;
  bool viewportEvent(QEvent* event) override;

 private:
  // A token's text on one line: tokens with line breaks have several.
  struct Piece {
    std::int32_t token;
    std::int32_t begin;  // characters of shown
    std::int32_t length;
    float width;
    float lead;  // width of its leading blanks, which vanish where the line was broken before it
    bool endsLine;
  };
  struct Line {
    std::size_t begin;    // pieces
    bool broken = false;  // begins where the text has no line break
  };
  [[nodiscard]] float widthOf(std::size_t piece, std::size_t line) const;
  [[nodiscard]] QString drawnPiece(std::size_t piece, std::size_t line) const;
  [[nodiscard]] bool isLaterByte(std::size_t piece) const;  // of the character of the piece before
  void cutPieces();
  void measureSome();
  void breakLines(std::size_t fromPiece);
  void updateScrollBar();
  [[nodiscard]] int lineHeight() const;
  [[nodiscard]] int margin() const;
  [[nodiscard]] std::size_t lineOfPiece(std::size_t piece) const;
  [[nodiscard]] std::size_t pieceOfToken(qint64 token) const;  // m_pieces.size() if none
  [[nodiscard]] std::size_t lineEnd(std::size_t line) const;
  [[nodiscard]] struct TextLine placed(std::size_t line) const;
  [[nodiscard]] bool isRightToLeft(std::size_t line) const;  // its paragraph
  void paintLine(QPainter& painter, std::size_t line, int top, const struct Colours& colours) const;
  void moveRow(qint64 token);
  void describeAgain();
  [[nodiscard]] double shade(qint64 token) const;
  [[nodiscard]] bool startsChunk(qint64 token) const;
  [[nodiscard]] int chunkOf(qint64 token) const;

  ViewState* m_view;
  std::shared_ptr<const OpenDocument> m_document;
  std::shared_ptr<const MeasuredLayer> m_layer;
  std::shared_ptr<const QueryRow> m_row;
  std::vector<std::int32_t> m_chunkOf;  // [tokens]; empty without chunks
  std::vector<float> m_shade;           // [tokens] 0 to 1; empty without shading
  Shading m_shading = Shading::kNone;
  std::vector<Piece> m_pieces;
  std::vector<Line> m_lines;
  std::size_t m_measured = 0;
  QTimer m_measuring;
  bool m_dimmed = false;
  QString m_waiting;
  qint64 m_pressed = -1;
  qint64 m_scrollWhenMeasured = -1;
  QString m_needle;
  qsizetype m_matchBegin = -1;  // characters of shown; -1: none
  int m_matchCount = 0;
  void updateShade();
};

}  // namespace dhsa
