"""A hostile silo: frames and messages of docs/PROTOCOL.md written by hand, over the ssl module.

It shares no code with the daemons. What it sends is exactly what the test says, wrong or right.
"""

import hashlib
import socket
import ssl
import struct
import time

from federation import Federation

# name -> (type, {field: number}); numbers of proto/xf.proto
HELLO, WELCOME, REFUSED, PLAN, MANIFEST_REQUEST, MANIFEST, DIRECTORY, OFFER, REPLY, CANCEL, GET, CHUNK, PROGRESS, BEGIN, READY, \
    UPDATE_CHUNK, ACK, PING, PONG, GOODBYE, UNSUPPORTED = range(1, 22)
FIELDS = {
    HELLO: "minor_min minor_max features software run_id chunk_max plan_digest",
    WELCOME: "minor features epoch run_id federation member domain plan_digest heartbeat_ms dead_after_ms chunk_max committed n_members",
    REFUSED: "code text fix retry_after_ms",
    PLAN: "canonical",
    MANIFEST_REQUEST: "ns",
    MANIFEST: "ns total offset keys",
    DIRECTORY: "ns digest n_all total offset holders",
    OFFER: "task_id round stage kind plan_digest base_digest layout_digest seed deadline_ms cohort model_len committed prev_task_id "
           "prev_outcome counted",
    REPLY: "task_id accepted code key text",
    CANCEL: "task_id code text",
    GET: "task_id offset length",
    CHUNK: "task_id offset dtype crc32c data",
    PROGRESS: "task_id done total",
    BEGIN: "task_id round base_digest layout_digest weight n_samples dtype payload_len payload_digest update_digest has_loss loss_sum "
           "loss_count clip noise_multiplier epsilon epsilon_zero_out",
    READY: "task_id offset",
    UPDATE_CHUNK: "task_id offset crc32c data",
    ACK: "task_id verdict code text",
    PING: "nonce",
    PONG: "nonce",
    GOODBYE: "code text retry_after_ms",
    UNSUPPORTED: "type",
}
FIELDS = {t: names.split() for t, names in FIELDS.items()}
TEXT = set("software run_id federation member domain code text fix key ns".split())
TRAIN, EVALUATE, FINAL = 0, 1, 2
ACCEPTED, DUPLICATE_OK, LATE, STALE, CONFLICT, REJECTED, CORRUPT = range(1, 8)


# ---- protobuf and frames

def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def encode(kind, **values):
    out = b""
    for name, value in values.items():
        number = FIELDS[kind].index(name) + 1
        if isinstance(value, str):
            value = value.encode()
        if name == "crc32c":
            out += varint(number << 3 | 5) + struct.pack("<I", value)
        elif isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        elif isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        else:
            out += varint(number << 3) + varint(int(value))
    return out


def take_varint(body, at):
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def decode(kind, body):
    values = {name: "" if name in TEXT else b"" if name.endswith(("digest", "_id", "data", "keys", "holders", "canonical")) else 0
              for name in FIELDS[kind]}
    at = 0
    while at < len(body):
        tag, at = take_varint(body, at)
        if tag & 7 == 0:
            value, at = take_varint(body, at)
        elif tag & 7 == 2:
            size, at = take_varint(body, at)
            value, at = body[at:at + size], at + size
        else:
            size = 4 if tag & 7 == 5 else 8
            value, at = struct.unpack("<I" if size == 4 else "<d", body[at:at + size])[0], at + size
        name = FIELDS[kind][(tag >> 3) - 1]
        values[name] = value.decode() if name in TEXT else value
    return values


def frame(kind, body=b"", length=None, reserved=0):
    return struct.pack(">IHH", len(body) if length is None else length, kind, reserved) + body


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# ---- digests (docs/PROTOCOL.md section 3)

def u64(n):
    return struct.pack("<Q", n)


def task_id(run_id, round_number, member, base, plan):
    def field(text):
        return u64(len(text)) + text.encode()
    return hashlib.blake2b(field(run_id) + u64(round_number) + field(member) + base + plan, digest_size=32).digest()


def sha256(data):
    return hashlib.sha256(data).digest()


def announcement(offer, payload, **changes):
    """UpdateBegin of a payload; `changes` before the update digest is made, unless it is one of them."""
    u = {"task_id": offer["task_id"], "round": offer["round"], "base_digest": offer["base_digest"],
         "layout_digest": offer["layout_digest"], "weight": 1, "n_samples": 1, "dtype": 4 if offer["kind"] == EVALUATE else 0,
         "payload_len": len(payload), "payload_digest": sha256(payload)}
    u.update(changes)
    if "update_digest" not in changes:
        u["update_digest"] = sha256(u["task_id"] + u64(u["weight"]) + u64(u["n_samples"]) + u64(u["payload_len"]) +
                                    bytes([u["dtype"] & 255]) + u["layout_digest"] + u["payload_digest"])
    return u


# ---- the silo

class Closed(Exception):
    """The coordinator ended the connection."""


def context(fed, name, ca=None, version=ssl.TLSVersion.TLSv1_3, cert=True):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.minimum_version = ctx.maximum_version = version
    ctx.load_verify_locations(ca or fed.folder / "ca/ca.pem")
    ctx.set_alpn_protocols(["crossfed/1"])
    if cert:
        ctx.load_cert_chain(fed.folder / f"{name}.pem", fed.folder / f"{name}.key")
    return ctx


def port(fed):
    return int(fed.until(lambda: fed.port_file.exists() and fed.port_file.read_text().strip(), message="port file"))


class Silo:
    """One connection of a member; tls=None: of a plain socket."""

    def __init__(self, fed, member, ctx=None, limit_s=20):
        self.member, self.limit_s, self.buffer = member, limit_s, b""
        raw = socket.create_connection(("127.0.0.1", port(fed)), timeout=limit_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = (ctx or context(fed, member)).wrap_socket(raw)
        self.welcome, self.seen = None, []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, kind, **values):
        self.raw(frame(kind, encode(kind, **values)))

    def read(self, n):
        while len(self.buffer) < n:
            try:
                more = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLEOFError) as e:
                raise Closed(str(e)) from None
            if not more:
                raise Closed("end of stream")
            self.buffer += more
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def next(self):
        """The next message: (type, fields); pings are answered on the way."""
        while True:
            size, kind, reserved = struct.unpack(">IHH", self.read(8))
            assert reserved == 0
            values = decode(kind, self.read(size))
            self.seen.append(kind)
            if kind != PING:
                return kind, values
            self.send(PONG, nonce=values["nonce"])

    def expect(self, *kinds, limit_s=None):
        """The next message of one of these types; others are passed over."""
        end = time.monotonic() + (limit_s or self.limit_s)
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            kind, values = self.next()
            if kind in kinds:
                return values if len(kinds) == 1 else (kind, values)
        raise AssertionError(f"no message of type {kinds} within {limit_s or self.limit_s} s, but {self.seen[-20:]}")

    def hello(self, **values):
        self.send(HELLO, **{"minor_min": 0, "minor_max": 0, "software": "hostile", "chunk_max": 65536, **values})
        self.welcome = self.expect(WELCOME)
        plan = self.expect(PLAN)
        assert sha256(plan["canonical"]) == self.welcome["plan_digest"]
        return self

    def ended(self, limit_s=5):
        """The coordinator ends the connection within limit_s; returns the last message that says why. Closes this side."""
        last, end = None, time.monotonic() + limit_s
        try:
            while time.monotonic() < end:
                self.socket.settimeout(max(0.01, end - time.monotonic()))
                kind, values = self.next()
                if kind in (GOODBYE, REFUSED):
                    last = values
        except (Closed, TimeoutError) as e:
            self.socket.close()
            if isinstance(e, Closed):
                return last
        raise AssertionError(f"the connection is still open after {limit_s} s; the last message was {last}")

    def offer(self, kind=TRAIN):
        """The next offer of this kind; other work is refused so that rounds go on."""
        while True:
            offer = self.expect(OFFER)
            assert offer["task_id"] == task_id(self.welcome["run_id"], 2**64 - 1 if offer["kind"] == FINAL else offer["round"],
                                               self.member, offer["base_digest"], self.welcome["plan_digest"])
            if offer["kind"] == kind:
                return offer
            self.decline(offer)

    def decline(self, offer, code="E_POLICY"):
        self.send(REPLY, task_id=offer["task_id"], accepted=False, code=code, key="policy.test", text="not today")

    def model(self, offer):
        self.send(GET, task_id=offer["task_id"], offset=0, length=offer["model_len"])
        data = b""
        while len(data) < offer["model_len"]:
            chunk = self.expect(CHUNK)
            assert chunk["offset"] == len(data) and chunk["crc32c"] == crc32c(chunk["data"])
            data += chunk["data"]
        return data

    def chunk(self, offer, at, data, crc=None):
        self.send(UPDATE_CHUNK, task_id=offer["task_id"], offset=at, crc32c=crc32c(data) if crc is None else crc, data=data)

    def begin(self, offer, payload, **changes):
        u = announcement(offer, payload, **changes)
        self.send(BEGIN, **u)
        return u

    def upload(self, offer, payload, **changes):
        """A whole update; the acknowledgement."""
        self.begin(offer, payload, **changes)
        kind, values = self.expect(READY, ACK)
        if kind == ACK:
            return values
        for at in range(values["offset"], len(payload), 32768):
            self.chunk(offer, at, payload[at:at + 32768])
        return self.expect(ACK)


# ---- a small federation of tables, in which members may be hostile

PLAN_TEXT = """\
name: tables
seed: 11
data: {{kind: table, split: {{kind: random, test_fraction: 0.2}}}}
model: {{kind: logreg, loss: bce, n_in: 2, n_out: 1}}
stages:
  - fed: {{algorithm: fedavg, rounds: {rounds}, cohort: 1.0, quorum_count: {quorum}, deadline_s: {deadline}, select_timeout_s: {select},
          eval_deadline_s: 1{fed}}}
    local: {{steps: 20, batch: 8, optimizer: {{kind: sgd, lr: 0.1}}}}
eval: {{every: 0, metrics: [auc]}}
arms: [federated]
{more}"""


def write_table(path, k, rows=60):
    values = [(((7 * i + k) % 20) - 10, ((3 * i) % 11) - 5) for i in range(rows)]
    path.write_text("".join(f"{x},{y},{int(x + y > 0)}\n" for x, y in values))


def tables(folder, bin_dir, real=("silo-a", "silo-b"), hostile=("silo-x",), rounds=1000, quorum=2, deadline=30, select=30, fed="",
           more="", **kwargs):
    """Daemons for the `real` members; the `hostile` ones are listed and have certificates only."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {}
    for k, name in enumerate((*real, *hostile)):
        write_table(folder / f"{name}.csv", k)
        members[name] = (f"d{k}", {"path": str(folder / f"{name}.csv")})
    text = PLAN_TEXT.format(rounds=rounds, quorum=quorum, deadline=deadline, select=select, fed=fed, more=more)
    made = Federation(folder / "fed", bin_dir, text, members, **kwargs)
    made.clients = {m: c for m, c in made.clients.items() if m in real}
    return made
