"""The silo's daemon and the verb that reads what it leaves: configuration, lock, signals, policy, recommend."""

import json
import signal

import pytest

from conftest import run_command
from test_federation import make


@pytest.fixture
def silo(tmp_path, bin_dir):
    """A federation of which only the silo silo-d1 is looked at."""
    with make(tmp_path, bin_dir) as fed:
        yield fed


def run_client(fed, *args, status=0):
    return run_command([fed.bin / "crossfed-client", "-c", fed.folder / "silo-d1.yaml", *args], status=status)


def test_check_config(silo):
    good = run_client(silo, "--check-config")
    assert "ok" in good.out
    assert not (silo.folder / "silo-d1").exists()
    for args, status, needle in (
            (("--set", "member=silo-d2"), 78, "speaks for"),
            (("--set", "federation=other"), 78, "speaks for"),
            (("--set", "data.path=/nowhere"), 78, "data.path"),
            (("--set", "policy.modles=mf"), 78, "policy.models"),
            (("--set", f"tls.cert={silo.folder}/silo-d2.pem"), 5, "")):
        bad = run_client(silo, "--check-config", *args, status=status)
        assert needle in bad.err
    silo.align.chmod(0o644)
    bad = run_client(silo, "--check-config", status=5)
    assert "chmod 600" in bad.err


def test_one_process_a_state_directory_and_signals(silo):
    client = silo.clients["silo-d1"].start()
    silo.until(lambda: client.events("started"))
    pid = client.popen.pid
    second = run_client(silo, status=7)
    assert f"process {pid}" in second.err
    for number, event in ((signal.SIGUSR1, "state"), (signal.SIGHUP, "config_reloaded")):
        client.signal(number)
        silo.until(lambda wanted=event: client.events(wanted))
    client.signal(signal.SIGTERM)
    assert client.wait(10) == 0
    assert client.events("stopped")


def test_recommend_answers_from_what_is_served(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        fed.finish()
        state = fed.folder / "silo-d1"
        assert (state / "serve").stat().st_mode & 0o777 == 0o700
        report = json.loads((state / "serve" / "report.json").read_text())
        assert set(report["arms"]) == {"popularity", "alone", "federated"}
        best = max(report["arms"].values(), key=lambda a: a["valid"][report["measure"]])
        assert report["arms"][report["served"]]["valid"][report["measure"]] == best["valid"][report["measure"]]
        taken = {line.split("\t")[1] for line in (tmp_path / "events.tsv").read_text().splitlines()
                 if line.startswith("u3\td1")}
        for arm in ("served", "popularity", "alone", "federated"):
            answer = crossfed("recommend", "--state", state, "--user", "u3", "-k", "40", "--arm", arm, "--json").json()
            assert answer["known"] and answer["arm"] == (report["served"] if arm == "served" else arm)
            items = [i["item"] for i in answer["items"]]
            scores = [i["score"] for i in answer["items"]]
            assert scores == sorted(scores, reverse=True) and len(set(items)) == len(items)
            assert len(taken & set(items)) <= 2, "only the held-out two may come back"
        unknown = crossfed("recommend", "--state", state, "--user", "nobody", "--json").json()
        assert not unknown["known"] and unknown["arm"] == "popularity" and len(unknown["items"]) == 10
        assert "answered by popularity" in crossfed("recommend", "--state", state, "--user", "nobody").out
        assert "--arm" in crossfed("recommend", "--state", state, "--user", "u3", "--arm", "x", status=2).err
        assert "run is done" in crossfed("recommend", "--state", tmp_path, "--user", "u3", status=1).err


def test_recommend_is_diverse_and_explains(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        fed.finish()
    state = fed.folder / "silo-d1"
    history = {line.split("\t")[1] for line in (tmp_path / "events.tsv").read_text().splitlines() if line.startswith("u3\td1")}

    def ask(*args, user="u3", k="10", **kw):
        return crossfed("recommend", "--state", state, "--user", user, "-k", k, *args, **kw)

    def items(answer):
        return [i["item"] for i in answer["items"]]

    by_score = ask("--arm", "federated", "--json", k="40").json()
    assert by_score["diversity"] == "none" and "similarity" not in by_score
    everything = items(by_score)
    # one category for the ten best, one for the rest: a diverse list has both early, and by score it had not
    shelves = {item: "best" if i < 10 else "rest" for i, item in enumerate(everything)}
    (tmp_path / "categories.tsv").write_text("".join(f"{item}\t{shelf}|all\n" for item, shelf in shelves.items()) + "other\tbest\n")
    categories = ("--categories", tmp_path / "categories.tsv")
    plain = ask("--arm", "federated", "--json").json()
    assert items(plain) == everything[:10]
    for spec, same in (("mmr:1", True), ("dpp:0.9999999", True), ("mmr:0", False), ("dpp:0.2", False)):
        answer = ask("--arm", "federated", "--json", "--diversity", spec, *categories).json()
        assert answer["diversity"] == spec and answer["similarity"] == "categories"
        assert (items(answer) == items(plain)) == same, spec
        score = dict(zip(everything, (i["score"] for i in by_score["items"])))
        assert all(i["score"] == score[i["item"]] for i in answer["items"]), "scores stay the scorer's"
        assert len({shelves[i] for i in items(answer)}) == (1 if same else 2)
    factors = ask("--arm", "popularity", "--json", "--diversity", "dpp").json()
    assert factors["diversity"] == "dpp:0.8" and factors["similarity"] == "factors" and len(set(items(factors))) == 10
    out = ask("--diversity", "calibrated:0.5", *categories)
    assert "1 lines whose item the data lack, first line" in out.err and "calibrated:0.5 by categories" in out.out
    assert "cover:0.15 by categories" in ask("--diversity", "cover", *categories).out
    assert len(ask("--diversity", "calibrated", "--json", *categories, user="nobody").json()["items"]) == 10

    for arm in ("federated", "popularity"):
        explained = ask("--arm", arm, "--json", "--explain").json()["items"]
        assert any(item["similar"] for item in explained)
        for item in explained:
            shares = {p["part"]: p["share"] for p in item["parts"]}
            assert abs(sum(shares.values()) - item["score"]) <= 1e-5 * max(1, abs(item["score"]))
            assert set(shares) == ({"popularity"} if arm == "popularity" else {"taste", "item"})
            alike = [s["similarity"] for s in item["similar"]]
            assert len(alike) <= 3 and alike == sorted(alike, reverse=True)
            assert {s["item"] for s in item["similar"]} <= history
    assert "; like " in ask("--explain").out

    assert "there are none, dpp[:THETA]" in ask("--diversity", "dp", status=2).err
    assert "below 1" in ask("--diversity", "dpp:1", status=2).err
    assert "--categories FILE" in ask("--diversity", "calibrated", status=2).err
    assert "--categories FILE" in ask("--diversity", "cover", status=2).err
    assert "absent.tsv" in ask("--categories", tmp_path / "absent.tsv", status=1).err
    (tmp_path / "bad.tsv").write_text("x\n")
    assert "bad.tsv:1" in ask("--categories", tmp_path / "bad.tsv", status=1).err


NOISE = "privacy: {unit: silo, clip: 1.0, noise_multiplier: 4.0, delta: 1.0e-5}"


def test_a_silo_stops_at_its_epsilon_and_the_others_go_on(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, rounds=3, fed=", weighting: uniform, quorum_count: 2", more=NOISE,
              policy={"silo-d1": {"max_epsilon": 3}}) as fed:
        plan = fed.plan.read_text().replace(" quorum: 1.0,", "")
        fed.plan.write_text(plan)
        fed.start()
        fed.finish()
        client = fed.clients["silo-d1"]
        assert len(client.events("trained")) == 1
        assert all("policy.max_epsilon" in e["reason"] for e in client.events("work_failed") if e["code"] == "E_POLICY"
                   and "evaluation" not in e["reason"])
        assert len(fed.clients["silo-d0"].events("trained")) == 3
        spent = [e["statement"] for e in client.events("privacy") if "round" in e]
        assert len(spent) == 1 and "1 releases" in spent[0]


def test_a_plan_over_policy_ends_the_silo_with_the_key(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, policy={"silo-d1": {"allow_aligned": False}}) as fed:
        fed.start(only=["silo-d1"])
        client = fed.clients["silo-d1"]
        assert client.wait(30) == 1
        assert client.events("plan_refused")[0]["key"] == "policy.allow_aligned"
