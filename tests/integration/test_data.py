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


def test_check_tells_what_is_odd(crossfed, tmp_path):
    odd = tmp_path / "odd.tsv"
    odd.write_text("u\ti\ta\t1\t5\n\nu\ti\ta\t1\t6\nU\ti\tb\t1\t9e12\nu\ti\tb\t1\t7\n")
    facts = crossfed("data", "check", odd, "--json").json()
    found = {f["finding"]: (f["count"], f["line"]) for f in facts["findings"]}
    assert facts["ok"] and facts["events"] == 4
    assert found == {"repeats": (1, 3), "few_users": (3, 1), "near_users": (1, 4), "future": (1, 4), "shared_items": (1, 4),
                     "shared_pairs": (1, 5), "one_user_domains": (1, 1), "untested_domains": (2, 1)}
    assert all(f["fix"] and f["example"] for f in facts["findings"])
    text = crossfed("data", "check", odd).out
    assert f'1 repeated (user, item) pairs\n  first at {odd}:3: user "u", item "i" again\n  only the earliest' in text
    low = crossfed("data", "check", odd, "--min-value", "2", "--json").json()
    assert low["events"] == 0 and {f["finding"]: f["count"] for f in low["findings"]}["empty_domains"] == 2


def test_leaks(crossfed, tmp_path):
    """Two of A's shoes are B's S9; u's held-out shoe is u's S9 in B's train part."""
    files = {"a": "u h\nv shoe\nw shoe\n", "at": "u shoe\n", "b": "u S9\nv S9\nx cap\n", "bt": "x S9\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace(" ", "\t"))
    args = ("data", "check", "--leaks", "a", "b", "--columns", "user=1,item=2")
    facts = crossfed(*args, "--held", "at", "bt", "--json", status=3, cwd=tmp_path).json()
    assert (facts["leaks"], facts["twins"], facts["shared_users"], facts["shared_pairs"]) == (True, 1, 2, 0)
    a, b = facts["domains"]
    assert a == {"domain": "a", "items": 2, "twin_items": 1, "held": 1, "held_no_train": 0, "held_known": 0, "leaked": 1,
                 "leaked_any": 1}
    assert (b["held"], b["leaked"]) == (1, 0)
    assert "1 of 1 held-out events leak (100.0 %)" in crossfed(*args, "--held", "at", "bt", status=3, cwd=tmp_path).out
    assert crossfed("data", "check", "--leaks", "a", "bt", "--columns", "user=1,item=2", "--json", cwd=tmp_path).json()["twins"] == 0
    (tmp_path / "all").write_text("u\tx\tA\nu\ty\tB\n")
    columns = ("--columns", "user=1,item=2,domain=3")
    assert not crossfed("data", "check", "all", "--leaks", "A", "B", *columns, "--json", cwd=tmp_path).json()["leaks"]
    assert 'no event of domain "C"' in crossfed("data", "check", "all", "--leaks", "A", "C", *columns, status=1, cwd=tmp_path).err
    (tmp_path / "at").write_text("u\n")
    assert "at:1: 1 columns, but the item is column 2" in crossfed(*args, "--held", "at", "bt", status=1, cwd=tmp_path).err
    for bad in (("--leaks", "a"), ("--held", "a", "b"), ("all", "--leaks", "A", "B", "--held", "a", "b")):
        crossfed("data", "check", *bad, status=2, cwd=tmp_path)
