#include "ui/plot/colour_map.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ui/plot/axis_ticks.h"

namespace dhsa {

namespace {

// Every fifth entry of the published 256-colour tables; linear interpolation in between is off by less than three
// levels of 255. Viridis and magma: S. van der Walt and N. Smith, released under CC0. Cividis: J. Nuñez, C. Anderton
// and R. Renslow, doi:10.1371/journal.pone.0199239.
constexpr std::array<QRgb, 52> kViridis{
    0x440154, 0x46085c, 0x471063, 0x481769, 0x481d6f, 0x482475, 0x472a7a, 0x46307e, 0x453781, 0x433d84, 0x414287,
    0x3f4889, 0x3d4e8a, 0x3a538b, 0x38598c, 0x355e8d, 0x33638d, 0x31688e, 0x2e6d8e, 0x2c718e, 0x2a768e, 0x297b8e,
    0x27808e, 0x25848e, 0x23898e, 0x218e8d, 0x20928c, 0x1f978b, 0x1e9c89, 0x1fa188, 0x21a585, 0x24aa83, 0x28ae80,
    0x2eb37c, 0x35b779, 0x3dbc74, 0x46c06f, 0x50c46a, 0x5ac864, 0x65cb5e, 0x70cf57, 0x7cd250, 0x89d548, 0x95d840,
    0xa2da37, 0xb0dd2f, 0xbddf26, 0xcae11f, 0xd8e219, 0xe5e419, 0xf1e51d, 0xfde725};
constexpr std::array<QRgb, 52> kCividis{
    0x00204d, 0x002455, 0x00275e, 0x002b67, 0x002e6f, 0x00316f, 0x00356e, 0x12386d, 0x1f3c6d, 0x28406c, 0x30436c,
    0x36476b, 0x3d4a6b, 0x424e6b, 0x48526b, 0x4d556c, 0x52596c, 0x575c6d, 0x5b606e, 0x60646f, 0x646770, 0x696b71,
    0x6d6e72, 0x727274, 0x767676, 0x7a7a78, 0x7f7d78, 0x848179, 0x888579, 0x8d8979, 0x928d78, 0x979178, 0x9c9577,
    0xa19976, 0xa69d75, 0xaca174, 0xb1a573, 0xb6a971, 0xbbae6f, 0xc1b26d, 0xc6b66b, 0xccbb69, 0xd1bf66, 0xd7c463,
    0xdcc860, 0xe2cd5c, 0xe8d259, 0xedd654, 0xf3db4f, 0xf9e04a, 0xffe544, 0xffea46};
constexpr std::array<QRgb, 52> kMagma{
    0x000004, 0x02020b, 0x050416, 0x090720, 0x0e0b2b, 0x140e36, 0x1a1042, 0x21114e, 0x29115a, 0x311165, 0x390f6e,
    0x420f75, 0x4a1079, 0x52137c, 0x5a167e, 0x621980, 0x6a1c81, 0x721f81, 0x792282, 0x812581, 0x892881, 0x912b81,
    0x992d80, 0xa1307e, 0xaa337d, 0xb2357b, 0xba3878, 0xc23b75, 0xca3e72, 0xd2426f, 0xd9466b, 0xe04c67, 0xe75263,
    0xec5860, 0xf1605d, 0xf4695c, 0xf7725c, 0xf97b5d, 0xfb8560, 0xfc8e64, 0xfd9869, 0xfea16e, 0xfeaa74, 0xfeb47b,
    0xfebd82, 0xfec68a, 0xfecf92, 0xfed89a, 0xfde2a3, 0xfdebac, 0xfcf4b6, 0xfcfdbf};

// ColorBrewer 2.0 (C. Brewer), sequential Blues and Oranges of nine classes, joined at white.
constexpr std::array<QRgb, 17> kDiverging{0x08306b, 0x08519c, 0x2171b5, 0x4292c6, 0x6baed6, 0x9ecae1,
                                          0xc6dbef, 0xdeebf7, 0xffffff, 0xfee6ce, 0xfdd0a2, 0xfdae6b,
                                          0xfd8d3c, 0xf16913, 0xd94801, 0xa63603, 0x7f2704};
// The same hues with the lightness turned round.
constexpr std::array<QRgb, 13> kDivergingDark{0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6, 0x2171b5, 0x08519c, 0x16181d,
                                              0xa63603, 0xd94801, 0xfd8d3c, 0xfdae6b, 0xfdd0a2, 0xfee6ce};
constexpr std::array<QRgb, 2> kMask{0xc3cad4, 0x005a96};  // kept as in exported figures
constexpr std::array<QRgb, 2> kMaskDark{0x16181d, 0x3f9bd8};
constexpr std::array<QRgb, 2> kGrey{0x000000, 0xffffff};
constexpr std::array<QRgb, 2> kGreyReversed{0xffffff, 0x000000};

constexpr std::array kAll{ColourMapId::Viridis, ColourMapId::Cividis,      ColourMapId::Magma,
                          ColourMapId::Grey,    ColourMapId::GreyReversed, ColourMapId::Diverging};
constexpr double kDecades = 1e-5;       // least positive low end of a logarithmic scale, as a share of the high end
constexpr double kDivergingLog = 1e-4;  // magnitudes below this share of the largest are as good as 0

std::span<const QRgb> stopsOf(ColourMapId id, bool dark) {
  switch (id) {
    case ColourMapId::Cividis:
      return kCividis;
    case ColourMapId::Magma:
      return kMagma;
    case ColourMapId::Grey:
      return kGrey;
    case ColourMapId::GreyReversed:
      return kGreyReversed;
    case ColourMapId::Diverging:
      if (dark) return kDivergingDark;
      return kDiverging;
    case ColourMapId::Mask:
      if (dark) return kMaskDark;
      return kMask;
    case ColourMapId::Viridis:
      break;
  }
  return kViridis;
}

// log2 to about 5e-3, enough for 256 colours: exponent plus a cubic through the mantissa.
float roughLog2(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const float exponent = static_cast<float>(static_cast<int>(bits >> 23U) - 128);
  const float m = std::bit_cast<float>((bits & 0x007fffffU) | 0x3f800000U);
  return exponent + ((0.1640425613F * m - 1.0988652862F) * m + 3.1482979293F) * m - 1.2134752044F;
}

}  // namespace

ColourMap::ColourMap(ColourMapId id, bool dark) {
  const std::span<const QRgb> stops = stopsOf(id, dark);
  for (std::size_t i = 0; i < m_table.size(); ++i) {
    const double place = static_cast<double>(i) / 255.0 * static_cast<double>(stops.size() - 1);
    const auto stop = std::min(static_cast<std::size_t>(place), stops.size() - 2);
    const double share = place - static_cast<double>(stop);
    const auto mix = [share](int a, int b) { return static_cast<int>(std::lround(a + (b - a) * share)); };
    const QRgb a = stops[stop];
    const QRgb b = stops[stop + 1];
    m_table[i] = qRgb(mix(qRed(a), qRed(b)), mix(qGreen(a), qGreen(b)), mix(qBlue(a), qBlue(b)));
  }
}

QRgb ColourMap::at(double position) const {
  return m_table[static_cast<std::size_t>(std::lround(std::clamp(position, 0.0, 1.0) * 255.0))];
}

std::span<const ColourMapId> ColourMap::all() { return kAll; }

QString ColourMap::name(ColourMapId id) {
  switch (id) {
    case ColourMapId::Viridis:
      return tr("Viridis");
    case ColourMapId::Cividis:
      return tr("Cividis");
    case ColourMapId::Magma:
      return tr("Magma");
    case ColourMapId::Grey:
      return tr("Grey");
    case ColourMapId::GreyReversed:
      return tr("Grey, reversed");
    case ColourMapId::Diverging:
      return tr("Blue–white–orange");
    case ColourMapId::Mask:
      return tr("Dropped and kept");
  }
  return {};
}

QString ColourMap::key(ColourMapId id) {
  switch (id) {
    case ColourMapId::Viridis:
      return QStringLiteral("viridis");
    case ColourMapId::Cividis:
      return QStringLiteral("cividis");
    case ColourMapId::Magma:
      return QStringLiteral("magma");
    case ColourMapId::Grey:
      return QStringLiteral("grey");
    case ColourMapId::GreyReversed:
      return QStringLiteral("grey-reversed");
    case ColourMapId::Diverging:
      return QStringLiteral("diverging");
    case ColourMapId::Mask:
      return QStringLiteral("mask");
  }
  return {};
}

ColourMapId ColourMap::fromKey(const QString& key, ColourMapId otherwise) {
  const auto* found = std::find_if(kAll.begin(), kAll.end(), [&](ColourMapId id) { return ColourMap::key(id) == key; });
  return found == kAll.end() ? otherwise : *found;
}

ColourSettings ColourSettings::forKind(MatrixSource::Kind kind) {
  ColourSettings settings;
  if (kind == MatrixSource::Kind::kProbability) {
    settings.scale = ColourScale::Log;
    settings.map = ColourMapId::Magma;
  }
  if (kind == MatrixSource::Kind::kDifference) {
    settings.map = ColourMapId::Diverging;
    settings.scale = ColourScale::Sqrt;
  }
  return settings;
}

ValueScale::ValueScale(ColourScale scale, double low, double high, bool diverging)
    : m_scale(scale), m_low(low), m_high(high), m_diverging(diverging) {
  if (diverging) {
    m_high = std::max(std::abs(low), std::abs(high));
    if (!(m_high > 0)) m_high = 1;
    m_low = -m_high;
    return;
  }
  if (!(m_high > m_low)) m_high = m_low + (m_low == 0 ? 1 : std::abs(m_low) * 1e-6);
  if (m_scale == ColourScale::Log) {
    if (m_high <= 0) {
      m_scale = ColourScale::Linear;  // nothing positive: a logarithm says nothing here
    } else {
      m_low = std::max(m_low, m_high * kDecades);
    }
  }
}

double ValueScale::position(double value) const {
  if (std::isnan(value)) return value;
  if (m_diverging) {
    double share = std::min(std::abs(value) / m_high, 1.0);
    if (m_scale == ColourScale::Sqrt) share = std::sqrt(share);
    if (m_scale == ColourScale::Log) share = share <= kDivergingLog ? 0 : 1 - std::log(share) / std::log(kDivergingLog);
    return 0.5 + (value < 0 ? -0.5 : 0.5) * share;
  }
  if (m_scale == ColourScale::Log)
    return value <= m_low ? 0.0 : std::min(1.0, std::log(value / m_low) / std::log(m_high / m_low));
  const double share = std::clamp((value - m_low) / (m_high - m_low), 0.0, 1.0);
  return m_scale == ColourScale::Sqrt ? std::sqrt(share) : share;
}

double ValueScale::value(double position) const {
  if (m_diverging) {
    double share = std::abs(2 * position - 1);
    if (m_scale == ColourScale::Sqrt) share *= share;
    if (m_scale == ColourScale::Log) share = share <= 0 ? 0 : std::pow(kDivergingLog, 1 - share);
    return (position < 0.5 ? -1 : 1) * share * m_high;
  }
  if (m_scale == ColourScale::Log) return m_low * std::pow(m_high / m_low, position);
  const double share = m_scale == ColourScale::Sqrt ? position * position : position;
  return m_low + share * (m_high - m_low);
}

std::vector<double> ValueScale::ticks(int about) const {
  std::vector<double> ticks;
  if (m_diverging) {
    const auto add = [&](double value) {
      ticks.push_back(value);
      if (value > 0) ticks.push_back(-value);
    };
    if (m_scale == ColourScale::Log) {
      add(0);
      for (double p = std::pow(10, std::floor(std::log10(m_high))); p > m_high * kDivergingLog * 2; p /= 10) add(p);
    } else {
      for (const double t : niceTicks(0, m_high, std::max(2, about / 2))) add(t);
    }
    std::sort(ticks.begin(), ticks.end());
    return ticks;
  }
  if (m_scale == ColourScale::Log && m_high / m_low >= 10) {
    for (double p = std::pow(10, std::ceil(std::log10(m_low) - 1e-9)); p <= m_high * (1 + 1e-9); p *= 10)
      ticks.push_back(p);
    return ticks;
  }
  ticks = niceTicks(m_low, m_high, about);
  return ticks;
}

void ValueScale::colour(std::span<const float> values, int width, int height, const ColourMap& map,
                        QImage& image) const {
  if (image.width() != width || image.height() != height || image.format() != QImage::Format_ARGB32_Premultiplied)
    image = QImage(width, height, QImage::Format_ARGB32_Premultiplied);
  const auto& table = map.table();
  const auto low = static_cast<float>(m_low);
  const float per_unit = static_cast<float>(255.0 / (m_high - m_low));
  const float log_low = m_scale == ColourScale::Log && !m_diverging ? roughLog2(low) : 0.0F;
  const float per_octave =
      m_scale == ColourScale::Log && !m_diverging ? static_cast<float>(255.0 / std::log2(m_high / m_low)) : 0.0F;
  const auto paint = [&](auto&& index) {
    for (int y = 0; y < height; ++y) {
      const float* from = values.data() + static_cast<std::ptrdiff_t>(y) * width;
      auto* to = reinterpret_cast<QRgb*>(image.scanLine(y));
      for (int x = 0; x < width; ++x) {
        const float value = from[x];
        to[x] = std::isnan(value) ? 0U : table[static_cast<std::size_t>(std::clamp(index(value), 0.0F, 255.0F) + 0.5F)];
      }
    }
  };
  if (m_diverging) {
    paint([&](float v) { return static_cast<float>(position(static_cast<double>(v)) * 255.0); });
  } else if (m_scale == ColourScale::Linear) {
    paint([&](float v) { return (v - low) * per_unit; });
  } else if (m_scale == ColourScale::Sqrt) {
    paint([&](float v) { return v <= low ? 0.0F : std::sqrt((v - low) * per_unit * 255.0F); });
  } else {
    paint([&](float v) { return v <= low ? 0.0F : (roughLog2(v) - log_low) * per_octave; });
  }
}

ValueRange rangeOf(std::span<const float> values, double percentileLow, double percentileHigh) {
  std::vector<float> finite;
  finite.reserve(values.size());
  for (const float v : values)
    if (std::isfinite(v)) finite.push_back(v);
  if (finite.empty()) return {};
  const auto at = [&](double percent) {
    const auto place = static_cast<std::ptrdiff_t>(
        std::lround(std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(finite.size() - 1)));
    std::nth_element(finite.begin(), finite.begin() + place, finite.end());
    return static_cast<double>(finite[static_cast<std::size_t>(place)]);
  };
  const double low = at(percentileLow);
  return {low, at(percentileHigh)};
}

}  // namespace dhsa
