"""A federation of real processes on loopback: one coordinator, silo daemons, a private CA, files below one folder.

Ports are chosen by the system, every process is ended by its own id, logs are kept in files.
"""

import hashlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import time

LIMIT_S = float(os.environ.get("CROSSFED_TEST_LIMIT_S", "120"))
STEP_S = 0.02
SLOWER = {"asan": 2, "tsan": 4}.get(os.environ.get("CROSSFED_FLAVOUR"), 1)  # a sanitizer's programs get so much more time


def stream_key(seed, purpose, round_number=0, member=""):
    """The key of a seeded stream (common/crypto/stream.h), so that daemons can align as the simulator does."""
    def field(text):
        return struct.pack("<Q", len(text)) + text.encode()
    h = hashlib.blake2b(digest_size=32)
    h.update(b"crossfed stream 1" + struct.pack("<Q", seed) + field(purpose) + struct.pack("<Q", round_number) + field(member))
    return h.digest()


class Process:
    """One daemon with its log file; started again with the same arguments after a crash."""

    def __init__(self, name, argv, log, env=None):
        self.name, self.argv, self.log, self.env, self.popen = name, [str(a) for a in argv], log, env or {}, None
        self.starts = 0

    def start(self, **env):
        assert self.popen is None or self.popen.poll() is not None, f"{self.name} runs already"
        full = {k: v for k, v in os.environ.items() if not k.startswith("CROSSFED_")}
        full.update({"LC_ALL": "C.UTF-8"}, **self.env, **env)
        self.starts += 1
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=full)
        return self

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def wait(self, limit_s=LIMIT_S):
        try:
            return self.popen.wait(SLOWER * limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {SLOWER * limit_s} s\n{self.tail()}") from None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        if self.popen is not None:
            self.popen.wait(10)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=8):
        return "\n".join(line[:400] for line in self.text().splitlines()[-lines:])

    def events(self, name=None):
        """Log lines (JSON), or those of one event."""
        found = []
        for line in self.text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [e for e in found if name is None or e.get("event") == name]


class Federation:
    """folder/{ca,server,silo-x}; members: {id: (domain, data section as dict)}."""

    def __init__(self, folder, bin_dir, plan_text, members, seed=3, server=None, client=None, policy=None):
        self.folder, self.bin = pathlib.Path(folder), pathlib.Path(bin_dir)
        self.members, self.name = members, "fed1"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.plan = self.folder / "plan.yaml"
        self.plan.write_text(plan_text)
        self.port_file = self.folder / "port"
        self.crossfed("pki", "ca", "--dir", "ca", "--federation", self.name)
        self.issue("coordinator", "coordinator")
        for member in members:
            self.issue("client", member)
        self.align = self.folder / "align.key"
        self.align.write_text(stream_key(seed, "partition", 0, "alignment").hex() + "\n")
        self.align.chmod(0o600)
        self.server = self._server(server or {})
        self.clients = {m: self._client(m, client or {}, (policy or {}).get(m, {})) for m in members}

    # ---- set-up

    def crossfed(self, *args, status=0):
        done = subprocess.run([str(self.bin / "crossfed"), *map(str, args)], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SLOWER * LIMIT_S, check=False)
        assert status is None or done.returncode == status, f"crossfed {args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def issue(self, role, member, *more):
        self.crossfed("pki", "issue", "--dir", "ca", "--role", role, "--member", member,
                      "--cert", f"{member}.pem", "--key", f"{member}.key", *more)

    def tls(self, name, crl=False):
        section = {"cert": f"{self.folder}/{name}.pem", "key": f"{self.folder}/{name}.key", "ca": f"{self.folder}/ca/ca.pem"}
        if crl:
            section["crl"] = f"{self.folder}/ca/crl.pem"
        return section

    def _server(self, extra):
        config = {"federation": self.name, "plan": str(self.plan), "state_dir": str(self.folder / "server"),
                  "listen": {"address": "127.0.0.1:0"}, "port_file": str(self.port_file), "tls": self.tls("coordinator"),
                  "members": [{"id": m, "domain": d} for m, (d, _) in self.members.items()],
                  "log": {"format": "json"}, "limits": {"heartbeat_s": "1s", "dead_after_s": "3s"},
                  "exit_when_done": True, **extra}
        return self._process("crossfed-server", "server", config)

    def _client(self, member, extra, policy):
        _, data = self.members[member]
        config = {"federation": self.name, "member": member, "coordinator": "127.0.0.1",
                  "coordinator_port_file": str(self.port_file), "state_dir": str(self.folder / member),
                  "tls": self.tls(member), "data": {"align_key": str(self.align), **data},
                  "policy": {"allow_aligned": True, **policy}, "backoff": {"min_s": "50ms", "max_s": "500ms"},
                  "log": {"format": "json"}, "exit_when_done": True, **extra}
        return self._process("crossfed-client", member, config)

    def _process(self, program, name, config):
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(config, indent=1))  # JSON is YAML
        return Process(name, [self.bin / program, "-c", path], self.folder / f"{name}.log")

    # ---- running

    def start(self, only=None):
        self.server.start()
        for member, client in self.clients.items():
            if only is None or member in only:
                client.start()
        return self

    def processes(self):
        return [self.server, *self.clients.values()]

    def stop(self):
        for process in self.processes():
            process.kill()

    def until(self, what, limit_s=LIMIT_S, message=""):
        """Waits until what() is true; fails with the logs otherwise."""
        end = time.monotonic() + SLOWER * limit_s
        while time.monotonic() < end:
            value = what()
            if value:
                return value
            time.sleep(STEP_S)
        raise AssertionError(f"not within {SLOWER * limit_s} s: {message or what}\n{self.logs()}")

    def logs(self):
        return "\n".join(f"--- {p.name}\n{p.tail()}" for p in self.processes())

    def killed(self, victim, point, limit_s=LIMIT_S):
        """Waits until a failpoint has killed the victim; at once an error when the coordinator it works for has failed."""
        def ended():
            assert victim is self.server or self.server.running() or self.server.popen.returncode == 0, f"no coordinator\n{self.logs()}"
            return not victim.running()
        self.until(ended, limit_s, f"{victim.name} was not killed at {point}")
        status = victim.wait()
        assert status == -signal.SIGKILL, f"{point} was never passed (status {status})\n{self.logs()}"

    def finish(self, limit_s=LIMIT_S):
        """All processes end by themselves, each with status 0."""
        for process in self.processes():
            status = process.wait(limit_s)
            assert status == 0, f"{process.name} ended with {status}\n{self.logs()}"
        return self.summary()

    def summary(self):
        return json.loads((self.folder / "server" / "summary.json").read_text())

    def committed(self):
        return [e for e in self.server.events("round_committed")]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
