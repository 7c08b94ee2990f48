"""What the integration tests share: the programs under test, run as a user would.

CROSSFED_BIN is the folder of the programs (tests/run.py sets it; without it build/bin), CROSSFED_FAULTS_BIN
that of flavour faults, CROSSFED_FLAVOUR the flavour of the first, CROSSFED_TEST_LIMIT_S how long one may take.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from claims import pytest_runtestloop  # noqa: F401, a hook
from federation import SLOWER

REPO = pathlib.Path(__file__).resolve().parents[2]
LIMIT_S = float(os.environ.get("CROSSFED_TEST_LIMIT_S", "60"))  # of one command


class Result:
    """What a command left: status, out, err."""

    def __init__(self, argv, done):
        self.argv, self.status, self.out, self.err = argv, done.returncode, done.stdout, done.stderr

    def json(self):
        """The output, which must be exactly one line of JSON with nothing that only Python understands."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), self.out

        def refuse(name):
            raise AssertionError(f"{name} is not JSON")
        return json.loads(self.out, parse_constant=refuse)


def run_command(argv, status=0, cwd=None, umask=-1, env=None, limit_s=LIMIT_S):
    """Runs a command without input and with an English locale; fails the test if its exit status is another."""
    argv = [str(arg) for arg in argv]
    full = {key: value for key, value in os.environ.items() if not key.startswith("CROSSFED_")}
    full.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"}, **(env or {}))
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", cwd=cwd, env=full,
                          umask=umask, timeout=SLOWER * limit_s, check=False)
    result = Result(argv, done)
    if status is not None:
        assert result.status == status, f"{' '.join(argv)}\nstatus {result.status}, not {status}\n{result.out}{result.err}"
    return result


@pytest.fixture(scope="session")
def bin_dir():
    """The folder of the programs under test."""
    return pathlib.Path(os.environ.get("CROSSFED_BIN") or REPO / "build/bin")


@pytest.fixture(scope="session")
def faults_dir():
    """The folder of the programs with failpoints."""
    folder = pathlib.Path(os.environ.get("CROSSFED_FAULTS_BIN") or REPO / "build/faults/bin")
    if not (folder / "crossfed-server").is_file():
        pytest.skip("no programs of the flavour faults; run make faults")
    return folder


@pytest.fixture(scope="session")
def crossfed(bin_dir):
    """crossfed(*args, status=0, cwd=None, ...) -> Result"""
    program = bin_dir / "crossfed"
    assert program.is_file(), f"{program} is not built; run make"

    def run(*args, **kwargs):
        return run_command([program, *args], **kwargs)
    return run


@pytest.fixture(scope="session")
def openssl():
    """openssl(*args, status=0, ...) -> Result, the independent reader of what we write."""
    program = shutil.which("openssl")
    if not program:
        pytest.skip("no openssl program here")

    def run(*args, **kwargs):
        return run_command([program, *args], **kwargs)
    return run


@pytest.fixture(scope="session")
def example_plans():
    """The plans that come with the program."""
    return sorted((REPO / "deploy/examples/plans").glob("*.yaml"))
