"""crossfed bench with tiny sizes: every benchmark runs, says so in JSON with finite ratios, and leaves nothing behind."""

import math
import pathlib
import subprocess
import sys

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]

CASES = {
    "wire": {"pack_1mb", "unpack_1mb", "unpack_100mb"},
    "aggregation": {"memory", "spool"},
    "durable_commit": {"transaction", "round_16mb"},
    "page_faults": {"coordinator", "connection"},
    "updates": {"durable", "durable_upload"},
    "idle_connections": {"resident"},
    "rec": {"als_64", "als_96", "als_192", "ease", "gram"},
    "serving": {"recommend_p50", "recommend_p99", "blend_p50", "blend_p99", "http"},
    "train": {"2nn_sgd_b10", "2nn_sgd_b10_digits", "784_128_10_adam_b64", "cnn_sgd_b10", "bpr_pairs", "spmm", "two_workers",
              "two_workers_cpu", "page_faults"},
    "server_rss": {"clients_10", "clients_100", "per_client", "per_client_rest"},
}
OPTIONAL = {"updates": {"memory", "memory_upload"},  # where /dev/shm can be written
            "idle_connections": {"beside_tls"}}  # where the allocator counts


def bench(crossfed, folder, *args, **kwargs):
    made = crossfed("bench", *args, "--quick", "--json", "--dir", folder, **kwargs)
    assert not list(folder.iterdir()), "scratch files are left"
    return made.json()


@pytest.mark.parametrize("name", CASES)
def test_each(name, crossfed, tmp_path):
    said = bench(crossfed, tmp_path, name)
    assert said["v"] == 1 and said["quick"] is True and said["cores"] >= 1
    cases = {r["case"] for r in said["results"]}
    assert CASES[name] <= cases <= CASES[name] | OPTIONAL.get(name, set())
    for r in said["results"]:
        assert r["bench"] == name and r["unit"] and r["probe"] and r["better"] in ("higher", "lower")
        for key in ("value", "probe_value", "ratio"):
            assert isinstance(r[key], (int, float)) and math.isfinite(r[key]), r
        assert ("goal" in r) == ("floor" in r) == ("meets_goal" in r) == ("meets_floor" in r)


def test_several_as_a_table(crossfed, tmp_path):
    out = crossfed("bench", "wire", "durable_commit", "--quick", "--dir", tmp_path).out
    assert "unpack_100mb" in out and "transaction" in out and "figures mean nothing" in out


def test_usage(crossfed, tmp_path):
    assert "idle_connections" in crossfed("bench", "--help").out
    assert "usage: crossfed bench" in crossfed("bench", "speed", status=2).err
    assert "choose another --dir" in crossfed("bench", "wire", "--quick", "--dir", tmp_path / "absent", status=1).err


def test_beside_pytorch_where_it_is():
    # -S: without site packages there is no PyTorch, whatever is installed
    made = subprocess.run([sys.executable, "-S", REPO / "tests/bench/torch_train.py"], capture_output=True, text=True)
    assert made.returncode == 77 and "not installed" in made.stdout
