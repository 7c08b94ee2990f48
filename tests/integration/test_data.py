"""crossfed data: synthetic sets, checks, figures and splits, compared with a count made here."""

import collections

import pytest

pytestmark = pytest.mark.sanitize


def rows(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(crossfed, tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "set"
    facts = crossfed("data", "synth", "--out", out, "--users", "200", "--items", "80", "--seed", "5", "--json").json()
    return out, facts


def test_synth_writes_what_it_says(made):
    out, facts = made
    every = rows(out / "all.tsv")
    assert facts["total"]["events"] == len(every)
    assert facts["total"]["users"] == len({r[0] for r in every}) == 200
    domains = [rows(out / f"d{d}.tsv") for d in (1, 2, 3)]
    assert [d["events"] for d in facts["domains"]] == [len(d) for d in domains]
    assert sorted(r for d in domains for r in d) == sorted(every)
    seen = collections.Counter(u for d in domains for u in {r[0] for r in d})
    assert facts["total"]["shared_users"] == sum(n > 1 for n in seen.values())


def test_the_seed_decides(crossfed, made, tmp_path):
    args = ("data", "synth", "--users", "200", "--items", "80")
    crossfed(*args, "--seed", "5", "--out", tmp_path / "a")
    crossfed(*args, "--seed", "6", "--out", tmp_path / "b")
    assert (tmp_path / "a/all.tsv").read_bytes() == (made[0] / "all.tsv").read_bytes()
    assert (tmp_path / "b/all.tsv").read_bytes() != (made[0] / "all.tsv").read_bytes()


def test_leave_one_out_against_python(crossfed, made, tmp_path):
    source = made[0] / "d1.tsv"
    facts = crossfed("data", "split", source, "--out", tmp_path / "s", "--json").json()
    events = collections.defaultdict(list)
    for user, item, _, _, time in rows(source):
        events[user].append((int(time), item))
    held = {user: [i for _, i in sorted(e)[-2:]] if len(e) >= 5 else [] for user, e in events.items()}
    train = {(u, i) for u, e in events.items() for _, i in e if i not in held[u]}
    trained = {i for _, i in train}
    want = {part: {(u, h[k]) for u, h in held.items() if h and h[k] in trained} for part, k in (("valid", 0), ("test", 1))}
    got = {part: {tuple(r[:2]) for r in rows(tmp_path / f"s/{part}.tsv")} for part in ("train", "valid", "test")}
    assert got == {"train": train, **want}
    assert {part: facts[part] for part in got} == {part: len(pairs) for part, pairs in got.items()}


def test_bad_files_are_told_where(crossfed, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text("u\ti\td\t1\t5\nu\ti\td\tmany\t5\n")
    result = crossfed("data", "check", bad, status=1)
    assert f'{bad}:2:4: value must be a number, found "many"' in result.err and not result.out
    assert "cannot open" in crossfed("data", "check", tmp_path / "none.tsv", status=1).err
    assert "the file is empty" in crossfed("data", "stats", "/dev/null", status=1).err


@pytest.mark.parametrize("args", [
    (), ("look",), ("check",), ("synth",), ("check", "x", "--columns", "user=0"), ("check", "x", "--columns", "who=1"),
    ("synth", "--out", "x", "--users", "-3"), ("synth", "--out"), ("check", "x", "--wrong")])
def test_usage(crossfed, tmp_path, args):
    result = crossfed("data", *args, status=2, cwd=tmp_path)
    assert "usage: crossfed data" in result.err and not result.out and not list(tmp_path.iterdir())


def test_values_out_of_range(crossfed, tmp_path):
    result = crossfed("data", "synth", "--out", tmp_path / "x", "--gap", "-1", status=None)
    assert result.status != 0 and "gap is -1; it must be 0 to 1000" in result.err


def test_table(crossfed, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("age,sex,y\n50,1,0\n?,2,1\n60,2,1\n")
    facts = crossfed("data", "check", table, "--table", "--drop-missing", "--one-hot", "2:1,2", "--json").json()
    assert facts == {"v": 1, "ok": True, "rows": 2, "inputs": 2, "classes": 2, "missing": 1}
    assert f"{table}:3:1: a value is missing" in crossfed("data", "check", table, "--table", status=1).err
