"""A listed member that speaks nonsense: each kind has its answer, the ledger records it, the others' model is not touched."""

import json
import math
import os
import socket
import sqlite3
import ssl
import struct
import threading
import time

import pytest

from hostile import (ACCEPTED, ACK, BEGIN, CANCEL, CONFLICT, CORRUPT, DIRECTORY, DUPLICATE_OK, EVALUATE, GET, GOODBYE, HELLO,
                     LATE, MANIFEST, MANIFEST_REQUEST, PING, PLAN, PONG, PROGRESS, READY, REFUSED, REJECTED, REPLY, STALE,
                     UNSUPPORTED, UPDATE_CHUNK, WELCOME, Closed, Silo, encode, frame, port, sha256, tables,
                     task_id, varint)
from test_federation import make as aligned

BAD = "silo-x"
ZERO = bytes(32)
MAX_WEIGHT = 50


def members(**more):
    return [{"id": m, "domain": f"d{k}", **({"max_weight": MAX_WEIGHT} if m == BAD else {}), **more}
            for k, m in enumerate(("silo-a", "silo-b", BAD))]


@pytest.fixture(scope="module")
def fed(tmp_path_factory, bin_dir):
    with tables(tmp_path_factory.mktemp("hostile"), bin_dir, rounds=100000, deadline=3, select=0.2,
                server={"members": members(), "limits": {"heartbeat_s": "500ms", "dead_after_s": "2s"}}) as made:
        yield made.start()
        assert made.server.running() and all(c.running() for c in made.clients.values())
        assert not [e for e in made.server.events() if e["level"] == "error" and e["event"] != "second_session_refused"]


@pytest.fixture
def silo(fed):
    with Silo(fed, BAD) as made:
        yield made.hello()


def rounds_go_on(fed, n=1):
    before = len(fed.committed())
    fed.until(lambda: len(fed.committed()) >= before + n, limit_s=20, message="rounds of the others")


def rows(fed, statement, *values):
    db = sqlite3.connect(f"file:{fed.folder}/server/ledger/ledger.db?mode=ro", uri=True)
    try:
        return db.execute(statement, values).fetchall()
    finally:
        db.close()


def recorded(fed, refusal, task, code=None):
    """The ledger's row of a refused update."""
    def found():
        return [c for (c,) in rows(fed, "SELECT code FROM refusal WHERE refusal=? AND task_id=? AND member=?", refusal, task, BAD)]
    codes = fed.until(found, limit_s=5, message=f"{refusal} in the ledger")
    assert code is None or code in codes, codes
    return True


def ping(silo, nonce=7):
    silo.send(PING, nonce=nonce)
    assert silo.expect(PONG)["nonce"] == nonce


# ---- frames

@pytest.mark.parametrize("data, code", [
    (frame(PING, b"", reserved=1), "E_FORMAT"),
    (frame(PING, b"", length=65), "E_LIMIT"),
    (frame(HELLO, b"", length=1025), "E_LIMIT"),
    (frame(UPDATE_CHUNK, b"", length=66049), "E_LIMIT"),
    (frame(PLAN, b"", length=2**32 - 1), "E_LIMIT"),
    (frame(999, b"", length=131073), "E_LIMIT"),
    (frame(PING, b"\xff\xff\xff"), "E_FORMAT"),
    (frame(PROGRESS, b"\x0a\xff\xff\xff\xff\x7f"), "E_FORMAT"),
    (b"GET / HTTP/1.1\r\n\r\n", None),
    (bytes(range(256)) * 8, None),
], ids=["reserved", "ping-65", "hello-1025", "chunk-66049", "plan-4G", "unknown-131073", "ping-garbage", "progress-garbage", "http", "bytes"])
def test_bad_frames(data, code, fed, silo):
    silo.raw(data)
    said = silo.ended()
    assert said and said["text"] and (code is None or said["code"] == code), said
    assert fed.until(lambda: [e for e in fed.server.events("connection_lost") if said["text"] in e["reason"]], limit_s=5)


def test_unknown_types_and_fields(silo):
    for kind, body in ((999, b"x" * 1000), (22, b""), (65535, b"y" * 131072), (0, b"z")):
        silo.raw(frame(kind, body))
        assert silo.expect(UNSUPPORTED)["type"] == kind
    silo.raw(frame(UNSUPPORTED, encode(UNSUPPORTED, type=5)))  # never answered
    silo.raw(frame(PING, encode(PING, nonce=3) + varint(100 << 3 | 2) + varint(5) + b"later"))
    assert silo.expect(PONG)["nonce"] == 3
    for piece in frame(PING, encode(PING, nonce=300)):  # byte by byte
        silo.raw(bytes([piece]))
    assert silo.expect(PONG)["nonce"] == 300
    silo.raw(b"".join(frame(PING, encode(PING, nonce=n)) for n in range(1, 200)))  # many in one record
    assert [silo.expect(PONG)["nonce"] for _ in range(1, 200)] == list(range(1, 200))


BEGIN_OK = {"task_id": ZERO, "round": 1, "base_digest": ZERO, "layout_digest": ZERO, "weight": 1, "payload_len": 4,
            "payload_digest": ZERO, "update_digest": ZERO}


@pytest.mark.parametrize("kind, values", [
    (HELLO, {"minor_min": 2, "minor_max": 1, "chunk_max": 65536}),
    (HELLO, {"chunk_max": 1023}),
    (HELLO, {"chunk_max": 65536, "software": "s" * 129}),
    (HELLO, {"chunk_max": 65536, "plan_digest": b"x" * 31}),
    (REPLY, {"task_id": b"x" * 31, "accepted": True}),
    (REPLY, {"task_id": ZERO, "accepted": False, "code": "E" * 33}),
    (REPLY, {"task_id": ZERO, "accepted": False, "text": "t" * 1025}),
    (REPLY, {"task_id": ZERO, "accepted": False, "text": b"\xff\xfe not utf-8"}),
    (BEGIN, {**BEGIN_OK, "weight": 2**29}),
    (BEGIN, {**BEGIN_OK, "dtype": 99}),
    (BEGIN, {**BEGIN_OK, "has_loss": True, "loss_sum": math.nan}),
    (BEGIN, {**BEGIN_OK, "epsilon": math.inf}),
    (BEGIN, {**BEGIN_OK, "update_digest": b""}),
    (UPDATE_CHUNK, {"task_id": ZERO, "offset": 0, "crc32c": 0, "data": b""}),
    (UPDATE_CHUNK, {"task_id": ZERO, "offset": 0, "crc32c": 0, "data": bytes(65537)}),
    (MANIFEST, {"ns": "user", "total": 1, "offset": 0, "keys": bytes(15)}),
    (MANIFEST, {"ns": "user", "total": 1, "offset": 1, "keys": bytes(16)}),
])
def test_fields_out_of_bounds(kind, values, silo):
    silo.send(kind, **values)
    said = silo.ended()
    assert said and said["code"] in ("E_FORMAT", "E_RANGE", "E_LIMIT", "E_NAN", "E_UNSUPPORTED"), said


# ---- sessions

def test_before_hello(fed):
    with Silo(fed, BAD) as silo:
        silo.send(PING, nonce=1)
        said = silo.ended()
        assert said["code"] == "E_STATE" and said["retry_after_ms"] == 1000 and "before Hello" in said["text"] and said["fix"]
    assert [e for e in fed.server.events("client_refused") if e["client"] == BAD and "before Hello" in e["reason"]]
    with Silo(fed, BAD) as silo:
        silo.send(MANIFEST, ns="user", total=1, offset=0, keys=bytes(16))
        assert silo.ended()["code"] == "E_STATE"
    with Silo(fed, BAD) as silo:
        silo.send(GOODBYE, code="OK", text="bye")
        assert silo.ended() is None


def test_another_version_and_another_run(fed):
    for values, code, retry in (({"minor_min": 1, "minor_max": 7}, "E_VERSION", 0), ({"run_id": "another-run"}, "E_CONFLICT", 60000)):
        with Silo(fed, BAD) as silo:
            silo.send(HELLO, **{"chunk_max": 65536, **values})
            said = silo.ended()
            assert said["code"] == code and said["retry_after_ms"] == retry and said["fix"], said
        assert [e for e in fed.server.events("client_refused") if e["client"] == BAD and e["code"] == code and e["fix"]]
    with Silo(fed, BAD) as silo:  # what is offered is chosen
        assert silo.hello(minor_max=9, features=2**63, chunk_max=2048).welcome["chunk_max"] == 2048
        assert silo.welcome["minor"] == silo.welcome["features"] == 0


def test_what_a_silo_does_not_send(fed, silo):
    silo.send(HELLO, chunk_max=65536)  # a second one is ignored
    ping(silo)
    silo.send(WELCOME, heartbeat_ms=1000, dead_after_ms=2000, chunk_max=1024, plan_digest=ZERO, federation="fed1", member=BAD,
              domain="d", run_id="r")
    said = silo.ended()
    assert said["code"] == "E_STATE" and said["retry_after_ms"] == 5000
    rounds_go_on(fed)


def test_silence(fed, silo):
    start = time.monotonic()
    silo.socket.settimeout(10)
    try:
        while True:  # reads, never answers
            if not silo.socket.recv(65536):
                break
    except ConnectionError:
        pass
    assert 1.5 < time.monotonic() - start < 5
    assert [e for e in fed.server.events("client_silent") if e["client"] == BAD]


def test_a_peer_that_sends_and_never_reads(fed):
    """Answers wait for it up to a bound, then it is closed; the coordinator's memory does not follow it."""
    def rss():
        with open(f"/proc/{fed.server.popen.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    before, flood = rss(), frame(PING, encode(PING, nonce=2**63)) * 1000
    with Silo(fed, BAD) as silo:
        silo.send(HELLO, chunk_max=65536)
        silo.socket.settimeout(1)
        try:
            for _ in range(3000):
                silo.raw(flood)
        except (OSError, ssl.SSLError):
            pass
        if os.environ.get("CROSSFED_FLAVOUR", "release") == "release":  # a sanitizer keeps what was freed
            assert rss() - before < 16 * 1024
        rounds_go_on(fed)
    assert [e for e in fed.server.events("client_not_reading") if e["client"] == BAD]


# ---- tasks

def test_the_model_is_only_what_was_offered(fed, silo):
    offer = silo.offer()
    model = silo.model(offer)
    silo.send(GET, task_id=ZERO, offset=0, length=4)
    cancel = silo.expect(CANCEL)
    assert cancel["task_id"] == ZERO and cancel["code"] == "E_STALE"
    silo.send(GET, task_id=offer["task_id"], offset=4, length=4)  # a part of it
    kind, chunk = silo.expect(12, REFUSED)
    assert kind == 12 and chunk["data"] == model[4:8] and chunk["offset"] == 4
    silo.send(REPLY, task_id=ZERO, accepted=False, code="E_POLICY")  # of no task: ignored
    silo.send(PROGRESS, task_id=ZERO, done=1, total=2)
    silo.chunk(offer, 0, b"1234")  # not announced: ignored
    ping(silo)
    for at, size in ((0, len(model) + 1), (len(model) + 1, 1), (0, 0), (2**64 - 1, 2), (0, 2**64 - 1)):
        with Silo(fed, BAD) as other:
            silo.socket.close()
            other.hello()
            task = other.offer()
            other.send(GET, task_id=task["task_id"], offset=at, length=size)
            said = other.ended()
            assert said["code"] == "E_RANGE" and said["retry_after_ms"] == 1000
    rounds_go_on(fed)


def test_a_refusal_is_an_answer(fed, silo):
    offer = silo.offer()
    silo.decline(offer)
    again = silo.offer()
    assert again["round"] == offer["round"] + 1
    assert rows(fed, "SELECT declined FROM task WHERE task_id=?", offer["task_id"]) == [("E_POLICY",)]
    (body,), = rows(fed, "SELECT body FROM event WHERE kind='task_declined' AND round=?", offer["round"])
    assert "policy.test" in body and "not today" in body
    line, = [e for e in fed.server.events("task_refused") if e["round"] == offer["round"]]
    assert line["client"] == BAD and line["key"] == "policy.test"
    ack = silo.upload(offer, bytes(offer["model_len"]))  # changed its mind, too late
    assert ack["verdict"] == LATE
    recorded(fed, "late", offer["task_id"])


REJECTIONS = {
    "nan": (lambda o: {}, lambda n: struct.pack(f"<{n}f", *([0.0] * (n - 1) + [math.nan])), "E_NAN"),
    "inf": (lambda o: {}, lambda n: struct.pack(f"<{n}f", *([-math.inf] + [0.0] * (n - 1))), "E_NAN"),
    "short": (lambda o: {}, lambda n: bytes(4 * n - 4), "E_SHAPE"),
    "long": (lambda o: {}, lambda n: bytes(4 * n + 4), "E_SHAPE"),
    "empty": (lambda o: {}, lambda n: b"", "E_SHAPE"),
    "huge": (lambda o: {"payload_len": 2**63}, lambda n: bytes(4 * n), "E_SHAPE"),
    "layout": (lambda o: {"layout_digest": ZERO}, lambda n: bytes(4 * n), "E_SHAPE"),
    "report": (lambda o: {"dtype": 4}, lambda n: bytes(4 * n), "E_SHAPE"),
    "float16": (lambda o: {"dtype": 1}, lambda n: bytes(4 * n), "E_SHAPE"),
    "weight-0": (lambda o: {"weight": 0}, lambda n: bytes(4 * n), "E_RANGE"),
    "weight-big": (lambda o: {"weight": MAX_WEIGHT + 1}, lambda n: bytes(4 * n), "E_RANGE"),
    "weight-max": (lambda o: {"weight": 2**29 - 1}, lambda n: bytes(4 * n), "E_RANGE"),
    "round": (lambda o: {"round": o["round"] + 1}, lambda n: bytes(4 * n), "E_INVAL"),
    "base": (lambda o: {"base_digest": ZERO}, lambda n: bytes(4 * n), "E_INVAL"),
    "digest": (lambda o: {"update_digest": ZERO}, lambda n: bytes(4 * n), "E_INVAL"),
}


@pytest.mark.parametrize("case", REJECTIONS)
def test_rejected(case, fed, silo):
    changes, payload, code = REJECTIONS[case]
    offer = silo.offer()
    data = payload(offer["model_len"] // 4)
    ack = silo.upload(offer, data, **changes(offer))
    assert (ack["verdict"], ack["code"], ack["task_id"]) == (REJECTED, code, offer["task_id"]) and ack["text"]
    recorded(fed, "rejected", offer["task_id"], code)
    silo.begin(offer, bytes(offer["model_len"]))  # another try: settled, or its round is over
    again = silo.expect(ACK)
    assert (again["verdict"], again["code"]) in ((REJECTED, "E_STATE"), (LATE, "E_LATE"))
    fed.until(lambda: [e for e in fed.committed() if e["round"] == offer["round"]], limit_s=5)
    used = rows(fed, "SELECT member FROM upd WHERE round=? AND part IS NOT NULL", offer["round"])
    assert sorted(used) == [("silo-a",), ("silo-b",)]
    assert not [f for f in os.listdir(fed.folder / "server/spool") if f.startswith(f"r{offer['round']:010d}-{BAD}")]


def test_damage_asks_for_the_bytes_again(fed, silo):
    offer = silo.offer()
    data = struct.pack(f"<{offer['model_len'] // 4}f", *([1e-3] * (offer["model_len"] // 4)))

    def corrupt(send, **changes):
        silo.begin(offer, data, **changes)
        assert silo.expect(READY)["offset"] == 0
        send()
        ack = silo.expect(ACK)
        assert ack["verdict"] == CORRUPT and ack["code"] == "E_CORRUPT" and ack["text"], ack
    corrupt(lambda: silo.chunk(offer, 0, data, crc=1))
    corrupt(lambda: silo.chunk(offer, 4, data[4:]))
    corrupt(lambda: silo.chunk(offer, 2**64 - 1, data))
    corrupt(lambda: silo.chunk(offer, 0, data + b"more"))
    corrupt(lambda: (silo.chunk(offer, 0, data[:4]), silo.chunk(offer, 0, data[:4])))
    corrupt(lambda: silo.chunk(offer, 0, data), payload_digest=sha256(b"other"))
    corrupt(lambda: silo.chunk(offer, 0, bytes(len(data))))  # right checksum, other bytes
    bad = data[:-4] + struct.pack("<f", math.nan)
    corrupt(lambda: silo.chunk(offer, 0, bad))  # NaN, but not the bytes announced: damage
    ack = silo.upload(offer, data)
    assert ack["verdict"] == ACCEPTED


def test_resume_and_replays(fed, silo):
    offer = silo.offer()
    data = bytes(offer["model_len"])
    u = silo.begin(offer, data)
    assert silo.expect(READY)["offset"] == 0
    silo.chunk(offer, 0, data[:3])  # not even a whole float
    ping(silo)
    silo.socket.close()
    with Silo(fed, BAD) as other:
        other.hello()
        assert other.offer()["task_id"] == offer["task_id"]
        other.begin(offer, data)
        assert other.expect(READY)["offset"] == 3
        other.chunk(offer, 3, data[3:])
        assert other.expect(ACK)["verdict"] == ACCEPTED
        other.send(BEGIN, **u)
        ack = other.expect(ACK)
        assert ack["verdict"] == DUPLICATE_OK
        other.begin(offer, data, weight=2)
        ack = other.expect(ACK)
        assert ack["verdict"] == CONFLICT and ack["code"] == "E_CONFLICT"
        recorded(fed, "conflict", offer["task_id"])
        second = other.offer()
        assert second["prev_task_id"] == offer["task_id"] and second["prev_outcome"] == 1
        assert other.upload(second, data)["verdict"] == ACCEPTED
        third = other.offer()
        other.send(BEGIN, **u)  # two accepted answers ago
        assert other.expect(ACK)["verdict"] == LATE
        # another digest drops what was held
        other.begin(third, data)
        other.expect(READY)
        other.chunk(third, 0, data[:4])
        other.begin(third, data, weight=3)
        assert other.expect(READY)["offset"] == 0
        other.chunk(third, 0, data)
        assert other.expect(ACK)["verdict"] == ACCEPTED
    (n, weight), = rows(fed, "SELECT count(*), max(weight) FROM upd WHERE task_id=?", third["task_id"])
    assert (n, weight) == (1, 3)


def test_stale_foreign_and_late(fed, silo):
    offer = silo.offer()
    data, run, plan = bytes(offer["model_len"]), silo.welcome["run_id"], silo.welcome["plan_digest"]

    def ack(**changes):
        silo.begin(offer, data, **changes)
        answer = silo.expect(ACK)
        return answer["verdict"], answer["code"]
    other = sha256(b"another model")
    stale = task_id(run, offer["round"], BAD, other, plan)
    assert ack(task_id=stale, base_digest=other) == (STALE, "E_STALE")
    recorded(fed, "stale", stale)
    assert ack(task_id=sha256(b"anything")) == (REJECTED, "E_INVAL")
    future = task_id(run, offer["round"] + 1000, BAD, other, plan)
    assert ack(task_id=future, base_digest=other, round=offer["round"] + 1000) == (REJECTED, "E_INVAL")
    theirs = task_id(run, offer["round"], "silo-a", offer["base_digest"], plan)
    assert ack(task_id=theirs) == (REJECTED, "E_INVAL")
    recorded(fed, "rejected", theirs, "E_INVAL")
    silo.send(PROGRESS, task_id=offer["task_id"], done=1, total=2)
    silo.decline(offer)
    silo.offer()
    assert ack() == (LATE, "E_LATE")
    recorded(fed, "late", offer["task_id"])
    before = rows(fed, "SELECT n FROM refusal WHERE task_id=? AND refusal='late'", offer["task_id"])[0][0]
    for _ in range(20):  # repeated: counted in one row
        assert ack() == (LATE, "E_LATE")
    fed.until(lambda: rows(fed, "SELECT n FROM refusal WHERE task_id=? AND refusal='late'", offer["task_id"]) == [(before + 20,)],
              limit_s=5)


def test_an_update_after_the_deadline_is_late(fed, silo):
    offer = silo.offer()
    cancel = silo.expect(CANCEL, limit_s=10)  # nothing was said for it
    assert cancel["task_id"] == offer["task_id"] and cancel["code"] == "E_LATE"
    ack = silo.upload(offer, bytes(offer["model_len"]))
    assert ack["verdict"] == LATE
    recorded(fed, "late", offer["task_id"])


def test_the_ledger_is_whole_after_all_this(fed, crossfed):
    rounds_go_on(fed)
    found = crossfed("verify", fed.folder / "server", "--json").json()
    assert found["ok"]
    status = crossfed("status", "--state", fed.folder / "server", "--json").json()
    assert {m["client"] for m in status["members"]} == {"silo-a", "silo-b", BAD}


# ---- evaluation

def test_reports(tmp_path, bin_dir):
    def metric(name="auc", total=1.0, count=2, arm="federated", split="test"):
        body = b"".join(varint(n << 3 | 2) + varint(len(v)) + v for n, v in ((1, arm.encode()), (2, split.encode()), (3, name.encode())))
        body += varint(4 << 3 | 1) + struct.pack("<d", total) + varint(5 << 3) + varint(count)
        return varint(1 << 3 | 2) + varint(len(body)) + body
    with tables(tmp_path, bin_dir, rounds=100000, deadline=3, select=0.2) as fed:
        fed.plan.write_text(fed.plan.read_text().replace("every: 0", "every: 1").replace("eval_deadline_s: 1", "eval_deadline_s: 3"))
        fed.start()
        with Silo(fed, BAD) as silo:
            silo.hello()
            for payload, code in ((b"\xff\xff", "E_FORMAT"), (metric(total=math.nan), "E_NAN"), (metric() * 513, "E_LIMIT"),
                                  (b"", "E_SHAPE"), (bytes(65537), "E_SHAPE"), (metric(name="n" * 64), "E_LIMIT")):
                offer = silo.offer(EVALUATE)
                ack = silo.upload(offer, payload)
                assert ack["verdict"] == REJECTED and ack["code"] == code, (payload[:20], ack)
                recorded(fed, "rejected", offer["task_id"], code)
            offer = silo.offer(EVALUATE)
            assert silo.upload(offer, metric() + metric(name="made_up"))["verdict"] == ACCEPTED
            fed.until(lambda: [e for e in fed.committed() if e["round"] == offer["round"]], limit_s=5)
            text, = rows(fed, "SELECT metrics FROM round WHERE round=?", offer["round"])[0]
            assert "made_up" not in text and "auc" in text


# ---- alignment

def test_manifests(tmp_path, bin_dir):
    """Keys that are no manifest are refused; the same member may then send a right one, and the run goes on."""
    with aligned(tmp_path, bin_dir, rounds=2) as fed:
        fed.start(only=["silo-d0", "silo-d1"])
        member, keys = "silo-d2", [bytes([k]) * 16 for k in range(1, 5)]

        def part(ns="user", total=4, offset=0, keys=keys):
            return {"ns": ns, "total": total, "offset": offset, "keys": b"".join(keys)}
        for parts in ([part(keys=keys[::-1])], [part(keys=keys[:3] + keys[2:3])], [part(offset=1, keys=keys[:3])],
                      [part(keys=keys[:2]), part(total=5, offset=2, keys=keys[2:])], [part(keys=keys[:2]), part(offset=2, keys=keys[:2])],
                      [part(keys=keys[:2]), part(offset=3, keys=keys[2:3])], [part(ns="item")], [part(total=2**40)],
                      [part(total=2**64 - 1, keys=keys[:1])]):
            with Silo(fed, member) as silo:
                assert silo.hello().expect(MANIFEST_REQUEST)["ns"] == "user"
                for p in parts:
                    silo.send(MANIFEST, **p)
                said = silo.ended()
                assert said and said["text"] and said["code"].startswith("E_"), (parts, said)
        with Silo(fed, member) as silo:
            silo.hello().expect(MANIFEST_REQUEST)
            silo.send(MANIFEST, **part(keys=keys[:1]))
            silo.send(MANIFEST, **part(keys=keys[1:], offset=1))
            directory = silo.expect(DIRECTORY)
            assert directory["total"] == 4 and len(directory["holders"]) == 16 and directory["ns"] == "user"
            assert struct.unpack("<4I", directory["holders"]) == (0, 0, 0, 0)  # nobody else has them: their rows stay
            silo.send(MANIFEST, **part(keys=keys[:2], total=2))  # another one later changes nothing
            for _ in range(2):
                offer = silo.offer()
                assert offer["model_len"] == 0 and silo.upload(offer, b"")["verdict"] == ACCEPTED
            fed.until(lambda: len([e for e in fed.committed() if e["kind"] == "train"]) >= 2, limit_s=10)


# ---- the others' model

def test_the_others_model_is_that_of_a_run_without_the_attacker(tmp_path, bin_dir):
    with tables(tmp_path / "calm", bin_dir, hostile=(), rounds=8, deadline=30) as calm:
        calm.start()
        calm.until(lambda: (calm.folder / "server/summary.json").exists(), limit_s=20)
        want = calm.summary()["model_blake2b"]
    with tables(tmp_path / "war", bin_dir, rounds=8, deadline=30) as fed:
        fed.start()
        with Silo(fed, BAD) as silo:
            silo.hello()
            for case in ("nan", "short", "weight-0", "digest", "inf", "layout", "base"):
                offer = silo.offer()
                changes, payload, _ = REJECTIONS[case]
                assert silo.upload(offer, payload(offer["model_len"] // 4), **changes(offer))["verdict"] == REJECTED
            offer = silo.offer()
            silo.begin(offer, b"\xff" * offer["model_len"])
            silo.expect(READY)
            silo.chunk(offer, 0, bytes(offer["model_len"]), crc=5)
            assert silo.expect(ACK)["verdict"] == CORRUPT
            silo.decline(offer)
            fed.until(lambda: (fed.folder / "server/summary.json").exists(), limit_s=20)
        assert fed.summary()["model_blake2b"] == want and fed.summary()["rounds"] == 8
        used = rows(fed, "SELECT DISTINCT member FROM upd WHERE part IS NOT NULL")
        assert sorted(used) == [("silo-a",), ("silo-b",)]
        fed.stop()
        fed.crossfed("verify", *(fed.folder / m for m in ("server", "silo-a", "silo-b")))


# ---- slow and many

def test_one_byte_a_second(tmp_path, bin_dir):
    limits = {"stall_s": "1s", "heartbeat_s": "1s", "dead_after_s": "10s"}
    with tables(tmp_path, bin_dir, rounds=100000, deadline=1, select=0.2, server={"limits": limits}) as fed:
        fed.start()
        with Silo(fed, BAD) as silo:
            silo.hello()
            offer = silo.offer()
            silo.begin(offer, bytes(offer["model_len"]))
            silo.expect(READY)
            start = time.monotonic()
            before = len(fed.committed())
            with pytest.raises((Closed, OSError, ssl.SSLError)):
                for byte in frame(UPDATE_CHUNK, encode(UPDATE_CHUNK, task_id=offer["task_id"], offset=0, crc32c=0, data=bytes(999))):
                    silo.raw(bytes([byte]))
                    time.sleep(0.5)
            assert time.monotonic() - start < 6
        line, = fed.until(lambda: [e for e in fed.server.events("connection_lost") if e["client"] == BAD], limit_s=5)
        assert "while a message was incomplete" in line["reason"]
        fed.until(lambda: len(fed.committed()) >= before + 2, limit_s=10)
        with Silo(fed, BAD) as silo:  # it may come back
            silo.hello()


def test_half_open_connections(tmp_path, bin_dir):
    """200 that never finish their handshake, some that never begin it: closed in time; a silo can connect meanwhile."""
    limits = {"handshake_s": "2s", "heartbeat_s": "1s", "dead_after_s": "3s"}
    with tables(tmp_path, bin_dir, rounds=100000, deadline=1, select=0.2, server={"limits": limits}) as fed:
        fed.start()
        rounds_go_on(fed)
        hello = client_hello()
        plain = [socket.create_connection(("127.0.0.1", port(fed)), timeout=10) for _ in range(200)]
        try:
            for k, s in enumerate(plain):
                if k % 2:
                    s.sendall(hello if k % 4 == 1 else hello[:40])
            with Silo(fed, BAD) as silo:
                offer = silo.hello().offer()
                assert silo.upload(offer, bytes(offer["model_len"]))["verdict"] == ACCEPTED
            rounds_go_on(fed)
            start = time.monotonic()
            for s in plain:
                s.settimeout(10)
                try:
                    while s.recv(65536):
                        pass
                except ConnectionError:
                    pass
            assert time.monotonic() - start < 6
        finally:
            for s in plain:
                s.close()
        lost = fed.until(lambda: [e for e in fed.server.events("connection_lost") if "TLS handshake" in e["reason"]][199:], limit_s=5)
        assert lost
        with socket.create_connection(("127.0.0.1", port(fed)), timeout=10) as s:  # a handshake of 17 KB
            s.sendall(b"\x16\x03\x01\x40\x00" + bytes(17000))
            try:
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
        rounds_go_on(fed)


def client_hello():
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    tls = ctx.wrap_bio(inward, outward)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outward.read()


def test_too_many_connections(tmp_path, bin_dir):
    with tables(tmp_path, bin_dir, rounds=100000, deadline=1, select=0.2,
                server={"listen": {"address": "127.0.0.1:0", "max_connections": 8}}) as fed:
        fed.start()
        rounds_go_on(fed)
        held = [socket.create_connection(("127.0.0.1", port(fed)), timeout=10) for _ in range(20)]
        try:
            fed.until(lambda: fed.server.events("connections_full"), limit_s=5)
            rounds_go_on(fed)
        finally:
            for s in held:
                s.close()

        def again():
            try:
                with Silo(fed, BAD) as silo:
                    return silo.hello()
            except (Closed, OSError):
                return None
        fed.until(again, limit_s=10, message="a connection when there is room again")


@pytest.mark.alone
def test_progress_for_ever(tmp_path, bin_dir):
    """Progress extends a deadline, ten times at most."""
    with tables(tmp_path, bin_dir, rounds=100000, deadline=0.4, select=0.2) as fed:
        fed.start()
        with Silo(fed, BAD) as silo:
            offer = silo.hello().offer()
            silo.model(offer)
            start, stop = time.monotonic(), threading.Event()

            def lie():
                while not stop.wait(0.1):
                    silo.send(PROGRESS, task_id=offer["task_id"], done=1, total=2**63)
            liar = threading.Thread(target=lie, daemon=True)
            liar.start()
            try:
                cancel = silo.expect(CANCEL, limit_s=10)
                took = time.monotonic() - start
            finally:
                stop.set()
                liar.join(5)
            assert cancel["task_id"] == offer["task_id"] and cancel["code"] == "E_LATE"
            assert 3 < took < 5.5, took
        fed.until(lambda: [e for e in fed.committed() if e["round"] == offer["round"]], limit_s=5)
        assert [e for e in fed.server.events("waiting") if "deadline extended" in e["reason"]]
        line, = [e for e in fed.committed() if e["round"] == offer["round"]]
        assert line["clients"] == 2
