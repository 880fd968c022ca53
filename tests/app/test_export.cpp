// dhsa export: data that numpy reads, commands that make the same bytes again, and one sentence when it cannot be done.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/app/command.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;

std::string text_of(int sentences) {
  std::string text = "The harbour was quiet in the morning. ";
  for (int i = 0; i < sentences; ++i) {
    text += i % 3 == 0 ? "Boats came in with the tide, and the market filled with people and noise. "
                       : "In the evening the wind turned, and the lights went on along the quay. ";
  }
  return text + "\nQuestion: What came in with the tide?\nAnswer:";
}

const char* const kSmall = " --budget 96 --sink-tokens 16 --local-tokens 32 --query-block 32 ";

std::string python(const Folder& folder, const std::string& script) {
  const std::string path = folder.write("check.py", script);
  const std::string out = folder.path("python.txt").string();
  const int code = std::system(
      ("cd '" + folder.path().string() + "' && /usr/bin/python3 '" + path + "' >'" + out + "' 2>&1").c_str());
  return code == 0 ? "" : content(out) + " (exit " + std::to_string(code) + ")";
}

// The Python of the README that loads an exported mask.
std::string readme_snippet() {
  const std::string readme = content(DHSA_README);
  const std::size_t begin = readme.find("```python\n");
  EXPECT_NE(begin, std::string::npos);
  const std::size_t from = begin + 10;
  return readme.substr(from, readme.find("```", from) - from);
}

TEST(Export, NumpyReadsTheMaskWithTheSnippetOfTheReadme) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(12));
  done("export mask,chunk-scores,importance,dense '" + text + "' --layer 3" + kSmall +
       "--mask-heads per-kv-head --dense-bits --out '" + folder.path("layer.npz").string() + "'");
  const Outcome local = done("export mask '" + text + "' --layer 2" + kSmall + "--dense-bits --out '" +
                             folder.path("local.npz").string() + "'");
  static_cast<void>(folder.write("snippet.py", readme_snippet()));
  EXPECT_EQ(python(folder, R"(
import json
import numpy as np
from snippet import load_mask

for name, lists in (("layer.npz", 2), ("local.npz", 1)):
    z = np.load(name)
    tokens = int(z["group_rows"][-1])
    bits = np.unpackbits(z["kept_bits_little"], axis=-1, bitorder="little", count=tokens).astype(bool)
    assert bits.shape == (lists, tokens, tokens), bits.shape
    for head in range(lists):
        mask = load_mask(name, head)
        assert mask.dtype == bool and (mask == bits[head]).all(), (name, head)
        assert mask.diagonal().all() and not np.triu(mask, 1).any()
    facts = json.load(open(name.replace("npz", "json")))["panels"][0]["facts"]
    assert facts["kept_pairs"] == bits.sum(), (facts, bits.sum())
assert (bits[0] != np.tril(bits[0])).sum() == 0

z = np.load("layer.npz")
assert z["boundaries"][0] == 0 and z["boundaries"][-1] == tokens
text = open("note.txt", encoding="utf-8").read()
assert z["boundary_characters"][-1] == len(text)
assert z["chunk_scores"].shape == (2, len(z["group_rows"]) - 1, len(z["boundaries"]) - 1)
assert z["dense"].shape == (tokens, tokens) and np.allclose(z["dense"].sum(1), 1, atol=1e-4)
assert z["received_mass"].shape == z["retention"].shape == (tokens,)
assert 0 <= z["retention"].min() and z["retention"].max() <= 1
)"),
            "");
}

TEST(Export, TheCommandInTheDescriptionMakesTheSameBytes) {
  const Folder folder;
  static_cast<void>(folder.write("a note.txt", text_of(8)));
  done(std::string("export mask@3,head-mass 'a note.txt' --ran-with budget=64 --map cividis --metrics-rows 3") +
           kSmall + "--out data.npz",
       "", folder.path());
  const std::string json = content(folder.path("data.json"));
  const std::string arrays = content(folder.path("data.npz"));
  const std::string table = content(folder.path("data.csv"));
  expect_said(table, {"layer,head"});
  std::string command = json_of(folder.path("data.json"))["command"];
  ASSERT_TRUE(command.starts_with("dhsa export ")) << command;
  for (const char* name : {"data.json", "data.npz", "data.csv"}) fs::remove(folder.path(name));
  done(command.substr(5), "", folder.path());
  EXPECT_EQ(content(folder.path("data.json")), json);
  EXPECT_EQ(content(folder.path("data.npz")), arrays);
  EXPECT_EQ(content(folder.path("data.csv")), table);
  EXPECT_EQ(json_of(folder.path("data.json"))["ran_with"]["budget"], 64);
  // Nothing is drawn at random, so no seed is named.
  EXPECT_FALSE(json_of(folder.path("data.json")).contains("seed"));
}

TEST(Export, OneFileForEachLayer) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(6));
  done("export mask '" + text + "' --layer 1-3" + kSmall + "--out '" + folder.path("m-{layer}.npz").string() + "'");
  for (int layer = 1; layer <= 3; ++layer) {
    const nlohmann::json json = json_of(folder.path("m-" + std::to_string(layer) + ".json"));
    EXPECT_EQ(json["panels"][0]["facts"]["layer"], layer);
  }
  EXPECT_EQ(folder.names().size(), 7U);
}

TEST(Export, DroppedMassIsWhatTheMaskTakesFromDenseAttention) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(12));
  done("export mask,dense,dropped '" + text + "' --layer 3 --head 1" + kSmall + "--dense-bits --out '" +
       folder.path("one.npz").string() + "'");
  done("export dropped '" + text + "' --layer 3 --head all" + kSmall + "--out '" + folder.path("heads.npz").string() +
       "'");
  const nlohmann::json heads = json_of(folder.path("heads.json"))["panels"];
  ASSERT_EQ(heads.size(), 4U);
  for (std::size_t head = 0; head < 4; ++head) EXPECT_EQ(heads[head]["shows"], "dropped@3." + std::to_string(head));
  EXPECT_EQ(python(folder, R"(
import numpy as np

z = np.load("one.npz")
tokens = int(z["group_rows"][-1])
kept = np.unpackbits(z["kept_bits_little"], axis=-1, bitorder="little", count=tokens).astype(bool)
kept = kept[1 * len(kept) // 4]
assert np.allclose(z["dropped"], np.where(kept, 0, z["dense"]), atol=1e-6)
assert z["dropped"].sum() > 1, z["dropped"].sum()
heads = np.load("heads.npz")
assert np.allclose(heads["b/dropped"], z["dropped"], atol=1e-6)
assert not np.allclose(heads["a/dropped"], z["dropped"], atol=1e-3)
)"),
            "");
}

TEST(Export, SaysInOneSentenceWhatIsWrong) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(4));
  const std::string out = " --out '" + folder.path("x.npz").string() + "'";
  EXPECT_REFUSED(dhsa("export cat '" + text + "'" + out), "chunk-scores");
  EXPECT_REFUSED(dhsa("export mask '" + text + "'"), "--out");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --out '" + folder.path("x.doc").string() + "'"), ".pdf");
  EXPECT_REFUSED(dhsa("export mask@8 '" + text + "'" + out), "layers 0 to 7");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --layer 3-99" + out), "0 to 7");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --head x" + out), "--head");
  EXPECT_REFUSED(dhsa("export dense@3.9 '" + text + "'" + out), "heads 0 to 3");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --row-begin 99999" + out), "99999");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --dpi many" + out), "dpi cannot be");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --map jet" + out), "viridis");
  EXPECT_REFUSED(dhsa("export mask - " + out, "text"), "save it");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --layer all --out '" + folder.path("{head}.npz").string() + "'"),
                 "{head}");
  EXPECT_REFUSED(dhsa("export importance '" + text + "' --key-begin 99999" + out), "99999");
  EXPECT_REFUSED(dhsa("export importance '" + text + "' --skip-keys 99999" + out), "--skip-keys");
  EXPECT_REFUSED(dhsa("export latency" + out), "--data-file");
  EXPECT_REFUSED(dhsa("export latency --data-file '" + text + "'" + out), "note.txt");
  EXPECT_REFUSED(dhsa("export chunk-scores '" + text + "' --method window-sinks" + out), "no chunks");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --ran-with cat=1" + out), "cat");
  EXPECT_REFUSED(dhsa("export mask '" + text + "' --out /proc/none/x.npz"), "/proc/none");
  EXPECT_REFUSED(dhsa("export latency --session '" + text + "'" + out), "");
  EXPECT_EQ(folder.names().size(), 1U);
}

#ifdef DHSA_FIGURES

std::string output_of(const std::string& command) {
  const Folder folder;
  const std::string out = folder.path("out").string();
  const int code = std::system((command + " >'" + out + "' 2>&1").c_str());
  return content(out) + (code == 0 ? "" : " (exit " + std::to_string(code) + ")");
}

TEST(ExportFigures, APdfHasItsPageItsFontsItsDataAndNoJpeg) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(10));
  const std::string pdf = folder.path("f.pdf").string();
  const Outcome outcome =
      done("export mask,dense '" + text + "' --layer 3 --venue aaai --columns one" + kSmall + "--out '" + pdf + "'");
  EXPECT_EQ(outcome.err, "");
  const nlohmann::json json = json_of(folder.path("f.json"));
  // 3.3 in: no whole number of points.
  EXPECT_DOUBLE_EQ(json["page"]["width_inches"].get<double>(), 3.3);
  EXPECT_NE(output_of("pdfinfo '" + pdf + "'").find("Page size:       237.6 x "), std::string::npos);
  const std::string fonts = output_of("pdffonts '" + pdf + "' | tail -n +3");
  expect_said(fonts, {"TrueType"});
  EXPECT_EQ(fonts.find("Type 3"), std::string::npos) << fonts;
  EXPECT_EQ(output_of("pdffonts '" + pdf + "' | tail -n +3 | awk '{ print $(NF - 4) }' | sort -u"),
            "yes\n");  // embedded
  EXPECT_EQ(content(pdf).find("DCTDecode"), std::string::npos);
  EXPECT_EQ(json["panels"][0]["drawing"]["drawn_as"], "merged vector rectangles");
  EXPECT_EQ(json["panels"][1]["drawing"]["drawn_as"], "picture");
  const std::string attached = folder.path("attached.json").string();
  EXPECT_EQ(output_of("pdfdetach -save 1 -o '" + attached + "' '" + pdf + "'"), "");
  EXPECT_EQ(content(attached), content(folder.path("f.json")));
}

TEST(ExportFigures, TheCommandMakesTheSameBytesInEveryFormat) {
  const Folder folder;
  static_cast<void>(folder.write("note.txt", text_of(8)));
  for (const std::string suffix : {"pdf", "svg", "png"}) {
    done("export mask,sparse,importance note.txt --layer 3 --dpi 120" + std::string(kSmall) + "--out f." + suffix, "",
         folder.path());
    const std::string figure = content(folder.path("f." + suffix));
    const std::string json = content(folder.path("f.json"));
    EXPECT_FALSE(figure.empty());
    fs::remove(folder.path("f." + suffix));
    const std::string command = json_of(folder.path("f.json"))["command"];
    done(command.substr(5), "", folder.path());
    EXPECT_TRUE(content(folder.path("f." + suffix)) == figure) << suffix;
    EXPECT_EQ(content(folder.path("f.json")), json);
    if (suffix == "png") {
      EXPECT_EQ(python(folder, R"(
import json, struct, zlib
data = open("f.png", "rb").read()
chunks, at = {}, 8
while at < len(data):
    size, name = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + size]
    if name in (b"tEXt", b"zTXt", b"iTXt"):
        key, rest = body.split(b"\0", 1)
        if name == b"zTXt": rest = zlib.decompress(rest[1:])
        if name == b"iTXt":
            packed, rest = rest[0], rest[2:].split(b"\0", 2)[2]
            if packed: rest = zlib.decompress(rest)
        chunks[key.decode()] = rest
    else:
        chunks[name] = body
    at += 12 + size
width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
assert width == 660, width  # 5.5 in at 120 dpi
assert struct.unpack(">IIB", chunks[b"pHYs"]) == (4724, 4724, 1), chunks[b"pHYs"]
assert chunks["Description"].decode() == open("f.json").read()
)"),
                "");
    }
    if (suffix == "svg") {
      EXPECT_EQ(python(folder, R"(
import json
import xml.etree.ElementTree as tree
root = tree.parse("f.svg").getroot()
space = "{http://www.w3.org/2000/svg}"
assert root.get("width") == "5.5in", root.attrib
assert json.loads(root.find(space + "desc").text) == json.load(open("f.json"))
texts = ["".join(t.itertext()) for t in root.iter(space + "text")]
assert "kept" in texts and any("Key" in t for t in texts), texts
)"),
                "");
    }
  }
}

TEST(ExportFigures, NeedleTestsAndSweepsAreDrawnWithTheNumbersOfTheirFiles) {
  const Folder folder;
  const std::string here = folder.path().string() + "/";
  Outcome outcome =
      dhsa("needle --methods dense,window-sinks --lengths 192,256 --depths 3 --digits 2 --quiet --json '" + here +
           "needle-results.json'");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  outcome = dhsa(
      "sweep --methods dense,window-sinks --lengths 192,256 --vary budget=48,96 --sink-tokens 8 --local-tokens 16 "
      "--repeats 1 --logit-positions 8 --quiet --json '" +
      here + "sweep-results.json'");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const std::string what : {"needle", "budget", "latency,memory"}) {
    const std::string from = what == "needle" ? "needle" : "sweep";
    outcome = dhsa("export " + what + " --data-file '" + here + from + "-results.json' --out '" + here +
                   (what == "latency,memory" ? "cost" : what) + ".svg'");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  EXPECT_EQ(python(folder, R"py(
import csv, json
import numpy as np
import xml.etree.ElementTree as tree

def texts(name):
    return ["".join(t.itertext()).strip() for t in tree.parse(name).getroot().iter("{http://www.w3.org/2000/svg}text")]

def rows(name):
    return list(csv.DictReader(open(name)))

# Needles: a cell for every depth and length of each method, as a whole percentage.
z = np.load("needle.npz")
shown = texts("needle.svg")
table = rows("needle.csv") if "# panel" not in open("needle.csv").read() else None
found = [z[k] for k in sorted(z.files) if k.split("/")[-1] == "found"]
assert found and all(f.shape == (3, 2) for f in found), z.files
cells = [str(round(100 * v)) for f in found for v in f.ravel()]
for text in set(cells):
    assert shown.count(text) >= cells.count(text) / (1 if len(found) == 2 else 0.5), (text, shown)
assert "192" in shown and "256" in shown and any("epth" in t for t in shown), shown
assert "dense" in shown and "window-sinks" in shown, shown

# Budgets: the points of the sweep.
results = json.load(open("sweep-results.json"))
table = rows("budget.csv")
series = {r["series"] for r in table}
assert len(series) == 4, series  # two methods, two lengths
for point in results["points"]:
    if point["method"] != "window-sinks":
        continue
    mass = np.mean([s["retained_mass"] for s in point["samples"]])
    mine = [float(r["retained_mass"]) for r in table if r["series"] == f"window-sinks, {point['length']} tokens"
            and float(r["budget"]) == point["parameters"]["budget"]]
    assert len(mine) == 1 and abs(mine[0] - mass) < 1e-6, (mine, mass)
assert all(float(r["retained_mass"]) > 0.9999 for r in table if r["series"].startswith("dense"))
shown = texts("budget.svg")
assert "48" in shown and "96" in shown, shown
# The legend names methods and lengths once each.
parts = [p for s in series for p in s.split(", ")]
assert len(set(parts)) == 4 and all(shown.count(p) == 1 for p in parts), (series, shown)
shown = texts("cost.svg")
assert any("(s)" in t for t in shown) and any("(GiB)" in t for t in shown), shown
)py"),
            "");
}

TEST(ExportFigures, RefusesFontsAndSizesThatCannotBe) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(4));
  const std::string start = "export mask '" + text + "' --out '" + folder.path("x.pdf").string() + "'" + kSmall;
  EXPECT_REFUSED(dhsa(start + "--font NoSuchFont"), "NoSuchFont");
  EXPECT_REFUSED(dhsa(start + "--height 0.6"), "height");
  EXPECT_REFUSED(dhsa("export mask,dense,sparse '" + text + "' --out '" + folder.path("x.pdf").string() +
                      "' --grid-columns 3 --width 1" + kSmall),
                 "do not fit");
  EXPECT_EQ(folder.names().size(), 1U);
}

#else

TEST(ExportFigures, AreRefusedInOneSentenceWithoutQt) {
  EXPECT_REFUSED(dhsa("export mask --out x.pdf"), "Figures need Qt");
}

#endif

TEST(Export, AFullDiskLeavesNothingBehind) {
  const Folder folder;
  const std::string text = folder.write("note.txt", text_of(8));
  // A limit on file sizes fails in the middle of a write, as a full disk does.
  const std::string command = "ulimit -f 8; trap '' XFSZ; '" DHSA_BINARY "' export dense '" + text + "' --layer 3" +
                              kSmall + "--out '" + folder.path("x.npz").string() + "' >/dev/null 2>'" +
                              folder.path("err").string() + "'";
  const int status = std::system(("bash -c \"" + command + "\"").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  const std::string said = content(folder.path("err"));
  expect_said(said, {"x.npz"});
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
  EXPECT_EQ(folder.names().size(), 2U);
#ifdef DHSA_FIGURES
  // What was there before stays whole, also where the last of the files is the one that does not fit.
  const std::string figure =
      "export dense '" + text + "' --layer 3 --no-data" + kSmall + "--out '" + folder.path("x.pdf").string() + "'";
  done(figure);
  const std::string pdf = content(folder.path("x.pdf"));
  const std::string json = content(folder.path("x.json"));
  ASSERT_GT(pdf.size(), 8192U);
  ASSERT_LT(json.size(), 8192U);
  const int again = std::system(("bash -c \"ulimit -f 8; trap '' XFSZ; '" DHSA_BINARY "' " + figure +
                                 " --map viridis >/dev/null 2>'" + folder.path("err").string() + "'\"")
                                    .c_str());
  EXPECT_EQ(WEXITSTATUS(again), 2);
  EXPECT_NE(content(folder.path("err")).find("x.pdf"), std::string::npos) << content(folder.path("err"));
  EXPECT_EQ(content(folder.path("x.pdf")), pdf);
  EXPECT_EQ(content(folder.path("x.json")), json);
  EXPECT_EQ(folder.names().size(), 4U);
#endif
}

}  // namespace
}  // namespace dhsa::test
