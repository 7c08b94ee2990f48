"""The verb plot: what it draws, read with an XML parser, and what it says about files it cannot draw."""

import json
import math
import xml.etree.ElementTree as ElementTree

import pytest

pytestmark = pytest.mark.sanitize

USAGE, FAILED = 2, 1
SVG = "{http://www.w3.org/2000/svg}"

ROWS = [
    {"items": 3},
    {"users": 53, "arm": "own", "half": "dev", "ndcg_10": .4, "se": .01},
    {"users": 5300, "arm": "own", "half": "dev", "ndcg_10": .6, "se": .01},
    {"users": 530, "arm": "own", "half": "dev", "ndcg_10": .5, "se": None},
    {"users": 53, "arm": "pooled <&>\u0001", "half": "dev", "ndcg_10": .6, "se": .02},
    {"users": 5300, "arm": "pooled <&>\u0001", "half": "dev", "ndcg_10": .7, "se": .02},
    {"users": 99, "arm": "none", "half": "dev", "ndcg_10": None, "se": .02},
]
DRAWN = ("--x", "users", "--y", "ndcg_10")


@pytest.fixture
def lines(tmp_path):
    """lines(rows) -> a file of JSON lines"""
    def write(rows):
        path = tmp_path / f"rows{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    return write


def parse(text):
    root = ElementTree.fromstring(text)
    assert root.tag == SVG + "svg" and root.get("role") == "img"
    named = {e.get("id"): "".join(e.itertext()) for e in root.iter() if e.get("id")}
    for name in root.get("aria-labelledby").split():
        assert named[name]
    return root, named


def polylines(root):
    return [[tuple(map(float, p.split(","))) for p in e.get("points").split()] for e in root.iter(SVG + "polyline")]


def test_lines_bars_and_legend(crossfed, lines):
    path = lines(ROWS)
    args = ("plot", *DRAWN, "--series", "arm", "--err", "se", "--logx", "--title", 'A & "B"', path)
    shown = crossfed(*args)
    assert "2 rows" in shown.err
    root, named = parse(shown.out)
    assert named["title"] == 'A & "B"' and "own: 0.4 at 53 to 0.6 at 5300" in named["desc"]
    own, pooled = polylines(root)
    # Rows come out by x; on a logarithmic axis 53, 530, 5300 lie evenly, and so do .4, .5, .6 on the other.
    assert len(own) == 3 and len(pooled) == 2
    assert own[1][0] - own[0][0] == pytest.approx(own[2][0] - own[1][0], abs=.02)
    assert own[0][1] - own[1][1] == pytest.approx(own[1][1] - own[2][1], abs=.02) and own[0][1] > own[1][1]
    assert pooled[0] == pytest.approx(own[0][:1] + own[2][1:], abs=.01)
    texts = ["".join(e.itertext()) for e in root.iter(SVG + "text")]
    assert {"users (logarithmic)", "ndcg_10", "own", "pooled <&>\ufffd", 'A & "B"', "100"} <= set(texts)
    assert "none" not in texts  # a series without a point is none
    bars = [e for e in root.iter(SVG + "path") if "V" in e.get("d") and e.get("stroke-width") == "1.5"]
    assert len(bars) == 4  # null: no bar
    heights = sorted(float(e.get("d").split("V")[1].split("M")[0]) - float(e.get("d").split()[1].split("V")[0]) for e in bars)
    assert heights[0] == pytest.approx(2 * heights[-1], abs=.05) and heights[-1] < 0
    marks = [e for e in root.iter() if e.tag in (SVG + "circle", SVG + "path") and e.find(SVG + "title") is not None]
    assert len(marks) == 5 and {e.tag for e in marks} == {SVG + "circle", SVG + "path"}
    assert "prefers-color-scheme:dark" in shown.out
    assert crossfed(*args).out == shown.out


def test_output_file_array_and_table_are_the_same(crossfed, lines, tmp_path):
    rows = [row for row in ROWS[1:] if row["arm"] == "own"]
    base = crossfed("plot", *DRAWN, "--err=se", lines(rows)).out
    array, table, out = tmp_path / "rows.json", tmp_path / "rows.tsv", tmp_path / "out.svg"
    array.write_text(json.dumps(rows, indent=1))
    table.write_text("se\tusers\tndcg_10\r\n" + "".join(f"{row['se'] or ''}\t{row['users']}\t{row['ndcg_10']}\r\n" for row in rows))
    for path in (array, table):
        shown = crossfed("plot", *DRAWN, "--err=se", path, "-o", out)
        assert not shown.out and not shown.err
        assert out.read_text() == base


def test_where_points_and_single_values(crossfed, lines):
    path = lines([{"users": u, "half": h, "n": n, "ndcg_10": y} for u, h, n, y in
                  [(1, "a", 1, .1), (1, "a", 2, .2), (2, "a", 1, .3), (2, "b", 1, .9)]])
    root, _ = parse(crossfed("plot", *DRAWN, "--where", "half=a", "--where", "n=1.0", path).out)
    assert [len(line) for line in polylines(root)] == [2]
    both = crossfed("plot", *DRAWN, "--where=n=2", "--where", "half=b", "--where", "n=1", "--where=half=c", path).out
    assert [len(line) for line in polylines(parse(both)[0])] == [1]
    root, _ = parse(crossfed("plot", *DRAWN, "--points", path).out)
    assert not polylines(root) and len(list(root.iter(SVG + "circle"))) == 4
    root, _ = parse(crossfed("plot", *DRAWN, "--where=half=b", "--logx", path).out)
    assert all(math.isfinite(v) for line in polylines(root) for p in line for v in p)


def test_complaints(crossfed, lines, tmp_path):
    def says(want, path, *args, status=FAILED):
        shown = crossfed("plot", *(args or DRAWN), path, status=status)
        assert want in shown.err and not shown.out, shown.err

    good = lines(ROWS)
    says('rows 2 and 5 both have "users" 53', good)
    says('no column "usres"; did you mean "users"', good, "--x", "usres", "--y", "ndcg_10")
    says('no column "sd"; did you mean "se"; there are: items, users', good, *DRAWN, "--series", "arm", "--err", "sd")
    says("none of 7 rows is chosen", good, *DRAWN, "--where", "half=final")
    says("rows0.jsonl:2: a row with", good, *DRAWN, "--series", "who")
    says('"half" is "dev", which is no number', good, "--x", "users", "--y", "half", "--series", "arm")
    says("--logx needs numbers above 0", lines([{"users": 0, "ndcg_10": 1}]), *DRAWN, "--logx")
    says("cannot be below 0", lines([{"users": 1, "ndcg_10": 1, "se": -1}]), *DRAWN, "--err", "se")
    says("at most 1e15", lines([{"users": 1e300, "ndcg_10": 1}]))
    says("no row has a number", lines([{"users": 1, "ndcg_10": None}]))
    says("more than 12 values", lines([{"users": i, "ndcg_10": 1, "s": str(i)} for i in range(13)]), *DRAWN, "--series", "s")
    path = tmp_path / "x.tsv"
    for text, want in (("", "the file is empty"), ("\n", "the file is empty"), ("users\tndcg_10\n", "no rows"),
                       ("users\tndcg_10\n1\n", "x.tsv:2: 1 columns by tab, but 2"), ("users,ndcg_10\n1,2\n", 'no column "users"'),
                       ('{"users":1}\n{"users":\n', "line 2"), ("[1]", "a row must be an object"),
                       ("users\tndcg_10\n1\tmany\n", '"ndcg_10" is "many"')):
        path.write_text(text)
        says(want, path)
    says("No such file", tmp_path / "absent.jsonl")
    says("--y is missing", good, "--x", "users", status=USAGE)
    says("must be COLUMN=VALUE", good, *DRAWN, "--where", "half", status=USAGE)
    says('unknown argument "--frob"', good, *DRAWN, "--frob", status=USAGE)
    says("cannot", good, *DRAWN, "--series", "arm", "-o", tmp_path / "no" / "out.svg")
