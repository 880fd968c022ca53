// Drives a fuzz target where libFuzzer is not: every seed as it is, then a fixed sequence of mutated ones, the same on
// every machine. Usage: fuzz_X MUTATIONS CORPUS_FOLDER
#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

namespace fs = std::filesystem;
using std::string_view_literals::operator""sv;

constexpr std::size_t kMostBytes = 1U << 16U;

// Parts of the formats, and what readers stumble over.
constexpr std::array kWords = {"{"sv,
                               "}"sv,
                               "["sv,
                               "]"sv,
                               "("sv,
                               ")"sv,
                               ","sv,
                               ":"sv,
                               "\""sv,
                               "'"sv,
                               "\\"sv,
                               "\0"sv,
                               "\xFF"sv,
                               "\xEF\xBB\xBF"sv,
                               "null"sv,
                               "true"sv,
                               "false"sv,
                               "True"sv,
                               "0"sv,
                               "-1"sv,
                               "1.5"sv,
                               "1e999"sv,
                               "1e300"sv,
                               "9223372036854775807"sv,
                               "9223372036854775808"sv,
                               "18446744073709551615"sv,
                               "18446744073709551616"sv,
                               "[]"sv,
                               "{}"sv,
                               "\"\""sv,
                               "\\u0000"sv,
                               "\\ud800"sv,
                               "[[[[[[[["sv,
                               "{\"a\":"sv,
                               "\"dtype\""sv,
                               "\"shape\""sv,
                               "\"data_offsets\""sv,
                               "\"__metadata__\""sv,
                               "\"F32\""sv,
                               "\"BF16\""sv,
                               "\"F4\""sv,
                               "\"weight_map\""sv,
                               "\"../x\""sv,
                               "\"/x\""sv,
                               "\"..\""sv,
                               "\"layer_types\""sv,
                               "\"sliding_window\""sv,
                               "\"eos_token_id\""sv,
                               "\"rope_parameters\""sv,
                               "\"head_dim\""sv,
                               "'descr'"sv,
                               "'fortran_order'"sv,
                               "'shape'"sv,
                               "'<f4'"sv,
                               "'|b1'"sv,
                               "(0,)"sv,
                               "\x93NUMPY"sv,
                               "PK\x03\x04"sv,
                               "PK\x01\x02"sv,
                               "PK\x05\x06"sv,
                               "PK\x06\x06"sv,
                               "PK\x06\x07"sv,
                               "\xFF\xFF"sv,
                               "\xFF\xFF\xFF\xFF"sv,
                               "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv,
                               "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"sv,
                               "\0\0\0\0\0\0\0\x80"sv};

// SplitMix64: small, and the same everywhere, which <random>'s distributions are not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  std::uint64_t state_;
};

void mutate(std::string& input, const std::vector<std::string>& seeds, Random& random) {
  const std::size_t at = random.below(input.size() + 1);
  const std::size_t some = std::min(1 + random.below(16), input.size() - at);
  switch (random.below(9)) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
      break;
    case 1:
      if (at < input.size()) input[at] = static_cast<char>(random.below(256));
      break;
    case 2:
      input.erase(at, some);
      break;
    case 3:
      input.insert(random.below(input.size() + 1), input.substr(at, some));
      break;
    case 4:
      input.insert(at, kWords[random.below(kWords.size())]);
      break;
    case 5: {
      const std::string_view word = kWords[random.below(kWords.size())];
      input.replace(at, std::min(word.size(), input.size() - at), word);
      break;
    }
    case 6:
      input.resize(at);
      break;
    case 7: {
      const std::string& other = seeds[random.below(seeds.size())];
      input = input.substr(0, at) + other.substr(random.below(other.size() + 1));
      break;
    }
    default: {
      // A number by a near one.
      const std::size_t digit = input.find_first_of("0123456789", at);
      if (digit != std::string::npos) input[digit] = static_cast<char>('0' + random.below(10));
    }
  }
  if (input.size() > kMostBytes) input.resize(kMostBytes);
}

bool passes(const std::string& input, const std::string& name) {
  try {
    (void)LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
    return true;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << '\n';
  } catch (...) {
    std::cerr << name << ": something that is no std::exception escaped\n";
  }
  std::ofstream("fuzz-finding.bin", std::ios::binary) << input;
  std::cerr << "The input is in fuzz-finding.bin.\n";
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " MUTATIONS CORPUS_FOLDER\n";
    return 2;
  }
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(argv[2])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const fs::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    if (!passes(seeds.back(), path.filename().string())) return 1;
  }
  if (seeds.empty()) {
    std::cerr << argv[2] << ": no seed in it\n";
    return 2;
  }
  Random random(20240617);
  const int mutations = std::atoi(argv[1]);
  std::string input;
  for (int i = 0; i < mutations; ++i) {
    // Chains of a few mutations, each step of which is tried.
    if (i % 4 == 0) input = seeds[random.below(seeds.size())];
    mutate(input, seeds, random);
    if (!passes(input, "mutation " + std::to_string(i))) return 1;
  }
  std::cout << seeds.size() << " seeds and " << mutations << " mutations passed\n";
  return 0;
}
