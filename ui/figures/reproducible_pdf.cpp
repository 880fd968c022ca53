#include <algorithm>
#include <cstdio>
#include <regex>
#include <stdexcept>
#include <vector>

#include "ui/figures/figure_files.h"

namespace dhsa {
namespace {

struct Object {
  std::size_t number = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Replaces the text between `before` and the next of `after`'s characters, outside streams.
void replaceValue(std::string& object, const std::string& before, const std::string& close, const std::string& value) {
  const std::size_t stream = std::min(object.find("stream\n"), object.size());
  const std::size_t at = object.find(before);
  if (at == std::string::npos || at > stream) return;
  const std::size_t from = at + before.size();
  const std::size_t to = object.find(close, from);
  if (to != std::string::npos) object.replace(from, to - from, value);
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value);
  std::string shown = text;
  shown.erase(shown.find_last_not_of('0') + 1);
  if (shown.back() == '.') shown.pop_back();
  return shown;
}

// A UUID anywhere in an XMP packet.
std::string withoutIdentifiers(std::string text) {
  static const std::regex uuid("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}");
  static const std::regex date("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}");
  text = std::regex_replace(text, uuid, "00000000-0000-0000-0000-000000000000");
  return std::regex_replace(text, date, "2000-01-01T00:00:00");
}

}  // namespace

std::string reproduciblePdf(const std::string& pdf, double width, double height) {
  const auto wrong = [] { return std::logic_error("a PDF of Qt's without a cross-reference table"); };
  const std::size_t start = pdf.rfind("startxref");
  if (start == std::string::npos) throw wrong();
  const std::size_t table = std::stoull(pdf.substr(start + 10));
  if (pdf.compare(table, 4, "xref") != 0) throw wrong();
  std::size_t count = 0;
  std::size_t at = table + 5;
  if (std::sscanf(pdf.c_str() + at, "0 %zu", &count) != 1) throw wrong();
  at = pdf.find('\n', at) + 1;
  std::vector<Object> objects;
  for (std::size_t i = 0; i < count; ++i, at += 20) {
    if (pdf.at(at + 17) == 'n') objects.push_back({i, std::stoull(pdf.substr(at, 10)), table});
  }
  std::sort(objects.begin(), objects.end(), [](const Object& a, const Object& b) { return a.begin < b.begin; });
  for (std::size_t i = 0; i + 1 < objects.size(); ++i) objects[i].end = objects[i + 1].begin;

  std::string out = pdf.substr(0, objects.front().begin);
  std::vector<std::size_t> places(count, 0);
  const std::string box = "0 0 " + number(width) + " " + number(height);
  for (const Object& object : objects) {
    std::string text = pdf.substr(object.begin, object.end - object.begin);
    replaceValue(text, "/MediaBox [", "]", box);
    replaceValue(text, "/CreationDate (", ")", "D:20000101000000Z");
    replaceValue(text, "/ModDate (", ")", "D:20000101000000Z");
    if (text.find("<?xpacket") != std::string::npos) text = withoutIdentifiers(text);
    places[object.number] = out.size();
    out += text;
  }
  const std::size_t xref = out.size();
  out += "xref\n0 " + std::to_string(count) + "\n0000000000 65535 f \n";
  for (std::size_t i = 1; i < count; ++i) {
    char line[24];
    std::snprintf(line, sizeof line, "%010zu 00000 %c \n", places[i], places[i] > 0 ? 'n' : 'f');
    out += line;
  }
  std::string trailer = pdf.substr(at, start - at);
  const std::size_t id = trailer.find("/ID");
  if (id != std::string::npos) trailer.erase(id, trailer.find(']', id) + 1 - id);
  return out + trailer + "startxref\n" + std::to_string(xref) + "\n%%EOF\n";
}

}  // namespace dhsa
