// A figure as the bytes of a file. The same input gives the same bytes: no dates, no random identifiers.
#pragma once

#include <QImage>
#include <string>

#include "core/figures/sidecar.h"

namespace dhsa {

// Before the application is made: a PDF has its fonts in the order of a hash table, and the same bytes are promised.
void makeFiguresReproducible();

// Of ".pdf", ".svg" or ".png". Throws Error on any other suffix.
[[nodiscard]] FigurePainter figurePainter(const std::string& suffix);

// What will be drawn, for the JSON sidecar. Puts the font family that is used into `spec`.
[[nodiscard]] nlohmann::json describeFigure(const FigureData& data, FigureSpec& spec);

// `json` goes along: as an attachment of the PDF, as the description of the SVG, as a text chunk of the PNG.
// Page box as large as the figure, text with embedded fonts, masks as shapes, matrices without loss.
[[nodiscard]] std::string figurePdf(const FigureData& data, const FigureSpec& spec, const std::string& json);
[[nodiscard]] std::string figureSvg(const FigureData& data, const FigureSpec& spec, const std::string& json);
[[nodiscard]] std::string figurePng(const FigureData& data, const FigureSpec& spec, const std::string& json);
// For the screen: `scale` pixels for each PDF point.
[[nodiscard]] QImage figureImage(const FigureData& data, const FigureSpec& spec, double scale);

// Qt's PDF with an exact page box (it rounds to whole points), fixed dates and fixed identifiers. Objects are found
// through the cross-reference table, which is written anew. Throws std::logic_error on a file without one.
[[nodiscard]] std::string reproduciblePdf(const std::string& pdf, double width, double height);

}  // namespace dhsa
