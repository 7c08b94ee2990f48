"""State on disk and what may happen to it: locks, versions, damage, a full disk, signals; policy and noise end to end."""

import hashlib
import json
import math
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from hostile import tables

STATE, CONFIG, FAILED = 7, 78, 1
STEADY = {"deadline": 5, "select": 5}


def run(process, *args, status=None, env=None):
    """A second process with the arguments of a daemon; (status, stderr)."""
    full = {k: v for k, v in os.environ.items() if not k.startswith("CROSSFED_")}
    done = subprocess.run([*process.argv, *map(str, args)], capture_output=True, text=True, timeout=30, check=False, env={**full, **(env or {})})
    if status is not None:
        assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def edit(process, **values):
    path = pathlib.Path(process.argv[2])
    config = json.loads(path.read_text())
    config.update(values)
    path.write_text(json.dumps(config))


def pair(folder, bin_dir, **kwargs):
    return tables(folder, bin_dir, hostile=(), **{**STEADY, **kwargs})


def sql(path, *statements):
    db = sqlite3.connect(path)
    try:
        for statement in statements:
            db.execute(statement)
        db.commit()
    finally:
        db.close()


@pytest.fixture(scope="module")
def done(tmp_path_factory, bin_dir):
    """A federation that ran to its end."""
    with pair(tmp_path_factory.mktemp("done"), bin_dir, rounds=3) as fed:
        fed.start().finish()
        yield fed


@pytest.fixture
def copied(done, tmp_path):
    """What `done` left, to be damaged: (the server, a client), each with its own copy of its state."""
    def copy(name, process):
        target = tmp_path / name
        shutil.copytree(done.folder / name, target, ignore=shutil.ignore_patterns("*.sock"))
        config = json.loads(pathlib.Path(process.argv[2]).read_text())
        config["state_dir"] = str(target)
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(config))
        return type("P", (), {"argv": [process.argv[0], "-c", str(path)], "state": target})
    return copy("server", done.server), copy("silo-a", done.clients["silo-a"])


# ---- one process, one run, one version

def test_a_second_process_is_refused_with_the_pid(tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=100000) as fed:
        fed.start()
        fed.until(lambda: fed.committed())
        for process in (fed.server, fed.clients["silo-a"]):
            said = run(process, status=STATE)
            assert f"process {process.popen.pid}" in said
        before = len(fed.committed())
        fed.until(lambda: len(fed.committed()) > before)
        fed.clients["silo-a"].kill()
        (fed.folder / "silo-a" / "lock").write_text("1\n")  # a pid left behind is no lock
        fed.clients["silo-a"].start()
        before = len(fed.clients["silo-a"].events("trained"))
        fed.until(lambda: len(fed.clients["silo-a"].events("trained")) > before, limit_s=10)


def test_a_newer_schema(copied):
    server, client = copied
    sql(server.state / "ledger/ledger.db", "PRAGMA user_version=999")
    sql(client.state / "client.db", "PRAGMA user_version=999")
    for process in copied:
        for args in ((), ("--check-config",)):
            said = run(process, *args, status=STATE)
            assert "999" in said and "later" in said


def test_another_plan_needs_a_new_run(copied, done, tmp_path):
    server, client = copied
    other = tmp_path / "other.yaml"
    other.write_text(done.plan.read_text().replace("seed: 11", "seed: 12"))
    for args in ((), ("--check-config",)):
        said = run(server, "--set", f"plan={other}", *args, status=CONFIG)
        assert "--new-run" in said and "other.yaml" in said
    said = run(server, "--set", "federation=fed2", status=CONFIG)
    assert "fed2" in said
    text = client.argv[2]
    config = json.loads(pathlib.Path(text).read_text())
    config["member"] = "silo-b"
    config["tls"] = done.tls("silo-b")
    pathlib.Path(text).write_text(json.dumps(config))
    assert "silo-a" in run(client, status=CONFIG)


def test_new_run(tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=2) as fed:
        fed.start().finish()
        first = fed.summary()["model_blake2b"]
        fed.plan.write_text(fed.plan.read_text().replace("seed: 11", "seed: 12"))
        assert "--new-run" in run(fed.server, status=CONFIG)
        fed.server.argv.append("--new-run")
        for member in fed.clients:
            shutil.rmtree(fed.folder / member)
        fed.start().finish()
        assert fed.summary()["model_blake2b"] != first
        assert list((fed.folder / "server/old").iterdir())
        fed.crossfed("verify", fed.folder / "server")


# ---- damage

def newest(state):
    return sorted((state / "ckpt").glob("*.safetensors"))[-1]


def test_a_damaged_newest_model_is_computed_again(copied, done):
    server, _ = copied
    want = newest(server.state).read_bytes()
    for damage in (lambda p: p.write_bytes(want[:-5] + b"\x00\x01\x02\x03\x04"), lambda p: p.write_bytes(want[:100]), lambda p: p.unlink()):
        damage(newest(server.state) if newest(server.state).name == newest(done.folder / "server").name else None)
        process = subprocess.Popen([*server.argv, "--set", "exit_when_done=false", "--set", f"port_file={server.state}/p"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            end = time.monotonic() + 10
            while not (server.state / "p").exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
            assert process.poll() is None
        finally:
            process.terminate()
            said = process.communicate(timeout=10)[1]
        assert process.returncode == 0, said
        assert newest(server.state).read_bytes() == want and "model_recomputed" in said


def test_verify_recomputes_the_momentum(tmp_path, bin_dir, crossfed):
    """The momentum is in no digest: a file and a ledger row that agree with each other are not yet right."""
    with pair(tmp_path, bin_dir, rounds=3, fed=", server: {kind: momentum}") as fed:
        fed.start().finish()
        state = fed.folder / "server"
        fed.crossfed("verify", state)
        drift = fed.summary()["drift"]
        assert drift["round"] == 3 and 0 < drift["norm_min"] <= drift["norm_median"] <= drift["norm_max"] and 0 < drift["ratio"] <= 1
        assert json.loads(fed.crossfed("status", "--state", state, "--json").stdout)["drift"] == drift
        for verb in (["status", "--state"], ["report"]):
            assert "agreement" in fed.crossfed(*verb, state).stdout
        path = newest(state)
        data = bytearray(path.read_bytes())
        head = 8 + int.from_bytes(data[:8], "little")
        at = json.loads(data[8:head])["server.momentum"]["data_offsets"][0]
        data[head + at] ^= 1
        path.write_bytes(data)
        db = sqlite3.connect(state / "ledger/ledger.db")
        db.execute("UPDATE checkpoint SET sha256=? WHERE path LIKE ?", (hashlib.sha256(data).digest(), "%" + path.name))
        db.commit()
        db.close()
        found = json.loads(fed.crossfed("verify", state, "--json", status=STATE).stdout)["dirs"][0]["findings"]
        damaged = [f for f in found if f["level"] == "damaged"]
        assert [f["invariant"] for f in damaged] == ["I3"] and "server optimiser" in damaged[0]["text"], damaged


def test_what_cannot_be_healed_is_refused(copied):
    server, _ = copied
    newest(server.state).unlink()
    shutil.rmtree(server.state / "spool")
    said = run(server, status=STATE)
    assert "ckpt" in said


@pytest.mark.parametrize("case", ["header", "page", "chain"])
def test_a_damaged_ledger_is_refused(case, copied):
    server, _ = copied
    path = server.state / "ledger/ledger.db"
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    if case == "chain":
        sql(path, "UPDATE event SET body=replace(body, 'a', 'b') WHERE seq=3")
    else:
        body = bytearray(path.read_bytes())
        if case == "header":
            body[:64] = b"x" * 64
        else:
            for at in range(4096, len(body), 4096):
                body[at:at + 512] = os.urandom(512)
        path.write_bytes(body)
    said = run(server, status=STATE)
    assert "ledger" in said or "event" in said


def test_a_damaged_client_db_is_refused(copied):
    _, client = copied
    path = client.state / "client.db"
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.read_bytes()
    path.write_bytes(b"y" * 64 + good[64:])
    assert "client.db" in run(client, status=STATE)
    path.write_bytes(good[:5000])
    assert "client.db" in run(client, status=STATE)


# ---- a full disk

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_opens_no_round_and_recovers(tmp_path, bin_dir, small_disk, crossfed):
    with pair(tmp_path / "calm", bin_dir, rounds=6) as calm:
        calm.start().finish()
        want = calm.summary()["model_blake2b"]
    with pair(tmp_path / "fed", bin_dir, rounds=6) as fed:
        state = small_disk / "server"
        edit(fed.server, state_dir=str(state))
        ballast = small_disk / "ballast"

        def fill():
            free = os.statvfs(small_disk)
            ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 600 * 1024))  # what the ledger itself needs is left
        fed.server.start()
        fed.until(lambda: (state / "admin.sock").exists())
        crossfed("pause", "--state", state)
        fill()
        for client in fed.clients.values():
            client.start()
        crossfed("resume", "--state", state)
        line, *_ = fed.until(lambda: [e for e in fed.server.events("waiting") if "not opened" in e["reason"]], limit_s=10)
        assert "make room" in line["reason"]
        status = crossfed("status", "--state", state, "--json").json()
        assert "not opened" in status["reason"] and status["committed"] <= 1 and fed.server.running()
        fed.server.kill()  # and started again while it is full
        fed.port_file.unlink(missing_ok=True)
        fed.server.start()
        fed.until(lambda: len([e for e in fed.server.events("waiting") if "not opened" in e["reason"]]) >= 2, limit_s=10)
        ballast.unlink()
        for process in fed.processes():
            assert process.wait(30) == 0, fed.logs()
        assert json.loads((state / "summary.json").read_text())["model_blake2b"] == want
        fed.crossfed("verify", state)


def test_a_full_disk_at_the_silo_loses_nothing_and_recovers(tmp_path, bin_dir, small_disk):
    """What cannot be stored is not sent: the silo says why and ends with 8, also when it is started on the full disk. With room
    it goes on, and its accounts and the coordinator's agree."""
    with pair(tmp_path / "fed", bin_dir, rounds=40, quorum=1, select=0.2, deadline=0.2) as fed:
        victim = fed.clients["silo-a"]
        state, ballast = small_disk / "silo-a", small_disk / "ballast"
        edit(victim, state_dir=str(state))

        def fill():
            with open(ballast, "ab", buffering=0) as f:
                for size in (1 << 20, 4096):
                    try:
                        while f.write(bytes(size)):
                            pass
                    except OSError:
                        pass  # no space left
        fed.start()
        fed.until(lambda: len(victim.events("update_settled")) >= 2, limit_s=10)
        victim.signal(signal.SIGSTOP)  # in the middle of whatever it does
        fill()
        victim.signal(signal.SIGCONT)
        assert victim.wait(15) == 8, victim.tail()
        line, = victim.events("fatal")
        assert line["code"] == "E_NOSPACE" and "full" in line["reason"] and "make room" in line["fix"]
        before = len(fed.committed())
        fed.until(lambda: len(fed.committed()) > before + 2, limit_s=15, message="the others go on")
        victim.start()  # while it is still full
        assert victim.wait(15) == 8, victim.tail()
        settled = len(victim.events("update_settled"))
        ballast.unlink()
        victim.start()
        fed.until(lambda: len(victim.events("update_settled")) > settled, limit_s=15)
        for process in fed.processes():
            assert process.wait(60) == 0, fed.logs()
        assert victim.events("final_stored")
        fed.crossfed("verify", fed.folder / "server", state)
        db = sqlite3.connect(fed.folder / "server/ledger/ledger.db")
        seen = {d for (d,) in db.execute("SELECT update_digest FROM upd JOIN round USING(run, round) WHERE member='silo-a' AND kind='train'")}
        db.close()
        made = json.loads(fed.crossfed("inspect", state, "--json").stdout)
        assert seen <= {bytes.fromhex(u["update_digest"]) for u in made["updates"]}, "every update that was seen was made and stored there"


# ---- signals

def test_sigterm_drains_and_the_run_goes_on(tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=200) as fed:
        fed.start()
        fed.until(lambda: len(fed.committed()) >= 3)
        fed.server.signal(signal.SIGTERM)
        assert fed.server.wait(10) == 0
        n = len(fed.committed())
        assert n < 200 and fed.server.events("draining") and fed.server.events("stopping")
        fed.crossfed("verify", fed.folder / "server")
        assert all(c.running() for c in fed.clients.values())
        fed.server.start()
        fed.finish()
        assert len({e["round"] for e in fed.committed() if e["kind"] == "train"}) == 200


def test_a_coordinator_killed_after_the_silos_have_left_ends(tmp_path, bin_dir):
    """Who has stored the final model is in the ledger: a restart waits for nobody who is gone for good."""
    with pair(tmp_path, bin_dir, rounds=2) as fed:
        edit(fed.server, exit_when_done=False)
        fed.start()
        for client in fed.clients.values():
            assert client.wait(20) == 0, fed.logs()
        fed.server.kill()
        edit(fed.server, exit_when_done=True)
        fed.port_file.unlink(missing_ok=True)
        fed.server.start()
        assert fed.server.wait(10) == 0, fed.logs()
        assert [e for e in fed.server.events("stopping") if e["reason"] == "done"]
        fed.crossfed("verify", fed.folder / "server")


@pytest.mark.alone
def test_sigterm_while_the_arms_are_made(tmp_path, faults_dir):
    """Work that does not look at its cancel flag in time is left behind, and done at the next start."""
    with pair(tmp_path, faults_dir, rounds=2, deadline=600) as fed:
        fed.server.start()
        fed.clients["silo-b"].start()
        victim = fed.clients["silo-a"].start(CROSSFED_FAILPOINTS="C7=sleep:15000@2")
        fed.until(lambda: victim.events("final_received"), limit_s=20)
        time.sleep(0.3)
        started = time.monotonic()
        victim.signal(signal.SIGTERM)
        assert victim.wait(5) == 0 and time.monotonic() - started < 2.5
        assert victim.events("work_left_behind") and not victim.events("final_stored")
        victim.start()
        fed.finish()
        assert victim.events("final_stored")
        fed.crossfed("verify", fed.folder / "server", fed.folder / "silo-a")


def soon(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def renew(fed, role, member, *more):
    for suffix in ("pem", "key"):
        (fed.folder / f"{member}.{suffix}").unlink(missing_ok=True)
    fed.issue(role, member, *more)


def test_a_certificate_that_expires_in_mid_session(tmp_path, bin_dir):
    """Both sides end a session whose certificate has expired, say which, and go on with a new one."""
    with pair(tmp_path, bin_dir, rounds=100000, quorum=1, select=0.1, deadline=0.5) as fed:
        renew(fed, "client", "silo-a", "--not-after", soon(5))
        fed.start()
        fed.until(lambda: len([e for e in fed.server.events("client_connected") if e["client"] == "silo-a"]) == 1, limit_s=4)
        line, *_ = fed.until(lambda: fed.server.events("session_expired"), limit_s=12)
        assert line["client"] == "silo-a" and "pki issue" in line["reason"] and "Z" in line["not_after"]
        told = fed.until(lambda: [e for e in fed.clients["silo-a"].events("disconnected") if "expired" in e["reason"]], limit_s=5)
        assert told
        before = len(fed.committed())
        fed.until(lambda: len(fed.committed()) > before + 2, limit_s=10, message="the other goes on")
        renew(fed, "client", "silo-a")
        fed.clients["silo-a"].signal(signal.SIGHUP)
        fed.until(lambda: len([e for e in fed.server.events("client_connected") if e["client"] == "silo-a"]) >= 2, limit_s=15)
    with pair(tmp_path / "x", bin_dir, rounds=100000) as fed:
        renew(fed, "coordinator", "coordinator", "--not-after", soon(5))
        fed.start()
        line, *_ = fed.until(lambda: fed.clients["silo-a"].events("coordinator_expired"), limit_s=12)
        assert "operator" in line["reason"]


def test_a_second_signal_ends_at_once_and_an_open_round_is_resumed(tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=2, quorum=2, deadline=600, select=600) as fed:
        fed.start(only=["silo-a"])  # the round cannot end
        fed.until(lambda: fed.server.events("waiting"))
        fed.server.signal(signal.SIGTERM)
        fed.until(lambda: fed.server.events("draining"))
        time.sleep(0.2)
        assert fed.server.running()
        fed.server.signal(signal.SIGTERM)
        assert fed.server.wait(5) == 128 + signal.SIGTERM
        fed.server.start()
        fed.clients["silo-b"].start()
        fed.finish()
        assert [e["round"] for e in fed.committed() if e["kind"] == "train"] == [1, 2]


def test_a_bad_file_at_reload_keeps_what_runs(tmp_path, bin_dir, crossfed):
    with pair(tmp_path, bin_dir, rounds=100000) as fed:
        fed.start()
        fed.until(lambda: fed.committed())
        for process, event in ((fed.server, "reload_failed"), (fed.clients["silo-a"], "config_not_reloaded")):
            path = pathlib.Path(process.argv[2])
            good = path.read_text()
            for bad, words in ((good.replace('"log"', '"lok"'), "lok"), (good[:-20], ""), ("", "")):
                path.write_text(bad)
                n = len(process.events(event))
                process.signal(signal.SIGHUP)
                line = fed.until(lambda e=event, k=n, p=process: p.events(e)[k:], limit_s=5)[0]
                assert line["level"] == "error" and words in line["reason"] and line["reason"]
            path.write_text(good)
        edit(fed.server, workers=7)
        fed.server.signal(signal.SIGHUP)
        line = fed.until(lambda: [e for e in fed.server.events("reload_failed") if "workers" in e["reason"]], limit_s=5)[0]
        assert "restart" in line["reason"]
        edit(fed.server, workers=2, spool={"retain": 2})
        assert "spool.retain" in crossfed("reload", "--state", fed.folder / "server").out
        before = len(fed.committed())
        fed.until(lambda: len(fed.committed()) > before)


@pytest.mark.parametrize("days", [1, -1])
def test_the_clock_jumped_a_day(days, tmp_path, bin_dir, done):
    """A restart whose wall clock is a day before or after that of the ledger: the open round goes on, the bytes are the same.
    Within a process only the monotonic clock is read (base/time.h; lint confines the wall clock)."""
    with pair(tmp_path, bin_dir, rounds=3, deadline=600, select=600) as fed:
        fed.start(only=["silo-a"])
        fed.until(lambda: [e for e in fed.server.events("waiting") if "1 of 2 selected" in e["reason"]])
        fed.server.kill()
        fed.port_file.unlink(missing_ok=True)
        sql(fed.folder / "server/ledger/ledger.db", f"UPDATE round SET opened_us=opened_us+{days * 86400000000}",
            f"UPDATE run SET created_us=created_us+{days * 86400000000}")
        fed.server.start()
        fed.clients["silo-b"].start()
        assert fed.finish()["model_blake2b"] == done.summary()["model_blake2b"]
        fed.crossfed("verify", fed.folder / "server")


# ---- a silo's policy, on both sides

@pytest.mark.parametrize("key, value, plan", [
    ("max_rounds", 2, {}),
    ("max_epochs", 1, {"steps: 20": "epochs: 2"}),
    ("max_steps", 10, {}),
    ("noise_multiplier", 1.0, {}),
    ("clip", 0, {"arms: [federated]": "arms: [federated]"}),
    ("models", ["mlp"], {}),
])
def test_a_plan_over_policy_is_refused_on_both_sides(key, value, plan, tmp_path, bin_dir):
    policy = {key: value}
    if key == "clip":  # noise wanted, and nobody says a clip
        policy = {"noise_multiplier": 1.0}
        plan = {"weighting: samples": "", "eval_deadline_s: 1": "eval_deadline_s: 1, weighting: uniform"}
    with pair(tmp_path, bin_dir, rounds=3, policy={"silo-a": policy}) as fed:
        text = fed.plan.read_text()
        for old, new in plan.items():
            text = text.replace(old, new)
        fed.plan.write_text(text)
        fed.start(only=["silo-a"])
        client = fed.clients["silo-a"]
        assert client.wait(20) == FAILED
        line, = client.events("plan_refused")
        assert line["key"] == f"policy.{key}" and f"policy.{key}" in line["reason"]
        told = fed.until(lambda: [e for e in fed.server.events("client_goodbye") if e["client"] == "silo-a"], limit_s=5)
        assert f"policy.{key}" in told[0]["reason"], told


@pytest.mark.parametrize("key, value", [("min_cohort", 3), ("max_epsilon", 0.5)])
def test_an_offer_over_policy_is_refused_on_both_sides(key, value, tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=3, quorum=1, policy={"silo-a": {key: value}}) as fed:
        fed.start()
        told = fed.until(lambda: [e for e in fed.server.events("task_refused") if e["client"] == "silo-a"], limit_s=10)
        assert told[0]["key"] == f"policy.{key}" and told[0]["code"] == "E_POLICY" and f"policy.{key}" in told[0]["reason"]
        assert [e for e in fed.clients["silo-a"].events() if f"policy.{key}" in str(e.get("reason", ""))]
        fed.until(lambda: len(fed.committed()) >= 3)
        assert not fed.clients["silo-a"].events("trained")


def test_max_weight_and_clip_are_kept(tmp_path, bin_dir):
    with pair(tmp_path, bin_dir, rounds=2, policy={"silo-a": {"max_weight": 5, "clip": 0.001}}) as fed:
        fed.start().finish()
        db = sqlite3.connect(fed.folder / "server/ledger/ledger.db")
        got = db.execute("SELECT weight FROM upd JOIN round USING(run, round) WHERE member='silo-a' AND kind='train'").fetchall()
        others = db.execute("SELECT weight FROM upd JOIN round USING(run, round) WHERE member='silo-b' AND kind='train'").fetchall()
        clips = db.execute("SELECT clip FROM privacy JOIN round USING(run, round) WHERE member='silo-a' AND kind='train'").fetchall()
        db.close()
        assert got == [(5,), (5,)] and others[0][0] > 5
        assert all(math.isclose(c, 0.001) for (c,) in clips)
        assert all(e["clipped"] for e in fed.clients["silo-a"].events("trained"))


# ---- noise

NOISE = "privacy: {unit: silo, clip: 0.5, noise_multiplier: 4.0, delta: 1.0e-5}\n"


def test_epsilon_is_the_same_everywhere(tmp_path, bin_dir, crossfed):
    with pair(tmp_path, bin_dir, rounds=3, fed=", weighting: uniform", more=NOISE) as fed:
        edit(fed.server, exit_when_done=False)
        fed.start()
        summary = fed.until(lambda: (fed.folder / "server/summary.json").exists() and fed.summary(), limit_s=20)
        zero_out = crossfed("account", "--q", 1, "--sigma", 4, "--steps", 3, "--delta", 1e-5, "--json").json()["epsilon"]
        replace = crossfed("account", "--q", 1, "--sigma", 2, "--steps", 3, "--delta", 1e-5, "--json").json()["epsilon"]
        status = crossfed("status", "--state", fed.folder / "server", "--json").json()
        # sigma^2 on the grid is rounded up, so the silo's figure may be a hair lower
        for member in status["members"]:
            assert math.isclose(member["epsilon"], replace, rel_tol=1e-3), (member, replace)
            assert math.isclose(member["epsilon_zero_out"], zero_out, rel_tol=1e-3), (member, zero_out)
        assert status["privacy"]["epsilon_max"] == max(m["epsilon"] for m in status["members"])
        assert "per silo, against the coordinator, not per person" in status["privacy"]["claim"]
        assert math.isclose(summary["epsilon"], status["privacy"]["epsilon_max"], rel_tol=1e-9), summary
        fed.server.kill()  # the account is the ledger's, not the process's
        fed.server.start()
        fed.until(lambda: len(fed.server.events("listening")) == 2, limit_s=10)
        again = fed.until(lambda: crossfed("status", "--state", fed.folder / "server", "--json", status=None).json(), limit_s=5)
        assert again["privacy"]["epsilon_max"] == status["privacy"]["epsilon_max"] and "source" not in again
        for client in fed.clients.values():
            last = [e["statement"] for e in client.events("privacy") if "round" in e][-1]
            assert f"{replace:.2f}"[:4] in last and "3 releases" in last, last
            silo = crossfed("inspect", fed.folder / client.name, "--json").json()
            assert silo["charges"] >= 3
        db = sqlite3.connect(fed.folder / "server/ledger/ledger.db")
        counts = db.execute("SELECT n_samples FROM upd JOIN round USING(run, round) WHERE kind='train'").fetchall()
        db.close()
        assert set(counts) == {(0,)}, "with noise on, no counts leave"


@pytest.mark.parametrize("point", ["C4", "C5"])
def test_noised_bytes_survive_a_crash_and_are_charged_once(point, tmp_path, faults_dir):
    with pair(tmp_path, faults_dir, rounds=2, fed=", weighting: uniform", more=NOISE) as fed:
        fed.start(only=["silo-b"])
        victim = fed.clients["silo-a"].start(CROSSFED_FAILPOINTS=f"{point}=kill@1")
        assert victim.wait(20) == -signal.SIGKILL
        outbox = fed.folder / "silo-a/outbox"
        blob, = outbox.glob("*.upd")
        before = blob.read_bytes()
        first = charges(fed)
        assert len(first) == 1
        sent = fed.folder / "server/spool"
        victim.start()
        fed.until(lambda: list(sent.glob("r0000000001-silo-a*.upd")) or len(fed.committed()) >= 2, limit_s=20)
        kept = list(sent.glob("r0000000001-silo-a*.upd"))
        if kept:  # the payload as the coordinator stored it
            assert before.endswith(kept[0].read_bytes()[4096:])
        fed.finish()
        after = charges(fed)
        assert after[:1] == first and len(after) == 2 and len({c[0] for c in after}) == 2
        db = sqlite3.connect(fed.folder / "server/ledger/ledger.db")
        digests = [d for (d,) in db.execute("SELECT update_digest FROM upd JOIN round USING(run, round) WHERE "
                                               "member='silo-a' AND kind='train' ORDER BY round")]
        seen = db.execute("SELECT count(*) FROM privacy WHERE member='silo-a' AND noised=1").fetchone()[0]
        db.close()
        assert digests[0] == first[0][1] and seen == 2
        fed.crossfed("verify", fed.folder / "server", fed.folder / "silo-a")


def charges(fed):
    """(task, update digest) of each noised release the silo was charged for, in order."""
    found = json.loads(fed.crossfed("inspect", fed.folder / "silo-a", "--json").stdout)
    digest = {u["task"]: bytes.fromhex(u["update_digest"]) for u in found["updates"]}
    return [(c["task"], digest[c["task"]]) for c in found["odometer"] if c["noised"]]
