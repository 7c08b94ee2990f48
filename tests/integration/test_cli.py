"""The command crossfed: its verbs plan, account and pki, as their users see them."""

import math
import re
import shutil
import stat

import pytest

pytestmark = pytest.mark.sanitize

USAGE, FAILED, AUTH, CONFIG = 2, 1, 5, 78

PLAN = """\
name: small
seed: 7
data:
  kind: interactions
  split: {kind: leave-one-out, by: time, min: 5}
model: {kind: mf, dim: 8, loss: bpr, users: aligned, items: domain}
stages:
  - fed: {algorithm: fedavg, rounds: 10, min_domains: 2, deadline_s: 30}
    local: {epochs: 1, batch: 64, optimizer: {kind: adam, lr: 0.01}}
    rows: {rule: pull, kappa: 0.25, min_holders: 3}
eval: {every: 5, metrics: [hr@10], protocol: [full]}
sim:
  data: small.tsv
  columns: {user: 1, item: 2, domain: 3, value: 4, time: 5}
  clients: {by: domain}
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(PLAN)
    return path


def digest(crossfed, path, *args):
    text = crossfed("plan", path, "--digest", *args).out
    assert re.fullmatch(r"[0-9a-f]{64}\n", text), text
    return text.strip()


# ---- the command itself


def test_verbs(crossfed):
    assert "usage: crossfed VERB" in crossfed(status=USAGE).err
    assert 'no verb "frobnicate"' in crossfed("frobnicate", status=USAGE).err
    shown = crossfed("--help")
    assert not shown.err
    for verb in ("plan", "account", "pki"):
        assert re.search(rf"^  {verb} ", shown.out, re.M)
        of_verb = crossfed(verb, "--help")
        assert f"crossfed {verb}" in of_verb.out and not of_verb.err


# ---- plan


def test_plan_as_json(crossfed, tmp_path, example_plans, plan):
    """The same facts as in the text, for every example; a plan that is not there is refused as the daemons refuse it."""
    for path in [plan, *(p for p in example_plans if "mnist" not in p.name)]:
        facts = crossfed("plan", path, "--json", "--rows", "100", "--members", "3").json()
        text = crossfed("plan", path, "--rows", "100", "--members", "3").out
        assert facts["v"] == 1 and facts["digest"] == digest(crossfed, path)
        assert f"asks a silo for {facts['rounds']} rounds, at most {facts['max_epochs']} epochs" in text
        if "bytes_unknown" in facts:  # no daemon runs it
            assert f"# bytes: no estimate: {facts['bytes_unknown']}" in text and facts["silo_bytes"] is None
            continue
        whole = facts["silo_bytes"]
        assert f"# each silo: {whole['down']} bytes down, {whole['up']} up the whole run" in text
        assert facts["all_bytes"] == {"members": 3, "down": 3 * whole["down"], "up": 3 * whole["up"]}
        assert whole["up"] == sum(s["rounds"] * s["up_bytes"] for s in facts["stages"])
        assert (facts["epsilon"] is None) == (facts["noise_multiplier"] == 0)
        if facts["epsilon"]:
            assert f"{facts['epsilon']['replace_one']:.4g} (replace-one)" in text
        assert [f"# stamp: {s}" for s in facts["stamps"]] == [line for line in text.splitlines() if line.startswith("# stamp: ")]
    missing = crossfed("plan", tmp_path / "nowhere.yaml", "--json", status=CONFIG)
    assert "nowhere.yaml" in missing.err and not missing.out
    crossfed("plan", plan, "--json", "--digest", status=USAGE)


def test_plan_resolved_loads_again(crossfed, tmp_path, example_plans, plan):
    assert example_plans
    for path in [plan, *example_plans]:
        resolved = crossfed("plan", path).out
        again = tmp_path / ("again-" + path.name)
        again.write_text(resolved)
        want = digest(crossfed, path)
        assert f"\n# digest {want}\n" in resolved, path
        assert digest(crossfed, again) == want, path
        assert crossfed("plan", again).out == resolved, path


def test_plan_set(crossfed, plan, tmp_path):
    plain = digest(crossfed, plan)
    one = crossfed("plan", plan, "--set", "fed.rounds=5").out
    assert re.search(r"^ +rounds: 5$", one, re.M) and not re.search(r"^ +rounds: 10$", one, re.M)
    assert "# asks a silo for 5 rounds" in one
    assert digest(crossfed, plan, "--set", "fed.rounds=5") != plain
    assert digest(crossfed, plan, "--set", "fed.rounds=10") == plain

    # The override is what the file would have said.
    edited = tmp_path / "edited.yaml"
    edited.write_text(PLAN.replace("rounds: 10", "rounds: 5").replace("epochs: 1", "epochs: 3"))
    both = digest(crossfed, plan, "--set", "fed.rounds=5", "--set", "stages[0].local.epochs=3")
    assert both == digest(crossfed, edited)

    # How a simulation runs is no part of what silos accept.
    assert digest(crossfed, plan, "--set", "sim.threads=2") == plain


def test_plan_estimate(crossfed, plan, example_plans):
    """Bytes and epsilon of a whole run, as a silo will count them."""
    private = next(path for path in example_plans if "private" in str(path))
    out = crossfed("plan", private, "--members", "4").out
    assert "shared part 14 floats, 56 bytes" in out
    assert "4 silos: 3808 bytes down, 3360 up the whole run" in out  # 15 rounds, one evaluation, the final model
    assert "4.557 (zero-out), 10.31 (replace-one) at delta 1e-05" in out
    said = crossfed("account", "--q", "1", "--sigma", "4", "--steps", "15", "--delta", "1e-5", "--json").json()
    assert abs(said["epsilon"] - 4.557) < 0.001
    synth = next(path for path in example_plans if "synth" in str(path))
    assert "say with --rows" in crossfed("plan", synth).out
    out = crossfed("plan", synth, "--rows", "1040").out
    assert "each silo: 66560 bytes down, 66560 up a round" in out
    assert "each silo: 865280 bytes down, 665600 up the whole run" in out
    crossfed("plan", synth, "--rows", "-3", status=USAGE)


def test_plan_unknown_key(crossfed, tmp_path):
    path = tmp_path / "wrong.yaml"
    text = PLAN.replace("rounds:", "ronds:").replace("seed:", "sed:")
    path.write_text(text)
    got = crossfed("plan", path, status=CONFIG)
    assert not got.out
    for key, wrong, right in (("sed", "sed", "seed"), ("ronds", "stages[0].fed.ronds", "stages[0].fed.rounds")):
        line, column = next((n, row.index(key + ":") + 1) for n, row in enumerate(text.splitlines(), 1) if key + ":" in row)
        want = f'{path}:{line}:{column}: unknown key "{wrong}"; did you mean "{right}"?'
        assert want in got.err.splitlines()


@pytest.mark.parametrize("setting, said", [
    ("fed.ronds=5", 'unknown key "fed.ronds"; did you mean "stages[0].fed.rounds"?'),
    ("fed.rounds=many", "rounds"),
    ("fed.rounds", "fed.rounds"),
])
def test_plan_set_refused(crossfed, plan, setting, said):
    got = crossfed("plan", plan, "--set", setting, status=CONFIG)
    assert not got.out and said in got.err


@pytest.mark.parametrize("more", [(), ("--digest",)])
def test_plan_not_in_this_version(crossfed, tmp_path, more):
    """What the daemons refuse at their start is refused here as well, with their status."""
    path = tmp_path / "stages.yaml"
    stage = PLAN[PLAN.index("  - fed"):PLAN.index("eval:")]
    two = "".join(stage.replace("  - fed", f"  - name: {name}\n    fed") for name in "ab")
    path.write_text(PLAN.replace(stage, two))
    got = crossfed("plan", path, *more, status=CONFIG)
    assert not got.out and str(path) in got.err and "stages: more than one" in got.err


def test_plan_not_yaml(crossfed, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [unfinished\nseed: 1\n")
    got = crossfed("plan", path, status=CONFIG)
    assert not got.out and re.match(re.escape(str(path)) + r":\d+:\d+: ", got.err), got.err


def test_plan_missing_file(crossfed, tmp_path):
    path = tmp_path / "absent.yaml"
    got = crossfed("plan", path, status=CONFIG)
    assert not got.out and str(path) in got.err and "No such file" in got.err


def test_plan_usage(crossfed, plan):
    assert "usage: crossfed plan" in crossfed("plan", status=USAGE).err
    assert '"--bogus"' in crossfed("plan", plan, "--bogus", status=USAGE).err
    assert '"--set"' in crossfed("plan", plan, "--set", status=USAGE).err
    assert "another.yaml" in crossfed("plan", plan, "another.yaml", status=USAGE).err


def test_plan_combine(crossfed):
    rows = crossfed("plan", "--combine").out.splitlines()
    assert rows[0].split()[:2] == ["strategy", "encoding"]
    assert any(row.split()[:3] == ["fedavg", "float32", "yes"] for row in rows)


# ---- account


def account(crossfed, q, sigma, steps, delta, *more, **kwargs):
    return crossfed("account", "--q", q, "--sigma", sigma, "--steps", steps, "--delta", delta, *more, **kwargs)


def test_account_golden(crossfed):
    got = account(crossfed, 1, 1, 1, "1e-5", "--json").json()
    assert list(got) == ["v", "epsilon", "delta", "order", "accountant", "assumes"]
    assert got["v"] == 1 and got["accountant"] == "rdp" and got["delta"] == 1e-5
    assert abs(got["epsilon"] - 4.728507) < 5e-7
    assert got["assumes"] and all(isinstance(text, str) and text for text in got["assumes"])
    assert "epsilon 4.72851 at delta 1e-05" in account(crossfed, 1, 1, 1, "1e-5").out


@pytest.mark.parametrize("sigma, steps, delta", [(1, 1, 1e-5), (2, 10, 1e-6), (0.8, 100, 1e-5), (20, 1000, 1e-7)])
def test_account_is_the_conversion_of_a_gaussian(crossfed, sigma, steps, delta):
    """Renyi cost T a / (2 sigma^2), converted at the order that is reported."""
    got = account(crossfed, 1, sigma, steps, delta, "--json").json()
    a = got["order"]
    want = steps * a / (2 * sigma**2) + math.log((a - 1) / a) - (math.log(delta) + math.log(a)) / (a - 1)
    assert got["epsilon"] == pytest.approx(want, rel=1e-9)


def test_account_sampling(crossfed):
    """Sampling lowers epsilon, more steps raise it, and what is assumed about the sampling is said."""
    def epsilon(q, steps):
        return account(crossfed, q, 1, steps, "1e-5", "--json").json()["epsilon"]
    assert 0 < epsilon(0.01, 100) < epsilon(0.01, 1000) < epsilon(0.1, 1000) < epsilon(1, 1000)
    assert any("Poisson" in text for text in account(crossfed, 0.01, 1, 1, "1e-5", "--json").json()["assumes"])


def test_account_without_noise(crossfed):
    got = account(crossfed, 1, 0, 1, "1e-5", "--json").json()
    assert got["epsilon"] is None and got["order"] is None
    assert any("no guarantee" in text for text in got["assumes"])


def test_account_refuses_pld(crossfed):
    got = account(crossfed, 1, 1, 1, "1e-5", "--accountant", "pld", "--json", status=USAGE)
    assert not got.out and "PLD accountant is not in this version" in got.err


@pytest.mark.parametrize("args, said", [
    (("0", "1", "1", "1e-5"), "--q 0"),
    (("1.5", "1", "1", "1e-5"), "--q 1.5"),
    (("1", "-1", "1", "1e-5"), "--sigma -1"),
    (("1", "nan", "1", "1e-5"), "--sigma nan"),
    (("1", "1", "0", "1e-5"), "--steps 0"),
    (("1", "1", "1.5", "1e-5"), "--steps 1.5"),
    (("1", "1", "1", "1"), "--delta 1"),
    (("1", "1", "1", "small"), "--delta small"),
])
def test_account_refuses_values(crossfed, args, said):
    got = account(crossfed, *args, status=USAGE)
    assert not got.out and said in got.err


def test_account_usage(crossfed):
    assert "--q is missing" in crossfed("account", status=USAGE).err
    assert "--delta is missing" in crossfed("account", "--q=1", "--sigma=1", "--steps=1", status=USAGE).err
    assert "--delta needs a value" in crossfed("account", "--delta", status=USAGE).err
    assert '"--bogus"' in crossfed("account", "--bogus", status=USAGE).err


# ---- pki


@pytest.fixture
def ca(crossfed, tmp_path):
    """A folder with the CA "ca" of federation fed1, made by somebody without a umask."""
    got = crossfed("pki", "ca", "--dir", "ca", "--federation", "fed1", cwd=tmp_path, umask=0)
    assert "CA of federation fed1" in got.out
    return tmp_path


def issue(crossfed, cwd, role, member, *more, **kwargs):
    return crossfed("pki", "issue", "--dir", "ca", "--role", role, "--member", member, *more, cwd=cwd, umask=0, **kwargs)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def public_key(openssl, *args):
    """The public key that openssl finds in a request, certificate or private key."""
    return re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", openssl(*args).out, re.S).group()


def verify(openssl, cwd, cert, status=0):
    return openssl("verify", "-crl_check", "-x509_strict", "-CAfile", "ca/ca.pem", "-CRLfile", "ca/crl.pem", cert, cwd=cwd, status=status)


def test_pki_ca(crossfed, openssl, ca):
    assert {path.name: mode(path) for path in (ca / "ca").iterdir() if path.name != "lock"} == {
        "ca.key": 0o600, "index.txt": 0o600, "ca.pem": 0o644, "crl.pem": 0o644}
    shown = crossfed("pki", "show", "ca/ca.pem", "--json", cwd=ca).json()
    fingerprint = openssl("x509", "-in", "ca/ca.pem", "-noout", "-fingerprint", "-sha256", cwd=ca).out
    assert shown["sha256"] == fingerprint.split("=")[1].strip().replace(":", "").lower()
    assert crossfed("pki", "show", "ca", "--json", cwd=ca).json() == {"v": 1, "issued": []}

    # A CA is never made over another.
    before = (ca / "ca/ca.key").read_bytes()
    assert "ca" in crossfed("pki", "ca", "--dir", "ca", "--federation", "fed2", cwd=ca, status=FAILED).err
    assert (ca / "ca/ca.key").read_bytes() == before


@pytest.mark.parametrize("role, server", [("coordinator", True), ("client", False), ("operator", False)])
def test_pki_issue(crossfed, openssl, ca, role, server):
    issue(crossfed, ca, role, "m-1", *(["--host", "localhost"] if server else []))
    assert mode(ca / "m-1.key") == 0o600 and mode(ca / "m-1.pem") == 0o644

    shown = crossfed("pki", "show", "m-1.pem", "--json", cwd=ca).json()
    want = {"v": 1, "kind": "certificate", "identity": f"crossfed://fed1/{role}/m-1", "federation": "fed1", "role": role,
            "member": "m-1", "server_auth": server, "client_auth": not server}
    assert shown["days_left"] in (29, 30)  # whole days: a second may have passed since the issue
    assert {key: shown[key] for key in want} == want

    san = openssl("x509", "-in", "m-1.pem", "-noout", "-ext", "subjectAltName", cwd=ca).out
    assert re.findall(r"URI:[^,\s]+", san) == [f"URI:crossfed://fed1/{role}/m-1"]
    assert ("DNS:localhost" in san) == server
    assert public_key(openssl, "x509", "-in", ca / "m-1.pem", "-noout", "-pubkey") == \
        public_key(openssl, "pkey", "-in", ca / "m-1.key", "-pubout")
    verify(openssl, ca, "m-1.pem")
    for purpose, fits in (("sslserver", server), ("sslclient", not server)):
        openssl("verify", "-CAfile", "ca/ca.pem", "-purpose", purpose, "m-1.pem", cwd=ca, status=0 if fits else 2)

    issued = crossfed("pki", "show", "ca", "--json", cwd=ca).json()["issued"]
    assert [(row["serial"], row["role"], row["member"], row["state"]) for row in issued] == [
        (shown["serial"], role, "m-1", "valid")]


def test_pki_issue_overwrites_nothing(crossfed, ca):
    issue(crossfed, ca, "client", "m-1")
    before = (ca / "m-1.key").read_bytes(), (ca / "m-1.pem").read_bytes()
    assert "exists already" in issue(crossfed, ca, "client", "m-1", status=FAILED).err
    assert ((ca / "m-1.key").read_bytes(), (ca / "m-1.pem").read_bytes()) == before
    issue(crossfed, ca, "client", "m-1", "--replace")
    assert mode(ca / "m-1.key") == 0o600 and (ca / "m-1.pem").read_bytes() != before[1]


def test_pki_csr(crossfed, openssl, ca):
    """The silo makes its key and request; only the request travels; the CA signs exactly what it names."""
    silo = ca / "silo"
    silo.mkdir()
    got = crossfed("pki", "csr", "--federation", "fed1", "--role", "client", "--member", "books-01", cwd=silo, umask=0)
    assert "crossfed://fed1/client/books-01" in got.out
    assert sorted(path.name for path in silo.iterdir()) == ["books-01.csr", "books-01.key"]
    assert mode(silo / "books-01.key") == 0o600
    key = (silo / "books-01.key").read_bytes()
    assert b"PRIVATE" not in (silo / "books-01.csr").read_bytes()

    shutil.copy(silo / "books-01.csr", ca)
    shown = crossfed("pki", "show", "books-01.csr", "--json", cwd=ca).json()
    assert shown["kind"] == "request" and shown["identity"] == "crossfed://fed1/client/books-01"
    openssl("req", "-in", "books-01.csr", "-noout", "-verify", cwd=ca)

    def sign(role, member, **kwargs):
        return crossfed("pki", "sign", "--dir", "ca", "--csr", "books-01.csr", "--role", role, "--member", member, cwd=ca, **kwargs)
    for role, member in (("client", "books-02"), ("operator", "books-01"), ("coordinator", "books-01")):
        assert "asks for crossfed://fed1/client/books-01" in sign(role, member, status=AUTH).err
        assert not (ca / f"{member}.pem").exists()
    sign("client", "books-01")

    assert (silo / "books-01.key").read_bytes() == key
    assert sorted(path.relative_to(ca).as_posix() for path in ca.rglob("*.key")) == ["ca/ca.key", "silo/books-01.key"]
    assert public_key(openssl, "x509", "-in", ca / "books-01.pem", "-noout", "-pubkey") == \
        public_key(openssl, "pkey", "-in", silo / "books-01.key", "-pubout")
    shown = crossfed("pki", "show", "books-01.pem", "--json", cwd=ca).json()
    assert shown["identity"] == "crossfed://fed1/client/books-01" and shown["client_auth"] and not shown["server_auth"]
    verify(openssl, ca, "books-01.pem")


def test_pki_sign_refuses_another_federation(crossfed, ca):
    crossfed("pki", "csr", "--federation", "fed2", "--role", "client", "--member", "m-1", cwd=ca)
    got = crossfed("pki", "sign", "--dir", "ca", "--csr", "m-1.csr", "--role", "client", "--member", "m-1", cwd=ca, status=AUTH)
    assert "crossfed://fed2/client/m-1" in got.err and not (ca / "m-1.pem").exists()


@pytest.mark.parametrize("by", ["member", "serial", "cert"])
def test_pki_revoke(crossfed, openssl, ca, by):
    issue(crossfed, ca, "client", "gone")
    issue(crossfed, ca, "client", "stays")
    serial = crossfed("pki", "show", "gone.pem", "--json", cwd=ca).json()["serial"]
    verify(openssl, ca, "gone.pem")

    which = {"member": "gone", "serial": serial, "cert": "gone.pem"}[by]
    got = crossfed("pki", "revoke", "--dir", "ca", "--" + by, which, "--reason", "key-compromise", cwd=ca, umask=0)
    assert got.out.startswith("1 revoked")
    assert "certificate revoked" in verify(openssl, ca, "gone.pem", status=2).err
    verify(openssl, ca, "stays.pem")

    listed = openssl("crl", "-in", "ca/crl.pem", "-noout", "-text", cwd=ca).out
    assert serial.upper() in listed and "Key Compromise" in listed
    assert mode(ca / "ca/crl.pem") == 0o644 and mode(ca / "ca/index.txt") == 0o600
    shown = crossfed("pki", "show", "ca/crl.pem", "--json", cwd=ca).json()
    assert (shown["kind"], shown["revoked"]) == ("crl", 1)
    states = {row["member"]: row["state"] for row in crossfed("pki", "show", "ca", "--json", cwd=ca).json()["issued"]}
    assert states == {"gone": "revoked", "stays": "valid"}

    # A list written again still knows it, under a higher number.
    crossfed("pki", "crl", "--dir", "ca", cwd=ca)
    again = crossfed("pki", "show", "ca/crl.pem", "--json", cwd=ca).json()
    assert again["revoked"] == 1 and again["crl_number"] > shown["crl_number"]
    verify(openssl, ca, "gone.pem", status=2)


@pytest.mark.parametrize("args, said", [
    ((), "usage:"),
    (("frobnicate",), 'unknown command "frobnicate"'),
    (("ca", "--dir", "x"), "--federation is missing"),
    (("ca", "--dir", "x", "--federation", "f", "--days", "0"), "--days 0"),
    (("ca", "--dir", "x", "--federation", "f", "--key-type", "rsa"), "rsa"),
    (("ca", "--dir", "x", "--federation", "f", "--json"), '--json does not go with "ca"'),
    (("issue", "--dir", "ca", "--member", "m"), "--role is missing"),
    (("issue", "--dir", "ca", "--role", "king", "--member", "m"), 'unknown role "king"'),
    (("issue", "--dir", "ca", "--role", "client", "--member", "m", "--member", "n"), "--member is given twice"),
    (("issue", "--dir", "ca", "--role", "client", "--member"), "--member needs a value"),
    (("sign", "--dir", "ca", "--role", "client", "--member", "m"), "--csr is missing"),
    (("csr", "--federation", "f", "--role", "client", "--member", "m", "--bogus"), '"--bogus"'),
    (("show",), "which file"),
    (("show", "a", "b"), 'unexpected argument "b"'),
    (("revoke", "--dir", "ca"), "give one of"),
    (("revoke", "--dir", "ca", "--member", "m", "--serial", "01"), "give one of"),
    (("revoke", "--dir", "ca", "--member", "m", "--reason", "dislike"), "dislike"),
])
def test_pki_usage(crossfed, tmp_path, args, said):
    got = crossfed("pki", *args, cwd=tmp_path, status=USAGE)
    assert not got.out and said in got.err and "crossfed pki" in got.err
    assert not list(tmp_path.iterdir())


def test_pki_missing_files(crossfed, ca):
    assert '"absent.pem"' in crossfed("pki", "show", "absent.pem", cwd=ca, status=FAILED).err
    assert "absent" in crossfed("pki", "revoke", "--dir", "ca", "--member", "absent", cwd=ca, status=FAILED).err
    assert "nowhere" in crossfed("pki", "issue", "--dir", "nowhere", "--role", "client", "--member", "m", cwd=ca, status=FAILED).err
    assert not (ca / "m.key").exists()
