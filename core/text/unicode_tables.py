"""Writes unicode_tables.inc: python3 core/text/unicode_tables.py > core/text/unicode_tables.inc

Python's own Unicode data are the rule here, because the official scripts of LongBench and RULER are Python.
"""
import re
import unicodedata

LAST = 0x110000
WORD, DIGIT, SPACE, CASED, IGNORABLE = 1, 2, 4, 8, 16
word = re.compile(r"\w")
space = re.compile(r"\s")


def flags(code):
    c = chr(code)
    # What Python thinks of a character beside a capital sigma is seen in the sigma's form: final behind a letter.
    behind = (c + "Σ").lower()[-1] == "ς"
    through = ("A" + c + "Σ").lower()[-1] == "ς"
    return (
        WORD * bool(word.match(c))
        + DIGIT * c.isdecimal()
        + SPACE * bool(space.match(c) or c.isspace())
        + CASED * behind
        + IGNORABLE * (through and not behind)
    )


def lines(items, width=116):
    line = " "
    for item in items:
        if len(line) + len(item) + 2 > width:
            print(line)
            line = " "
        line += " " + item + ","
    print(line)


def ranges():
    before = None
    for code in range(LAST):
        now = flags(code)
        if now != before:
            yield "0x%x" % (code << 5 | now)
        before = now


def lower_runs():
    """Runs of characters `step` apart whose small letters all lie `delta` away."""
    pairs = []
    for code in range(LAST):
        small = chr(code).lower()
        if small != chr(code) and len(small) == 1:
            pairs.append((code, ord(small) - code))
    at = 0
    while at < len(pairs):
        first, delta = pairs[at]
        step = 1
        if at + 1 < len(pairs) and pairs[at + 1] == (first + 2, delta):
            step = 2
        end = at + 1
        while end < len(pairs) and pairs[end] == (pairs[end - 1][0] + step, delta):
            end += 1
        yield "{0x%x, 0x%x, %d, %d}" % (first, pairs[end - 1][0], step, delta)
        at = end


print("// Unicode %s, made by unicode_tables.py." % unicodedata.unidata_version)
print("// Where the kinds of character change: code point << 5 | kinds from there on.")
print("constexpr std::uint32_t kKinds[] = {")
lines(ranges())
print("};")
print("// Capital letters: first, last, step between them, distance of the small letter.")
print("constexpr LowerRun kLower[] = {")
lines(lower_runs())
print("};")
