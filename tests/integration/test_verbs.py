"""The verbs that look at a federation and command it: verify, inspect, status, rounds, pause, resume, drain, reload."""

import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

from federation import Federation

pytestmark = pytest.mark.sanitize

USAGE, FAILED, CONDITION, UNREACHABLE, AUTH, STATE = 2, 1, 3, 4, 5, 7
DOMAINS = ("d0", "d1", "d2")

PLAN = """\
name: verbs
seed: 5
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: mf, dim: 4, loss: bpr, users: aligned, items: domain}}
stages:
  - fed: {{algorithm: fedavg, rounds: {rounds}, cohort: 1.0, quorum: 1.0, min_domains: 2, deadline_s: 600,
          select_timeout_s: 60, eval_deadline_s: 600, server: {{kind: momentum, lr: 0.7, momentum: 0.5}}}}
    local: {{epochs: 1, batch: 64, optimizer: {{kind: adam, lr: 0.01}}}}
    rows: {{rule: average}}
eval: {{every: 2, metrics: [hr@10], protocol: [full]}}
arms: [popularity, federated]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def write_events(path):
    lines, t, state = [], 0, 99
    for user in range(40):
        for domain in range(3):
            if (user + domain) % 4 == 0:
                continue  # each silo holds other rows of the directory
            for _ in range(7):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                t += 1
                lines.append(f"u{user}\td{domain}i{(state >> 33) % 25}\td{domain}\t1\t{t}")
    path.write_text("\n".join(lines) + "\n")


def make(folder, bin_dir, rounds, **kwargs):
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "events.tsv"
    write_events(data)
    members = {f"silo-{d}": (d, {"path": str(data), "columns": {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 5},
                                 "only_domain": d}) for d in DOMAINS}
    return Federation(folder / "fed", bin_dir, PLAN.format(rounds=rounds, data=data), members, **kwargs)


@pytest.fixture(scope="module")
def done(tmp_path_factory, bin_dir):
    """The folder of a federation that ran to its end: server/, silo-d0/, ..."""
    if not (bin_dir / "crossfed-server").is_file() or not (bin_dir / "crossfed-client").is_file():
        pytest.skip("the daemons are not built")
    with make(tmp_path_factory.mktemp("done"), bin_dir, rounds=3) as fed:
        fed.start().finish()
    return fed.folder


@pytest.fixture
def copy(done, tmp_path):
    """copy("server"): a state directory that a test may damage."""
    def run(name):
        return pathlib.Path(shutil.copytree(done / name, tmp_path / name, ignore=shutil.ignore_patterns("*.sock")))
    return run


def sql(path, *statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def levels(result):
    """{invariant: the worst level} of one directory."""
    order = {"ok": 0, "skipped": 1, "damaged": 2}
    worst = {}
    for finding in result["findings"]:
        name = finding["invariant"]
        if order[finding["level"]] >= order[worst.get(name, "ok")]:
            worst[name] = finding["level"]
    return worst


# ---- verify

def test_verify_recomputes_the_newest_round(crossfed, done):
    found = crossfed("verify", done / "server", done / "silo-d0", done / "silo-d1", "--json").json()
    assert found["v"] == 1 and found["ok"] and [d["ok"] for d in found["dirs"]] == [True] * 3
    assert levels(found["dirs"][0]) == {f"I{k}": "ok" for k in (*range(1, 9), 10)}
    text = [f["text"] for f in found["dirs"][0]["findings"] if f["invariant"] == "I3"]
    assert len(text) == 1 and "recomputes from 3 updates" in text[0]
    assert {"I2", "I6", "I8"} <= set(levels(found["dirs"][1]))
    out = crossfed("verify", done / "server").out
    assert "recomputes from 3 updates" in out and "0 damages, 0 skipped" in out


def newest_round(state):
    db = sqlite3.connect(state / "ledger/ledger.db")
    value, = db.execute("SELECT max(round) FROM round WHERE kind='train' AND state='committed'").fetchone()
    db.close()
    return value


def test_verify_finds_another_model(crossfed, copy):
    """Every record that the newest model follows from is looked at."""
    state = copy("server")
    last = newest_round(state)
    sql(state / "ledger/ledger.db", f"UPDATE upd SET part_weight=part_weight+1 WHERE round={last} AND member='silo-d1'")
    done = crossfed("verify", state, "--json", status=STATE).json()
    assert levels(done["dirs"][0])["I3"] == "damaged" and not done["ok"]
    assert any("silo-d1" in f["text"] for f in done["dirs"][0]["findings"] if f["invariant"] == "I3")


@pytest.mark.parametrize("statement, words", [
    ("UPDATE run SET plan=substr(plan, 1, length(plan)-1)", "the plan in the ledger"),
    ("DELETE FROM manifest WHERE member='silo-d2'", "silo-d2"),
    ("UPDATE manifest SET digest=zeroblob(32) WHERE member='silo-d1'", "silo-d1"),
    ("UPDATE directory SET n=n+1", "directory"),
])
def test_verify_compares_what_says_the_same(crossfed, copy, statement, words):
    state = copy("server")
    sql(state / "ledger/ledger.db", "PRAGMA foreign_keys=OFF", statement)
    found = crossfed("verify", state, "--json", status=STATE).json()["dirs"][0]
    assert any(words in f["text"] for f in found["findings"] if f["invariant"] == "I3" and f["level"] == "damaged"), found


def test_verify_finds_a_damaged_update(crossfed, copy):
    state = copy("server")
    update = sorted((state / "spool").glob(f"r{newest_round(state):010d}-*.upd"))[0]
    body = bytearray(update.read_bytes())
    body[4096] ^= 1
    update.write_bytes(body)
    assert levels(crossfed("verify", state, "--json", status=STATE).json()["dirs"][0])["I3"] == "damaged"
    for path in (state / "spool").iterdir():
        path.unlink()
    found = crossfed("verify", state, "--json").json()["dirs"][0]
    assert levels(found)["I3"] == "skipped" and found["skipped"] == 1
    assert any("not retained" in f["text"] for f in found["findings"])


def test_verify_refusals(crossfed, copy, tmp_path):
    silo = copy("silo-d0")
    (silo / "outbox" / "left.tmp").write_bytes(b"x")
    found = crossfed("verify", silo, tmp_path / "nowhere", "--json", status=STATE).json()
    assert levels(found["dirs"][0])["I8"] == "damaged" and "error" in found["dirs"][1]
    assert "is not a state directory" in crossfed("verify", tmp_path / "nowhere", status=FAILED).err
    crossfed("verify", status=USAGE)
    crossfed("verify", "--fix", silo, status=USAGE)
    assert "usage" in crossfed("verify", "--help").out


# ---- inspect

def test_inspect_a_model(crossfed, done, copy, tmp_path):
    path = sorted((done / "server/ckpt").glob("*.safetensors"))[-1]
    found = crossfed("inspect", path, "--json").json()
    assert found["kind"] == "checkpoint" and found["verified"] and found["momentum"]
    summary = json.loads((done / "server/summary.json").read_text())
    assert found["model_blake2b"] == summary["model_blake2b"]
    users = [t for t in found["tensors"] if t["shape"][-1] == 4]
    assert users and all(t["norm"] > 0 and t["min"] < t["max"] and t["nonfinite"] == 0 for t in users)
    assert "they hold" in crossfed("inspect", path).out
    broken = tmp_path / "broken.safetensors"
    body = bytearray(path.read_bytes())
    at = 8 + int.from_bytes(body[:8], "little")
    body[at] ^= 1
    broken.write_bytes(body)
    assert crossfed("inspect", broken, "--json", status=STATE).json()["verified"] is False
    broken.write_bytes(b"not a model")
    assert crossfed("inspect", broken, status=STATE).out == ""


def test_inspect_a_run_directory(crossfed, done, tmp_path):
    run = tmp_path / "run"
    crossfed("sim", done / "plan.yaml", "--out", run)
    found = crossfed("inspect", run, "--json").json()
    assert found["kind"] == "checkpoint" and found["verified"]
    assert found["model_blake2b"] == json.loads((run / "summary.json").read_text())["model_blake2b"]


def test_inspect_states(crossfed, done, tmp_path):
    server = crossfed("inspect", done / "server", "--json").json()
    assert server["kind"] == "coordinator" and server["status"]["committed"] == 3 and len(server["rounds"]) == 5
    trained = [u for u in server["updates"] if u["counted"] and u["weight"]]
    assert len(trained) >= 9 and {u["client"] for u in trained} == {f"silo-{d}" for d in DOMAINS}
    assert [m["client"] for m in server["status"]["members"]] == [f"silo-{d}" for d in DOMAINS]
    assert len(server["models"]) == 4 and "updates accepted" in crossfed("inspect", done / "server").out
    silo = crossfed("inspect", done / "silo-d1", "--json").json()
    assert silo["kind"] == "silo" and silo["member"] == "silo-d1" and silo["pending"] == 0
    assert silo["charges"] == len(silo["odometer"]) == len(silo["updates"]) > 0
    assert silo["without_noise"] > 0 and silo["epsilon"] is None  # no noise, no epsilon
    assert "releases charged" in crossfed("inspect", done / "silo-d1").out
    assert "neither" in crossfed("inspect", tmp_path, status=FAILED).err
    crossfed("inspect", status=USAGE)
    crossfed("inspect", tmp_path / "absent", status=FAILED)


# ---- without a coordinator

def test_status_and_rounds_from_the_ledger(crossfed, done):
    status = crossfed("status", "--state", done / "server", "--json")
    assert "read from the ledger" in status.err
    status = status.json()
    assert status["ok"] and status["source"] == "ledger" and status["done"] and status["state"] == "done"
    assert status["committed"] == status["rounds"] == 3 and len(status["members"]) == 3
    assert all(0 <= m["last_seen_s"] < 600 for m in status["members"]), status["members"]
    text = crossfed("status", "--state", done / "server").out
    assert "3 of 3 commits" in text and "silo-d2" in text and "last commit" in text
    rounds = crossfed("rounds", "--state", done / "server", "--last", 2, "--metrics", "--json").json()
    assert rounds["source"] == "ledger" and len(rounds["rounds"]) == 2
    assert all(r["state"] == "committed" and r["metrics"] for r in rounds["rounds"])
    assert "committed" in crossfed("rounds", "--state", done / "server").out


def test_nobody_listens(crossfed, done, tmp_path):
    for verb in ("pause", "resume", "drain", "reload"):
        assert "no coordinator listens" in crossfed(verb, "--state", done / "server", status=UNREACHABLE).err
    assert "no coordinator listens" in crossfed("status", "--state", tmp_path, status=UNREACHABLE).err
    crossfed("rounds", "--socket", tmp_path / "none.sock", status=UNREACHABLE)
    crossfed("status", status=USAGE)
    crossfed("rounds", "--state", tmp_path, "--last", "0", status=USAGE)
    crossfed("status", "--state", tmp_path, "--last", "3", status=USAGE)
    crossfed("pause", "--state", tmp_path, "--timeout", "never", status=USAGE)
    assert "Exit status" in crossfed("drain", "--help").out


# ---- the socket, with a stand-in for the coordinator

class Stand:
    """Answers one connection with fixed bytes, or not at all."""

    def __init__(self, path, answer):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.got, self.answer = b"", answer
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        peer, _ = self.listener.accept()
        with peer:
            while not self.got.endswith(b"\n"):
                self.got += peer.recv(4096)
            if self.answer is None:
                peer.recv(1)  # until the other side goes
            else:
                peer.sendall(self.answer)

    def end(self):
        self.thread.join(10)
        self.listener.close()
        return json.loads(self.got)


@pytest.mark.parametrize("answer, status", [
    (b'{"v":1,"ok":true,"paused":true,"draining":false,"state":"collecting"}\n', 0),
    (b'{"v":1,"ok":false,"code":"E_STATE","text":"the run is done"}\n', CONDITION),
    (b'{"v":1,"ok":false,"code":"E_CONFIG","text":"no"}\n', 78),
    (b'{"v":1,"ok":false,"code":"E_NEW","text":"no"}\n', FAILED),
    (b'{"v":1}\n', FAILED),
    (b'nonsense\n', FAILED),
    (b'', UNREACHABLE),
    (None, UNREACHABLE),
])
def test_answers(crossfed, tmp_path, answer, status):
    path = tmp_path / "a.sock"
    stand = Stand(path, answer)
    crossfed("pause", "--socket", path, "--timeout", "0.3", status=status)
    assert stand.end() == {"v": 1, "cmd": "pause"}


def test_a_closed_socket(bin_dir, tmp_path):
    path = tmp_path / "a.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}  # root may open every socket
    try:
        done = subprocess.run([str(bin_dir / "crossfed"), "status", "--socket", str(path)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=False, **user)
    except PermissionError:
        pytest.skip("the program may not be run by another user")
    finally:
        listener.close()
    assert done.returncode == AUTH and "user and group" in done.stderr, done.stderr


# ---- a running coordinator

def test_commands(crossfed, tmp_path, bin_dir, done):
    del done  # the daemons are there
    with make(tmp_path, bin_dir, rounds=5000) as fed:
        state = fed.folder / "server"

        def status():
            return crossfed("status", "--state", state, "--json").json()
        fed.start()
        fed.until(lambda: (state / "admin.sock").exists() and status()["committed"] >= 2)
        found = status()
        assert "source" not in found and found["connected"] == 3 and found["rounds"] == 5000
        assert "quorum 3" in crossfed("status", "--state", state).out
        assert "paused" in crossfed("pause", "--state", state).out
        fed.until(lambda: status()["state"] in ("paused", "idle"))
        assert status()["paused"] and "paused" in crossfed("status", "--state", state).out
        rounds = crossfed("rounds", "--state", state, "--last", 3, "--json").json()
        assert "source" not in rounds and len(rounds["rounds"]) == 3
        assert "I8" in crossfed("verify", state).out  # beside the daemon
        assert "changed: nothing" in crossfed("reload", "--state", state).out
        assert "running" in crossfed("resume", "--state", state).out
        before = status()["committed"]
        fed.until(lambda: status()["committed"] > before)
        fed.server.signal(signal.SIGSTOP)
        assert "in time" in crossfed("status", "--state", state, "--timeout", "0.3", status=UNREACHABLE).err
        fed.server.signal(signal.SIGCONT)
        assert "draining" in crossfed("drain", "--state", state).out
        assert fed.server.wait(30) == 0, fed.logs()
        assert crossfed("status", "--state", state, "--json").json()["source"] == "ledger"
        fed.stop()
        assert crossfed("verify", state, *(fed.folder / m for m in fed.members), "--json").json()["ok"]
