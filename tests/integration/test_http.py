"""A silo's HTTP API: answers as described, through rounds, restarts, rubbish and the end."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import threading
import time
from urllib.parse import quote, urlencode

import pytest

from conftest import REPO, run_command
from openapi import Description, Mismatch
from test_federation import make

SILO = "silo-d1"
TOKEN = "0123456789abcdef0123456789abcdef"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """The API of one silo of a federation; every answer is checked against docs/openapi.yaml."""

    def __init__(self, fed, described, member=SILO):
        self.fed, self.described, self.client = fed, described, fed.clients[member]
        self.token, self.n_listening = None, 0

    def listening(self):
        """Waits for the start that is under way; its port or socket."""
        def last():
            events = self.client.events("http_listening")
            return events[self.n_listening:] and events[-1]
        event = self.fed.until(last, message="http_listening")
        self.n_listening = len(self.client.events("http_listening"))
        self.port, self.socket = event["port"], event["socket"]
        return self

    def connect(self, unix=False):
        return UnixConnection(self.socket) if unix else http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, path, params=(), unix=False, status=200, connection=None, method="GET", headers=None):
        """One request; the decoded body of an answer with that status, as described."""
        link = connection or self.connect(unix)
        target = path + ("?" + urlencode(params, doseq=True) if params else "")
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        link.request(method, target, headers={**own, **(headers or {})})
        answer = link.getresponse()
        body = answer.read()
        assert answer.status == status, f"{target}: {answer.status}, not {status}: {body[:300]!r}"
        if not connection:
            link.close()
        if method == "HEAD":
            return body
        return self.described.answer(path, answer.status, answer.getheader("Content-Type"), body)

    def wait_for(self, arm, more=lambda event: True):
        return self.fed.until(lambda: [e for e in self.client.events("serving") if e["arm"] == arm and more(e)],
                              message=f"serving {arm}")


@pytest.fixture
def short_dir():
    """A folder whose name leaves room for a socket's."""
    folder = tempfile.mkdtemp(prefix="xf-http-")
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def described():
    return Description((REPO / "docs/openapi.yaml").read_text())


def serving(tmp_path, bin_dir, short_dir, rounds=4, http_keys=None, serve_keys=None, plan_text=None, **kwargs):
    """A federation whose silos listen on a port and a socket, and stay when the run is done."""
    client = {"exit_when_done": False,
              "serve": {"http": {"listen": "127.0.0.1:0", **(http_keys or {})}, **(serve_keys or {})}}
    fed = make(tmp_path, bin_dir, rounds=rounds, client=client, **kwargs)
    if plan_text:
        fed.plan.write_text(plan_text.format(data=tmp_path / "events.tsv"))
    for member, process in fed.clients.items():
        process.argv += ["--set", f"serve.http.socket={short_dir}/{member}.sock"]
    return fed


def data_of(fed, user, domain="d1"):
    """All items of a user in the silo's file."""
    lines = [line.split("\t") for line in pathlib.Path(fed.members[f"silo-{domain}"][1]["path"]).read_text().splitlines()]
    return {item for u, item, d, *_ in lines if u == user and d == domain}


@pytest.mark.sanitize
@pytest.mark.threads
def test_every_answer_is_as_described(tmp_path, bin_dir, short_dir, described):
    with serving(tmp_path, bin_dir, short_dir) as fed:
        api = Api(fed, described)
        api.client.start()
        api.listening()
        # alone: it lives, knows no plan yet, and says so
        assert api.ask("/healthz") == {"live": True, "ready": False}
        health = api.ask("/v1/health", status=503)
        assert health["state"] == "starting" and "plan" in health["reason"] and health["model"] is None
        assert api.ask("/v1/recommend", {"user": "u1"}, status=503)["error"]["code"] == "not_ready"
        assert api.ask("/v1/similar", {"item": "d1i1"}, status=503)["error"]["code"] == "not_ready"
        fed.server.start()
        for member, client in fed.clients.items():
            if member != SILO:
                client.start()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for(api.client.events("final_stored")[0]["served"])
        for unix in (False, True):
            health = api.ask("/v1/health", unix=unix)
            assert health["ready"] and health["client"] == SILO and health["age_s"] >= 0
            assert health["users"] == 60 and health["items"] == 40 and health["model"]["round"] == 4
            assert api.ask("/healthz", unix=unix)["ready"]
            for params in ({"user": "u1"}, {"user": "u1", "k": 3, "explain": 1}, {"user": "?", "k": 1000},
                           {"history": ["d1i1", "d1i2", "no such"], "explain": "true"}, {"user": "u1", "diversity": "mmr:0.5"}):
                api.ask("/v1/recommend", params, unix=unix)
            assert api.ask("/openapi.yaml", unix=unix) == described.text
            api.ask("/v1/recommend", {"user": "u1", "k": 0}, unix=unix, status=400)
            api.ask("/v1/recommend", {"user": "u1", "diversity": "calibrated"}, unix=unix, status=422)
            assert len(api.ask("/v1/similar", {"item": "d1i1", "k": 5}, unix=unix)["items"]) == 5
            api.ask("/v1/similar", {"item": "none"}, unix=unix, status=404)
        api.ask("/v1/health", unix=True, headers={"Host": "some.name"})
        api.ask("/v1/health", status=421, headers={"Host": "some.name"})
        answered = {path for path, status in described.seen if status == 200}
        assert answered == set(described.doc["paths"])


def test_the_check_itself_bites(described):
    good = {"live": True, "ready": False}
    described.answer("/healthz", 200, "application/json", json.dumps(good).encode())
    for bad in ({"live": True}, {**good, "more": 1}, {"live": 1, "ready": False}, []):
        with pytest.raises(Mismatch):
            described.answer("/healthz", 200, "application/json", json.dumps(bad).encode())
    with pytest.raises(Mismatch):
        described.answer("/healthz", 204, "application/json", b"{}")
    with pytest.raises(Mismatch):
        described.answer("/healthz", 200, "text/html", json.dumps(good).encode())


def test_what_is_recommended(tmp_path, bin_dir, short_dir, described):
    categories = tmp_path / "categories.tsv"
    categories.write_text("".join(f"d1i{i}\tc{i // 20}\n" for i in range(40)))
    with serving(tmp_path, bin_dir, short_dir, serve_keys={"categories": str(categories)}) as fed:
        fed.start()
        api = Api(fed, described).listening()
        final = fed.until(lambda: api.client.events("final_stored"))[0]
        api.wait_for(final["served"])
        known = api.ask("/v1/recommend", {"user": "u3", "k": 10, "explain": 1})
        assert known["known"] and known["model"]["arm"] == final["served"]
        told = json.loads(fed.crossfed("recommend", "--state", fed.folder / SILO, "--user", "u3", "-k", "10", "--json").stdout)
        assert [i["item"] for i in known["items"]] == [i["item"] for i in told["items"]]
        train = {i["item"] for i in known["items"]}
        seen = api.ask("/v1/recommend", {"user": "u3", "k": 1000, "seen": 1})
        unseen = api.ask("/v1/recommend", {"user": "u3", "k": 1000})
        hidden = {i["item"] for i in seen["items"]} - {i["item"] for i in unseen["items"]}
        assert hidden and hidden <= data_of(fed, "u3") and not hidden & train
        for item in known["items"]:
            assert abs(sum(p["share"] for p in item["parts"]) - item["score"]) < 1e-4 * max(1, abs(item["score"]))
            assert {s["item"] for s in item["similar"]} <= hidden
        stranger = api.ask("/v1/recommend", {"user": "nobody \u00fc", "k": 3, "explain": 1})
        assert not stranger["known"] and stranger["basis"] == "popularity" and stranger["user"] == "nobody \u00fc"
        assert stranger["items"][0]["parts"][0]["part"] == "popularity"
        diverse = api.ask("/v1/recommend", {"user": "u3", "k": 6, "diversity": "mmr:0"})
        assert len({int(i["item"][3:]) // 20 for i in diverse["items"]}) == 2 and diverse["diversity"] == "mmr:0"
        api.ask("/v1/recommend", {"user": "u3", "diversity": "calibrated"})
        if known["model"]["kind"] != "popularity":
            cold = api.ask("/v1/recommend", {"history": ["d1i1", "d1i3", "no such"], "k": 5, "explain": 1})
            assert cold["basis"] == "history" and cold["ignored"] == 1 and cold["user"] is None
            assert not {"d1i1", "d1i3"} & {i["item"] for i in cold["items"]}
            assert cold["items"][0]["parts"][0]["from"]
            alike = api.ask("/v1/similar", {"item": "d1i1", "k": 5})
            assert len(alike["items"]) == 5 and "d1i1" not in {i["item"] for i in alike["items"]}
            assert alike["items"][0]["score"] >= alike["items"][-1]["score"]


def raw(port, *pieces, half=False, wait=5):
    """Sends bytes; everything that comes back until the end, or b"" when the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as s:
        got = b""
        try:
            for piece in pieces:
                s.sendall(piece)
            if half:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                got += chunk
        except OSError:  # it hung up before everything was said
            pass
        return got


@pytest.mark.sanitize
@pytest.mark.threads
def test_rubbish_is_refused_and_harms_nobody(tmp_path, bin_dir, short_dir, described):
    with serving(tmp_path, bin_dir, short_dir, http_keys={"timeout_s": 2, "per_address": 20}) as fed:
        fed.start()
        api = Api(fed, described).listening()
        fed.until(lambda: api.client.events("final_stored"))
        fed.until(lambda: api.client.events("serving"))
        codes = {}
        for target, status in (("/v1/recommend", 400), ("/v1/recommend?user=", 400), ("/v1/recommend?user=u1&k=0", 400),
                               ("/v1/recommend?user=u1&k=1000000000", 400), ("/v1/recommend?user=u1&k=ten", 400),
                               ("/v1/recommend?user=u1&k=-1", 400), ("/v1/recommend?user=u1&user=u2", 400),
                               ("/v1/recommend?user=u1&diversity=odd", 400), ("/v1/recommend?user=u1&explain=2", 400),
                               ("/v1/recommend?user=u1&k=101&explain=1", 400), ("/v1/recommend?usr=u1", 400),
                               ("/v1/recommend?user=%", 400), ("/v1/recommend?user=%4", 400), ("/v1/recommend?user=%zz", 400),
                               ("/v1/recommend?user=%00", 400), ("/v1/recommend?user=%ff%fe", 400),
                               ("/v1/recommend?" + "history=a&" * 201, 400), ("/v1/recommend?" + "a=b&" * 300, 400),
                               ("/v1/similar", 400), ("/v1/similar?item=a&k=0", 400)):
            link = api.connect()
            link.putrequest("GET", target, skip_host=False)
            link.endheaders()
            answer = link.getresponse()
            body = answer.read()
            assert answer.status == status, (target[:80], answer.status, body[:200])
            error = described.answer(target.split("?")[0], status, answer.getheader("Content-Type"), body)["error"]
            codes.setdefault(error["code"], set()).add(error["message"])
            link.close()
        assert set(codes) == {"bad_parameter", "bad_address"}
        assert any("did you mean \"user\"" in m for m in codes["bad_parameter"])
        for path, method, status in (("/nothing", "GET", 404), ("/", "GET", 404), ("/v1/recommend/", "GET", 404),
                                     ("/v1/recommend", "POST", 405), ("/v1/health", "DELETE", 405), ("/healthz", "PUT", 405)):
            link = api.connect()
            link.request(method, path)
            answer = link.getresponse()
            described.value({"$ref": "#/components/schemas/Error"}, json.loads(answer.read()), path)
            assert answer.status == status and (status != 405 or answer.getheader("Allow") == "GET, HEAD")
            link.close()
        ok = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert raw(api.port, ok).startswith(b"HTTP/1.1 200 ")
        for pieces in ((os.urandom(4096),), (b"\x16\x03\x01\x02\x00\x01\x00" * 20,), (b"\0" * 100,), (b"GET\r\n\r\n",),
                       (b"GET / HTTP/7.7\r\n\r\n",), (b"GET /healthz HTTP/1.1\r\n\r\n",),
                       (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200000 + b"\r\n\r\n",),
                       (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",),
                       (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n",)):
            assert b" 200 " not in raw(api.port, *pieces, half=True)[:20]
        # a body is never read as the next request
        inner = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for method in (b"GET", b"POST", b"DELETE"):
            got = raw(api.port, method + b" /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner)
            assert got.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in got
        # clients that hold connections and say nothing whole: others are answered, these are sent away
        slow = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(10)]
        begin = time.monotonic()
        left = list(slow)
        while left and time.monotonic() - begin < 15:
            for s in list(left):
                try:
                    s.sendall(b"G" if time.monotonic() - begin < 0.5 else b"a")
                except OSError:
                    left.remove(s)
            assert api.ask("/healthz")["live"]
            time.sleep(0.2)
        assert not left, "a client that dribbles holds its connection"
        for s in slow:
            s.close()
        # more connections than one address may have
        many = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(60)]
        for s in many:
            s.close()
        fed.until(lambda: raw(api.port, ok).startswith(b"HTTP/1.1 200 "), limit_s=10)
        assert api.client.running()


def test_the_token(tmp_path, bin_dir, short_dir, described):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    with serving(tmp_path, bin_dir, short_dir, http_keys={"token_file": str(token)}) as fed:
        fed.clients[SILO].start()
        api = Api(fed, described).listening()
        for unix in (False, True):
            api.token = None
            assert api.ask("/healthz", unix=unix)["live"]
            for path in ("/v1/health", "/v1/recommend", "/openapi.yaml"):
                for headers in ({}, {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": f"Basic {TOKEN}"}):
                    assert api.ask(path, unix=unix, status=401, headers=headers)["error"]["code"] == "unauthorized"
            api.token = TOKEN
            api.ask("/openapi.yaml", unix=unix)
            api.ask("/v1/health", unix=unix, status=503, headers={"Host": "silo.example"})
        token.write_text("x" * 40 + "\n")
        api.client.signal(signal.SIGHUP)
        fed.until(lambda: api.client.events("http_token_reloaded"))
        api.ask("/v1/health", status=401)
        api.token = "x" * 40
        api.ask("/openapi.yaml")
        run = [fed.bin / "crossfed-client", "-c", fed.folder / f"{SILO}.yaml", "--check-config"]
        assert "ok" in run_command(run).out
        assert "ok" in run_command(run + ["--set", "serve.http.listen=0.0.0.0:0"]).out
        for key, status, needle in (("serve.http.listen=localhost:80", 78, "no address"),
                                    ("serve.http.token_file=/nowhere", 1, "/nowhere"),
                                    ("serve.categories=/nowhere", 78, "serve.categories")):
            assert needle in run_command(run + ["--set", key], status=status).err
        beyond = run_command(run + ["--set", "serve.http.token_file=", "--set", "serve.http.listen=0.0.0.0:0"], status=5)
        assert "token_file" in beyond.err
        token.chmod(0o644)
        assert "chmod 0600" in run_command(run, status=5).err


class Load(threading.Thread):
    """Asks without pause until told to stop; counts answers, keeps versions and whatever went wrong."""

    def __init__(self, api, number, stop):
        super().__init__()
        self.api, self.number, self.stop = api, number, stop
        self.answers, self.versions, self.wrong = 0, [], None

    def run(self):
        link = self.api.connect(unix=self.number % 2 == 1)
        requests = ({"user": f"u{self.number}", "k": 5}, {"user": "nobody"}, {"user": "u9", "k": 3, "explain": 1},
                    {"history": ["d1i1", "d1i2"], "k": 4})
        try:
            while not self.stop.is_set():
                answer = self.api.ask("/v1/recommend", requests[self.answers % len(requests)], connection=link)
                version = answer["model"]["version"]
                if not self.versions or version != self.versions[-1]:
                    self.versions.append(version)
                self.answers += 1
        except Exception as problem:  # whatever it is, it counts as a failed request
            self.wrong = problem
        link.close()


@pytest.mark.sanitize
@pytest.mark.threads
def test_rounds_commit_under_load(tmp_path, bin_dir, short_dir, described):
    with serving(tmp_path, bin_dir, short_dir, rounds=12) as fed:
        fed.start()
        api = Api(fed, described).listening()
        fed.until(lambda: api.client.events("serving"))
        stop = threading.Event()
        threads = [Load(api, number, stop) for number in range(4)]
        for thread in threads:
            thread.start()
        final = fed.until(lambda: api.client.events("final_stored"))[0]
        api.wait_for(final["served"])
        last = api.ask("/v1/health")["model"]["version"]
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        assert not [thread.wrong for thread in threads if thread.wrong]
        assert last >= 13  # the data, twelve rounds, the choice
        for thread in threads:
            assert thread.answers > 20 and thread.versions == sorted(thread.versions)
        assert len({v for thread in threads for v in thread.versions}) > 3
        assert max(v for thread in threads for v in thread.versions) == last


def test_the_end_lets_answers_out(tmp_path, bin_dir, short_dir, described):
    with serving(tmp_path, bin_dir, short_dir) as fed:
        fed.start()
        api = Api(fed, described).listening()
        fed.until(lambda: api.client.events("final_stored"))
        stop = threading.Event()
        threads = [Load(api, number, stop) for number in range(4)]
        for thread in threads:
            thread.start()
        fed.until(lambda: all(thread.answers > 5 for thread in threads))
        api.client.signal(signal.SIGTERM)
        assert api.client.wait(20) == 0
        stop.set()
        for thread in threads:
            thread.join()
        # what fails is a connection that had closed between two requests, never an answer cut short
        cut = [t.wrong for t in threads if isinstance(t.wrong, (http.client.IncompleteRead, AssertionError, ValueError))]
        assert not cut
        assert not pathlib.Path(api.socket).exists()
        assert not api.client.events("loop_not_empty")


@pytest.mark.parametrize("final", [True, False])
def test_a_restart_serves_without_the_coordinator(tmp_path, bin_dir, short_dir, described, final):
    with serving(tmp_path, bin_dir, short_dir, rounds=3 if final else 400) as fed:
        fed.start()
        api = Api(fed, described).listening()
        if final:
            fed.until(lambda: api.client.events("final_stored"))
            api.wait_for(api.client.events("final_stored")[0]["served"])
        else:
            api.wait_for("personal", lambda e: e["round"] >= 2)
        for process in fed.processes():
            process.kill()
        n = len(api.client.events("serving"))
        api.client.start()
        api.listening()
        fed.until(lambda: len(api.client.events("serving")) > n)
        health = api.ask("/v1/health")
        assert health["ready"] and health["model"]["version"] == 1
        if final:
            told = json.loads(fed.crossfed("recommend", "--state", fed.folder / SILO, "--user", "u3", "--json").stdout)
            assert [i["item"] for i in api.ask("/v1/recommend", {"user": "u3"})["items"]] == [i["item"] for i in told["items"]]
        else:
            before = [e for e in api.client.events("serving")[:n] if e["arm"] == "personal"][-1]
            assert health["model"]["arm"] == "personal" and health["model"]["round"] >= before["round"] >= 2


RECOMMENDER = """\
name: three
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: recommender, user_ns: user}}
stages:
  - name: weak
    kind: rows
    fed: {{rounds: 2, min_domains: 2, quorum: 1.0, cohort: 1.0, deadline_s: 600}}
    rows: {{dim: 8, alpha: 0.01, rho: 0.3, kappa: 0.25, min_holders: 2}}
eval: {{every: 0, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def test_a_recommender_explains_by_candidate(tmp_path, bin_dir, short_dir, described):
    with serving(tmp_path, bin_dir, short_dir, plan_text=RECOMMENDER) as fed:
        fed.start()
        api = Api(fed, described).listening()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for("guarded")
        model = api.ask("/v1/health")["model"]
        assert model["kind"] == "blend" and model["arm"] == "guarded" and model["digest"]
        answer = api.ask("/v1/recommend", {"user": "u3", "k": 10, "explain": 1})
        assert answer["basis"] == "user" and len(answer["items"]) == 10
        for item in answer["items"]:
            assert abs(sum(p["share"] for p in item["parts"]) - item["score"]) < 1e-4 * max(1, abs(item["score"]))
            assert item["parts"] == sorted(item["parts"], key=lambda p: -p["share"])
        assert {p["part"] for i in answer["items"] for p in i["parts"]} - {"popularity"}
        cold = api.ask("/v1/recommend", {"history": ["d1i1", "d1i3"], "k": 5, "explain": 1})
        assert cold["basis"] in ("history", "popularity") and len(cold["items"]) == 5
        api.ask("/v1/recommend", {"user": "u3", "diversity": "dpp"})
        assert len(api.ask("/v1/similar", {"item": "d1i1", "k": 5})["items"]) == 5
        for process in fed.processes():
            process.kill()
        n = len(api.client.events("serving"))
        api.client.start()
        api.listening()
        fed.until(lambda: len(api.client.events("serving")) > n)
        again = api.ask("/v1/recommend", {"user": "u3", "k": 10})
        assert [i["item"] for i in again["items"]] == [i["item"] for i in answer["items"]]


def test_logs_name_nobody(tmp_path, bin_dir, short_dir, described):
    canary = "canary-4711"
    with serving(tmp_path, bin_dir, short_dir, http_keys={"log": True}, canary=canary) as fed:
        fed.start()
        api = Api(fed, described).listening()
        fed.until(lambda: api.client.events("final_stored"))
        assert api.ask("/v1/recommend", {"user": canary})["known"]
        api.ask("/v1/recommend", {"history": ["d1i17"], "user": canary})
        api.ask("/v1/recommend", {"user": canary, "k": 0}, status=400)
        link = api.connect()
        link.request("GET", "/" + quote(canary))
        assert link.getresponse().status == 404
        lines = fed.until(lambda: len(api.client.events("http_request")) >= 4 and api.client.events("http_request"))
        assert {line["status"] for line in lines} == {200, 400, 404}
        assert {line["route"] for line in lines} == {"/v1/recommend", ""}
        assert canary not in api.client.text() and "d1i17" not in api.client.text()

