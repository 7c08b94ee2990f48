"""Real processes, real sockets, real files: a coordinator and silo daemons over mutual TLS."""

import json
import os
import pathlib
import socket
import sqlite3
import threading
import time

import pytest

from federation import Federation, Process

DOMAINS = ("d0", "d1", "d2")

PLAN = """\
name: three
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: mf, dim: 8, loss: bpr, users: aligned, items: domain}}
stages:
  - fed: {{algorithm: fedavg, rounds: {rounds}, cohort: 1.0, quorum: 1.0, min_domains: 2, deadline_s: 600,
          select_timeout_s: 60, eval_deadline_s: 600{fed}}}
    local: {{epochs: 1, batch: 64, optimizer: {{kind: adam, lr: 0.01}}, l2: 1.0e-4{local}}}
    rows: {{rule: {rule}, kappa: 0.25, min_holders: 2}}
eval: {{every: 2, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated]
{more}
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def write_events(path, canary=None):
    """Three domains of two tastes each; `canary` becomes the key of one user."""
    lines, t, state = [], 0, 12345
    for user in range(60):
        key = canary if canary and user == 7 else f"u{user}"
        for domain in range(3):
            liked = [20 * (user % 2) + k for k in range(20)]
            for _ in range(8):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                item = liked[(state >> 33) % 20] if (state >> 20) % 10 else (state >> 33) % 40
                t += 1
                lines.append(f"{key}\td{domain}i{item}\td{domain}\t1\t{t}")
    path.write_text("\n".join(lines) + "\n")


def make(tmp_path, bin_dir, rounds=4, fed="", local="", more="", rule="pull", canary=None, **kwargs):
    data = tmp_path / "events.tsv"
    write_events(data, canary)
    plan = PLAN.format(rounds=rounds, fed=fed, local=local, more=more, rule=rule, data=data)
    members = {f"silo-{d}": (d, {"path": str(data), "columns": {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 5},
                                 "only_domain": d}) for d in DOMAINS}
    return Federation(tmp_path / "fed", bin_dir, plan, members, **kwargs)


@pytest.fixture
def simulated(crossfed, tmp_path):
    """What the simulator gives for a federation's plan."""
    def run(fed, *args):
        return json.loads(crossfed("sim", str(fed.plan), "--json", *args).out)
    return run


@pytest.mark.sanitize
@pytest.mark.threads
def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, simulated):
    with make(tmp_path, bin_dir) as fed:
        summary = fed.start().finish()
        assert summary["model_blake2b"] == simulated(fed)["model_blake2b"]
        assert summary["rounds"] == 4 and summary["status"] == "done"
        for member in fed.members:
            out = json.loads(fed.crossfed("recommend", "--state", fed.folder / member, "--user", "u1", "-k", "5", "--json").stdout)
            assert len(out["items"]) == 5
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


@pytest.mark.parametrize("server", ["{kind: yogi, lr: 0.05, bias_correction: true}", "{kind: adagrad, lr: 0.05, v0: 0}", "{kind: nesterov, lr: 0.5}", "{kind: lion, lr: 0.01}"])
def test_server_optimisers_give_the_simulators_bytes(tmp_path, bin_dir, simulated, server):
    """Rows of users without a holder, a state of one or two vectors, and its recomputation by verify."""
    with make(tmp_path, bin_dir, fed=f", server: {server}", rule="average") as fed:
        assert fed.start().finish()["model_blake2b"] == simulated(fed)["model_blake2b"]
        fed.crossfed("verify", fed.folder / "server")


def as_exported(tmp_path, bin_dir, crossfed, plan, n=3, limit_s=None):
    """crossfed sim --export, then the commands it prints (decision 36): the same model. Gives the coordinator's summary."""
    out = tmp_path / "out"
    said = crossfed("sim", plan, "--export", out).out
    for line in said.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    assert len(names) == n and all(name.startswith("silo-d") for name in names)
    processes = [Process("server", [bin_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")]
    processes += [Process(n, [bin_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    try:
        for p in processes:
            p.start()
        assert [p.wait(*([limit_s] if limit_s else [])) for p in processes] == [0] * (1 + len(names)), "\n".join(p.tail() for p in processes)
    finally:
        for p in processes:
            p.kill()
    summary = json.loads((out / "coordinator" / "summary.json").read_text())
    assert summary["model_blake2b"] == json.loads(crossfed("sim", plan, "--json").out)["model_blake2b"]
    return summary


def test_an_exported_simulation_gives_the_same_bytes(tmp_path, bin_dir, crossfed):
    data, plan = tmp_path / "events.tsv", tmp_path / "plan.yaml"
    write_events(data)
    plan.write_text(PLAN.format(rounds=3, fed="", local="", more="", rule="pull", data=data))
    as_exported(tmp_path, bin_dir, crossfed, plan)


IMAGES = """\
name: images
data: {{kind: idx, split: {{kind: predefined, by: file, valid_fraction: 0.1}}}}
model: {{kind: {kind}, loss: softmax, n_in: 784, n_out: 4}}
stages:
  - kind: train
    fed: {{algorithm: fedavg, rounds: 2, cohort: 1.0, quorum: 1.0, weighting: samples}}
    local: {{epochs: 1, batch: 16, optimizer: {{kind: sgd, lr: 0.05}}}}
eval: {{every: 1, metrics: [logloss, acc], train: true}}
arms: [federated]
sim:
  data: "{data}"
  clients: {{by: {by}, name: "silo-d{{}}"}}
"""


def write_images(folder):
    """60 images of four kinds and 20 to test, a line of each kind's own height in noise."""
    import random
    rng = random.Random(5)
    for part, n in (("train", 60), ("t10k", 20)):
        rows = b"".join(bytes(255 if p // 28 // 7 == i % 4 and p // 28 % 7 < 3 else rng.randrange(60) for p in range(784)) for i in range(n))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28]) + rows)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, n]) + bytes(i % 4 for i in range(n)))


@pytest.mark.parametrize("kind,by", [("cnn-small", "uniform, n: 3"), ("conv4", "shards, n: 3, shards: 2"), ("logreg", "dirichlet, n: 3, alpha: 5")])
def test_exported_images_give_the_same_bytes(tmp_path, bin_dir, crossfed, kind, by):
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    plan.write_text(IMAGES.format(kind=kind, by=by, data=data))
    summary = as_exported(tmp_path, bin_dir, crossfed, plan)
    lines = [json.loads(line) for line in (tmp_path / "out/coordinator/metrics.jsonl").read_text().splitlines()]
    for split in ("train", "test"):  # the last evaluation's, each under its name
        daemons = {e["scope"]: e["logloss"] for e in lines if e["split"] == split and e["scope"].startswith("domain:") and "acc" in e}
        simulated = json.loads(crossfed("sim", plan, "--json").out)["metrics"]
        assert daemons == {e["scope"]: e["logloss"] for e in simulated if e["split"] == split} and len(daemons) == 3
        assert 0 < summary["metrics"][f"federated.{split}"]["acc"] <= 1
    assert summary["metrics"]["federated.train"]["logloss"] != summary["metrics"]["federated.test"]["logloss"]
    table = crossfed("sim", plan).out.splitlines()
    assert sum(" acc, train " in line for line in table) == 3


def test_fedprox_and_yogi_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    text = IMAGES.format(kind="cnn-small", by="uniform, n: 3", data=data).replace("fedavg,", "fedavg, server: {kind: yogi, lr: 0.01},")
    plan.write_text(text)
    without = json.loads(crossfed("sim", plan, "--json").out)["model_blake2b"]
    plan.write_text(text.replace("fedavg", "fedprox").replace("local: {", "local: {prox: 0.5, "))
    assert as_exported(tmp_path, bin_dir, crossfed, plan)["model_blake2b"] != without


ANSWERS = """\
name: answers
data: {{kind: answers, split: {{{split}}}}}
model: {{kind: dkt, loss: bce, n_in: 4, n_out: 1, hidden: [6], steps: 5}}
stages:
  - fed: {{algorithm: fedavg, rounds: 3, deadline_s: 30, weighting: samples}}
    local: {{epochs: 1, batch: 4, optimizer: {{kind: adam, lr: 0.02}}}}
eval: {{every: 0, metrics: [auc, acc]}}
arms: [alone, federated]
sim:
  data: "{folder}/train.csv"
{more}  clients: {{by: uniform, n: 3, name: "silo-d{{}}"}}
"""


@pytest.mark.parametrize("split,more", [("kind: predefined, by: file", '  split: "{}/valid.csv,test.csv"\n'), ("kind: random", "")])
def test_exported_answers_give_the_same_bytes(tmp_path, bin_dir, crossfed, split, more):
    for k, part in enumerate(["train", "valid", "test"]):
        lines = []
        for i in range(18):
            n = 3 + (5 * i + k) % 9
            skills, right = [1 + (i + t * t + k) % 4 for t in range(n)], [(i + t) % 2 for t in range(n)]
            lines += [str(n), ",".join(map(str, skills)), ",".join(map(str, right))]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines) + "\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text(ANSWERS.format(split=split, folder=tmp_path, more=more.format(tmp_path)))
    as_exported(tmp_path, bin_dir, crossfed, plan)


STATISTIC = """\
name: statistic
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
model: {{kind: recommender, item_ns: item}}
stages:
  - {{name: gram, kind: statistic, statistic: {{of: gram, beta: 0.5}}, rows: {{min_holders: 2}}}}
eval: {{every: 0, metrics: [ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def test_an_answer_may_be_larger_than_the_offer_and_a_report(tmp_path, bin_dir, crossfed):
    """The first statistic is asked for with nothing given; its triangle of 200 items has 79,600 bytes."""
    data, plan = tmp_path / "events.tsv", tmp_path / "plan.yaml"
    data.write_text("".join(f"d{d}u{u}\ti{(u * 7 + k * k * 3) % 200}\td{d}\n" for d in range(3) for u in range(120) for k in range(8)))
    plan.write_text(STATISTIC.format(data=data))
    assert as_exported(tmp_path, bin_dir, crossfed, plan)["bytes_up"] > 3 * 79600
    states = [tmp_path / "out" / f"silo-{d}" / "state" for d in DOMAINS]
    table = [line.split() for line in crossfed("report", tmp_path / "out" / "coordinator", *states).out.splitlines()]
    rows = [line for line in table if line and line[0].startswith("silo-")]
    assert [row[0] for row in rows] == ["silo-d0", "silo-d1", "silo-d2"] and all(row[1] == "ndcg_10_full" for row in rows)
    for row in rows:  # popularity, alone, federated or -, what is served and its name
        assert 0 <= float(row[2]) <= 1 and 0 <= float(row[5]) <= 1 and row[6] in ("guarded", "alone", "popularity")


def test_schedules_follow_the_commits(tmp_path, bin_dir, crossfed, simulated):
    """Both rates by schedule: daemons, simulator and `verify`, which folds again, read the same ones; without them the model is another."""
    with make(tmp_path, bin_dir, fed=", server: {lr: 0.5}, schedule: {kind: step, every: 2, factor: 0.5}",
              local=", schedule: {kind: cosine, floor: 0.1, warmup: 1}", rule="average") as fed:
        summary = fed.start().finish()
        digest = simulated(fed)["model_blake2b"]
        assert summary["model_blake2b"] == digest
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
        for key in ("fed", "local"):
            off = ("kind=constant", "every=0", "factor=0") if key == "fed" else ("kind=constant", "floor=0", "warmup=0")
            sets = [word for text in off for word in ("--set", f"{key}.schedule.{text}")]
            assert simulated(fed, *sets)["model_blake2b"] != digest


# No figure is better than another by .9: the first evaluation is the best one, the second ends the run.
STOPS = "early_stop: {patience: 1, metric: ndcg@10, min_delta: 0.9}"


def test_early_stop_ends_daemons_and_simulator_at_the_same_commit(tmp_path, bin_dir, simulated):
    with make(tmp_path, bin_dir, rounds=9, more=STOPS) as fed:
        summary = fed.start().finish()
        sim = simulated(fed)
        assert summary["model_blake2b"] == sim["model_blake2b"]
        assert summary["rounds"] == sim["rounds"] == 4 and summary["status"] == "done"  # eval.every is 2
        assert summary["stopped"] == sim["stopped"] and sim["stopped"].startswith("early_stop: ndcg@10 ")
        status = json.loads(fed.crossfed("status", "--state", fed.folder / "server", "--json").stdout)
        assert status["reason"] == sim["stopped"]
        verified = fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
        assert "the run ended where its plan ends" in verified.stdout
        edit = sqlite3.connect(fed.folder / "server/ledger/ledger.db")  # as if the second evaluation had been far better
        (text,) = edit.execute("SELECT metrics FROM round WHERE kind='evaluate' ORDER BY round DESC LIMIT 1").fetchone()
        better = json.loads(text)
        for line in better["lines"]:
            if line["split"] == "valid":
                line["values"]["ndcg_10_full"][0] += 1000
        edit.execute("UPDATE round SET metrics=? WHERE metrics=?", (json.dumps(better), text))
        edit.commit()
        edit.close()
        done = fed.crossfed("verify", fed.folder / "server", status=7)
        assert "early_stop did not end it" in done.stdout


def test_verify_sees_a_flipped_byte(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, rounds=2) as fed:
        fed.start().finish()
        ckpt = sorted((fed.folder / "server" / "ckpt").iterdir())[-1]
        data = bytearray(ckpt.read_bytes())
        data[-3] ^= 1
        ckpt.write_bytes(data)
        done = fed.crossfed("verify", fed.folder / "server", status=None)
        assert done.returncode == 7 and "I5" in done.stdout + done.stderr


SERVER_POINTS = [f"K{i}" for i in range(1, 15)]
CLIENT_POINTS = [f"C{i}" for i in range(1, 7)]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, faults_dir):
    with make(tmp_path_factory.mktemp("calm"), faults_dir, rounds=3) as fed:
        return fed.start().finish()["model_blake2b"]


def crash_and_finish(fed, victim, point, passage, undisturbed):
    fed.start(only=[m for m in fed.members if m != victim.name])
    if victim is fed.server:
        fed.server.kill()
        (fed.folder / "port").unlink(missing_ok=True)
    victim.start(CROSSFED_FAILPOINTS=f"{point}=kill@{passage}")
    fed.killed(victim, point)
    if victim is fed.server:
        (fed.folder / "port").unlink(missing_ok=True)
    victim.start()
    summary = fed.finish()
    assert summary["model_blake2b"] == undisturbed
    fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


@pytest.mark.parametrize("point", SERVER_POINTS)
def test_coordinator_killed_at(point, tmp_path, faults_dir, undisturbed):
    with make(tmp_path, faults_dir, rounds=3) as fed:
        crash_and_finish(fed, fed.server, point, 2 if point not in ("K1",) else 1, undisturbed)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, faults_dir):
    with make(tmp_path_factory.mktemp("stopped"), faults_dir, rounds=9, more=STOPS) as fed:
        summary = fed.start().finish()
        assert summary["rounds"] == 4
        return summary["model_blake2b"]


@pytest.mark.parametrize("point", ["K8", "K13"])
def test_coordinator_killed_at_the_evaluation_that_stops_the_run(point, tmp_path, faults_dir, stopped):
    """Before its row and after it: rounds 1, 2, 4 and 5 train, 3 and 6 evaluate."""
    with make(tmp_path, faults_dir, rounds=9, more=STOPS) as fed:
        crash_and_finish(fed, fed.server, point, 6, stopped)
        assert json.loads((fed.folder / "server/summary.json").read_text())["rounds"] == 4


@pytest.mark.parametrize("point", CLIENT_POINTS)
def test_silo_killed_at(point, tmp_path, faults_dir, undisturbed):
    with make(tmp_path, faults_dir, rounds=3) as fed:
        crash_and_finish(fed, fed.clients["silo-d1"], point, 2, undisturbed)


def test_everybody_killed_at_random_and_restarted(tmp_path, bin_dir, simulated):
    """kill -9 of anybody at any moment, several times; the model is as if nothing had happened."""
    with make(tmp_path, bin_dir, rounds=200) as fed:  # so many that the last kill is in the middle of the run
        fed.start()
        for k in range(6):
            time.sleep(0.15 + 0.05 * k)
            victim = fed.processes()[(k * 5) % 4]
            if not all(process.running() for process in fed.processes()):
                break  # the silos have what they came for; a coordinator that forgot would wait for them in vain
            victim.kill()
            if victim is fed.server:
                fed.port_file.unlink(missing_ok=True)
            victim.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == simulated(fed)["model_blake2b"]
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


# ---- what travels


class Proxy:
    """Forwards one port to another on loopback and keeps every byte both ways."""

    def __init__(self, target_file):
        self.target_file, self.seen, self.stop = target_file, bytearray(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.listener.settimeout(0.2)
        while not self.stop:
            try:
                near, _ = self.listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", int(self.target_file.read_text())))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                self.seen += data
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.stop = True
        self.listener.close()


def test_nothing_readable_travels_and_logs_name_no_user(tmp_path, bin_dir):
    canary = "canary-user-4711"
    with make(tmp_path, bin_dir, rounds=2, canary=canary) as fed:
        fed.server.start()
        fed.until(lambda: fed.port_file.exists() and fed.port_file.read_text().strip(), message="port file")
        proxy = Proxy(fed.port_file)
        for client in fed.clients.values():
            text = json.loads(pathlib.Path(client.argv[2]).read_text())
            text["coordinator"], text["coordinator_port_file"] = f"127.0.0.1:{proxy.port}", ""
            pathlib.Path(client.argv[2]).write_text(json.dumps(text))
            client.start()
        fed.finish()
        proxy.close()
        assert len(proxy.seen) > 10000
        for secret in (canary.encode(), b"d1i3", b"crossfed-client", b"task_offer", b"three"):
            assert secret not in proxy.seen
        for process in fed.processes():
            assert canary not in process.text() and "d1i3" not in process.text()


# ---- certificates


def refused(fed, member, needle):
    """The reason in the silo's log that names the failed check."""
    def reasons():
        return [e["reason"] for e in fed.clients[member].events() if needle in e.get("reason", "")]
    return fed.until(reasons, limit_s=20, message=f"a reason with {needle!r} in the silo's log")


def reissue(fed, member, *more):
    for suffix in ("pem", "key"):
        (fed.folder / f"{member}.{suffix}").unlink()
    fed.issue("client", member, *more)


@pytest.mark.parametrize("case, needle", [
    ("wrong-ca", "CA"),
    ("expired", "expired"),
    ("not-yet-valid", "not valid before"),
    ("wrong-role", "role"),
    ("other-member", "member"),
    ("revoked", "revoked"),
])
def test_a_bad_certificate_is_refused_and_the_others_go_on(case, needle, tmp_path_factory, bin_dir):
    bad = "silo-d2"
    with make(tmp_path_factory.mktemp("x"), bin_dir, rounds=3) as fed:
        plan = fed.plan.read_text()
        for old, new in (("quorum: 1.0", "quorum: 0.6"), ("select_timeout_s: 60", "select_timeout_s: 0.3"),
                         ("deadline_s: 600", "deadline_s: 0.3")):
            plan = plan.replace(old, new)
        fed.plan.write_text(plan)
        config = json.loads((fed.folder / "server.yaml").read_text())
        config["exit_when_done"] = False
        if case == "revoked":
            fed.crossfed("pki", "revoke", "--dir", "ca", "--member", bad)
            config["tls"] = fed.tls("coordinator", crl=True)
        (fed.folder / "server.yaml").write_text(json.dumps(config))
        if case == "wrong-ca":
            fed.crossfed("pki", "ca", "--dir", "ca2", "--federation", fed.name)
            for suffix in ("pem", "key"):
                (fed.folder / f"{bad}.{suffix}").unlink()
            fed.crossfed("pki", "issue", "--dir", "ca2", "--role", "client", "--member", bad, "--cert", f"{bad}.pem",
                         "--key", f"{bad}.key")
        elif case == "expired":
            reissue(fed, bad, "--not-before", "2020-01-01T00:00:00Z", "--not-after", "2020-01-02T00:00:00Z")
        elif case == "not-yet-valid":
            reissue(fed, bad, "--not-before", "2030-01-01T00:00:00Z", "--not-after", "2030-02-01T00:00:00Z")
        elif case == "wrong-role":
            for suffix in ("pem", "key"):
                (fed.folder / f"{bad}.{suffix}").unlink()
            fed.issue("operator", bad)
        elif case == "other-member":
            for suffix in ("pem", "key"):
                (fed.folder / f"{bad}.{suffix}").unlink()
            fed.crossfed("pki", "issue", "--dir", "ca", "--role", "client", "--member", "stranger", "--cert", f"{bad}.pem",
                         "--key", f"{bad}.key")
        fed.start()
        refused(fed, bad, needle)
        fed.until(lambda: len(fed.committed()) >= 4, message="the other silos' rounds")
