"""What the tests about experiments share: a plan on a small table that three files hold, run in a fraction of a second, and an
independent reader of TensorBoard's event files."""

import struct

PLAN = """
name: tiny
seed: 5
data:
  kind: table
  split: {kind: random, valid_fraction: 0.2, test_fraction: 0.3}
  table: {label: 3, scale: silo}
model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}
stages:
  - fed: {algorithm: fedavg, rounds: 6, deadline_s: 30}
    local: {epochs: 1, batch: 8, optimizer: {kind: sgd, lr: 0.1}}
eval: {every: 2, metrics: [acc, logloss]}
arms: [alone, federated]
sim:
  data: "%s"
  clients: {by: file, files: [a.csv, b.csv, c.csv], name: "{}"}
"""


def write_plan(folder, text=PLAN):
    """Three files of rows of which most are above or below a line, and the plan; returns its path."""
    state = 7
    for k, name in enumerate(["a.csv", "b.csv", "c.csv"]):
        lines = []
        for i in range(80):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            x, y = ((7 * i + k) % 20) - 10, ((3 * i) % 11) - 5
            lines.append(f"{x},{y},{int(x + y > 0) ^ ((state >> 40) % 7 == 0)}\n")
        (folder / name).write_text("".join(lines))
    path = folder / "plan.yaml"
    path.write_text(text % folder)
    return path


def crc32c(data):
    """Castagnoli, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The records of a TFRecord file, every checksum checked."""
    while data:
        length, check = struct.unpack_from("<QI", data)
        assert check == masked(data[:8])
        body, data = data[12:12 + length], data[12 + length:]
        assert len(body) == length and struct.unpack_from("<I", data)[0] == masked(body)
        data = data[4:]
        yield body


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at


def message(data):
    """[(field, value)] of a protobuf message, nested ones as bytes."""
    at, fields = 0, []
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
        else:
            n = {1: 8, 5: 4}[key & 7]
            value, at = struct.unpack("<d" if n == 8 else "<f", data[at:at + n])[0], at + n
        fields.append((key >> 3, value))
    return fields


def scalars(path):
    """{tag: [(step, value)]} of an event file, by this reader."""
    first, *rest = (message(body) for body in records(path.read_bytes()))
    assert (3, b"brain.Event:2") in first
    found = {}
    for event in rest:
        step = dict(event)[2]
        for field, value in message(dict(event)[5]):
            assert field == 1
            pair = dict(message(value))
            found.setdefault(pair[1].decode(), []).append((step, pair[2]))
    return found
