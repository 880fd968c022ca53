#include "ui/figures/figure_files.h"

#include <QBuffer>
#include <QHashFunctions>
#include <QPainter>
#include <QPdfWriter>
#include <QSvgGenerator>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "ui/figures/figure_drawing.h"

namespace dhsa {
namespace {

QByteArray bytes(const std::string& text) { return QByteArray::fromStdString(text); }

QImage image(const FigureDrawing& drawing, double scale) {
  const QSizeF size = drawing.size() * scale;
  const double pixels = std::ceil(size.width()) * std::ceil(size.height());
  if (pixels > 4e8) {
    throw Error("The picture would have " + std::to_string(static_cast<long long>(pixels / 1e6)) +
                " million pixels; lower --dpi or the width.");
  }
  QImage made(static_cast<int>(std::lround(size.width())), static_cast<int>(std::lround(size.height())),
              QImage::Format_RGB32);
  made.setDotsPerMeterX(2835);  // 72 to the inch while it is drawn on: type comes out at its size
  made.setDotsPerMeterY(2835);
  made.fill(Qt::white);
  QPainter painter(&made);
  painter.scale(scale, scale);
  drawing.draw(painter);
  return made;
}

}  // namespace

void makeFiguresReproducible() { QHashSeed::setDeterministicGlobalSeed(); }

FigurePainter figurePainter(const std::string& suffix) {
  FigurePainter painter;
  painter.describe = describeFigure;
  if (suffix == ".pdf") painter.draw = figurePdf;
  if (suffix == ".svg") painter.draw = figureSvg;
  if (suffix == ".png") painter.draw = figurePng;
  if (!painter.draw) {
    throw Error("A figure's file cannot end in \"" + suffix + "\"; name it .pdf, .svg or .png.");
  }
  return painter;
}

nlohmann::json describeFigure(const FigureData& data, FigureSpec& spec) {
  spec.font = figureFamily(spec.font).toStdString();
  return FigureDrawing(data, spec).describe();
}

std::string figurePdf(const FigureData& data, const FigureSpec& spec, const std::string& json) {
  const FigureDrawing drawing(data, spec);
  QBuffer buffer;
  buffer.open(QIODevice::WriteOnly);
  {
    QPdfWriter writer(&buffer);
    writer.setResolution(72);
    writer.setPageSize(QPageSize(drawing.size(), QPageSize::Point, QString(), QPageSize::ExactMatch));
    writer.setPageMargins(QMarginsF());
    writer.setCreator(QStringLiteral("DHSA Explorer"));
    writer.setTitle(QString::fromStdString(data.panels.front().long_name));
    writer.addFileAttachment(QStringLiteral("figure.json"), bytes(json), QStringLiteral("application/json"));
    QPainter painter(&writer);
    drawing.draw(painter);
  }
  return reproduciblePdf(buffer.data().toStdString(), drawing.size().width(), drawing.size().height());
}

std::string figureSvg(const FigureData& data, const FigureSpec& spec, const std::string& json) {
  const FigureDrawing drawing(data, spec);
  QBuffer buffer;
  buffer.open(QIODevice::WriteOnly);
  QSvgGenerator generator;
  generator.setOutputDevice(&buffer);
  generator.setResolution(72);
  generator.setSize(drawing.size().toSize());
  generator.setViewBox(QRectF(QPointF(0, 0), drawing.size()));
  generator.setTitle(QString::fromStdString(data.panels.front().long_name).toHtmlEscaped());
  generator.setDescription(QString::fromStdString(json).toHtmlEscaped());
  {
    QPainter painter(&generator);
    drawing.draw(painter);
  }
  // The generator knows whole units only.
  QByteArray svg = buffer.data();
  const qsizetype begin = svg.indexOf("<svg width=\"");
  const qsizetype end = svg.indexOf("viewBox", begin);
  if (begin >= 0 && end > begin) {
    svg.replace(begin, end - begin,
                QStringLiteral("<svg width=\"%1in\" height=\"%2in\" ")
                    .arg(drawing.size().width() / 72, 0, 'g', 10)
                    .arg(drawing.size().height() / 72, 0, 'g', 10)
                    .toLatin1());
  }
  return svg.toStdString();
}

QImage figureImage(const FigureData& data, const FigureSpec& spec, double scale) {
  return image(FigureDrawing(data, spec), scale);
}

std::string figurePng(const FigureData& data, const FigureSpec& spec, const std::string& json) {
  QImage made = figureImage(data, spec, static_cast<double>(spec.dpi) / 72);
  const int perMetre = static_cast<int>(std::lround(static_cast<double>(spec.dpi) / 0.0254));
  made.setDotsPerMeterX(perMetre);
  made.setDotsPerMeterY(perMetre);
  made.setText(QStringLiteral("Description"), QString::fromStdString(json));
  made.setText(QStringLiteral("Software"), QStringLiteral("DHSA Explorer"));
  QBuffer buffer;
  buffer.open(QIODevice::WriteOnly);
  if (!made.save(&buffer, "PNG")) throw Error("The picture cannot be made as PNG.");
  return buffer.data().toStdString();
}

}  // namespace dhsa
