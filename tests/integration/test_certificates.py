"""Every refusal of a certificate, seen from both sides, while the other silos' rounds go on."""

import json
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import pytest

from hostile import HELLO, OFFER, WELCOME, Closed, Silo, context, port, tables

BAD = "silo-x"
STEADY = {"deadline": 0.3, "select": 0.2}


@pytest.fixture(scope="module")
def fed(tmp_path_factory, bin_dir):
    """A federation that commits all the time, with a revocation list."""
    with tables(tmp_path_factory.mktemp("certs"), bin_dir, rounds=100000, **STEADY) as made:
        with_crl(made.server, made, "coordinator")
        yield made.start()


def change(process, **values):
    path = pathlib.Path(process.argv[2])
    config = json.loads(path.read_text())
    config.update(values)
    path.write_text(json.dumps(config))


def with_crl(process, fed, name):
    change(process, tls=fed.tls(name, crl=True))


def rounds_go_on(fed, n=2):
    before = len(fed.committed())
    fed.until(lambda: len(fed.committed()) >= before + n, limit_s=20, message="rounds of the others")


def problems(fed):
    """Lines of the coordinator that tell of a refused peer."""
    return [e for e in fed.server.events() if e["event"] in ("connection_lost", "client_refused")]


def openssl_cert(openssl, fed, name, san, usage="clientAuth"):
    """A certificate that the federation's CA signed and crossfed pki would not make."""
    d = fed.folder
    ext = d / f"{name}.ext"
    ext.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=" + usage + "\n" +
                   (f"subjectAltName={san}\n" if san else ""))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", d / f"{name}.key", "-out",
            d / f"{name}.csr", "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", d / f"{name}.csr", "-CA", d / "ca/ca.pem", "-CAkey", d / "ca/ca.key", "-set_serial",
            str(time.monotonic_ns()), "-days", "2", "-extfile", ext, "-out", d / f"{name}.pem")


def issue(fed, name, *more, role="client", ca="ca", member=None):
    fed.crossfed("pki", "issue", "--dir", ca, "--role", role, "--member", member or name, "--cert", f"{name}.pem", "--key",
                 f"{name}.key", *more)


def make_certificate(case, fed, openssl):
    """The certificate of a case, as NAME.pem and NAME.key."""
    name = f"x-{case}"
    uri = f"URI:crossfed://{fed.name}/client/{BAD}"
    if case == "wrong-ca":
        fed.crossfed("pki", "ca", "--dir", "ca-other", "--federation", fed.name)
        issue(fed, name, ca="ca-other", member=BAD)
    elif case == "expired":
        issue(fed, name, "--not-before", "2020-01-01T00:00:00Z", "--not-after", "2020-01-02T00:00:00Z", member=BAD)
    elif case == "not-yet-valid":
        issue(fed, name, "--not-before", "2030-01-01T00:00:00Z", "--not-after", "2030-02-01T00:00:00Z", member=BAD)
    elif case == "coordinator":
        issue(fed, name, role="coordinator", member=BAD)
    elif case == "operator":
        issue(fed, name, role="operator", member=BAD)
    elif case == "unlisted":
        issue(fed, name, member="stranger")
    elif case == "self-signed":
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                fed.folder / f"{name}.key", "-out", fed.folder / f"{name}.pem", "-subj", "/CN=me", "-addext",
                f"subjectAltName={uri}", "-days", "2")
    else:
        san = {"other-federation": f"URI:crossfed://other/client/{BAD}", "no-san": "", "two-uris": f"{uri},{uri}2",
               "dns-only": f"DNS:{BAD}", "upper-case": f"URI:crossfed://{fed.name}/client/Silo-X",
               "no-usage": uri, "long-path": uri + "/more"}[case]
        openssl_cert(openssl, fed, name, san, "emailProtection" if case == "no-usage" else "clientAuth")
    return name


# case: the alert the peer gets, what the coordinator's line says, the fix in it
ALERTS = {
    "wrong-ca": ("UNKNOWN_CA", "issued by a CA that is not trusted here", "ca.pem of the same federation"),
    "self-signed": ("UNKNOWN_CA", "signed by itself", "ca.pem of the same federation"),
    "expired": ("CERTIFICATE_EXPIRED", "expired 2020-01-02T00:00:00Z", "crossfed pki issue"),
    "not-yet-valid": ("BAD_CERTIFICATE", "not valid before 2030-01-01T00:00:00Z", "check the clocks"),
    "coordinator": ("UNSUPPORTED_CERTIFICATE", "extended key usage", "crossfed pki issue --dir CA_DIR --role client"),
    "no-usage": ("UNSUPPORTED_CERTIFICATE", "extended key usage", "clientAuth"),
}


@pytest.mark.parametrize("case", ALERTS)
def test_a_certificate_is_refused_in_the_handshake(case, fed, openssl):
    alert, what, fix = ALERTS[case]
    name, before = make_certificate(case, fed, openssl), len(problems(fed))
    with pytest.raises((ssl.SSLError, Closed)) as caught, Silo(fed, BAD, context(fed, name)) as silo:
        silo.send(HELLO, chunk_max=65536)
        silo.next()
    assert alert in str(caught.value)
    line, = fed.until(lambda: problems(fed)[before:], limit_s=5)
    assert line["level"] == "warn" and what in line["reason"] and fix in line["reason"], line
    rounds_go_on(fed)


# case: what the peer hears in Refused and the coordinator's line says
REFUSALS = {
    "operator": ("fed1/operator/silo-x", "expected one of a client"),
    "other-federation": ('federation "other"', 'this one is "fed1"'),
    "unlisted": ('"stranger" is not listed', "members"),
    "no-san": ("certificate: it has no URI among its names", ""),
    "two-uris": ("more than one URI", ""),
    "dns-only": ("no URI among its names", ""),
    "upper-case": ("Silo-X", ""),
    "long-path": ("/more", ""),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_identity_is_refused_with_a_sentence(case, fed, openssl):
    what, more = REFUSALS[case]
    name, before = make_certificate(case, fed, openssl), len(problems(fed))
    with Silo(fed, BAD, context(fed, name)) as silo:
        said = silo.ended()
    assert said and said["code"] in ("E_AUTH", "E_FORMAT"), said
    assert what in said["text"] and (not more or more in said["text"] + said["fix"]) and said["fix"], said
    assert said["retry_after_ms"] == (60000 if case == "unlisted" else 0)
    line, = fed.until(lambda: problems(fed)[before:], limit_s=5)
    assert line["level"] == "warn" and what.strip('"') in json.dumps(line, ensure_ascii=False).replace('\\"', '"'), line
    assert "fix" in line or ";" in line["reason"], line
    rounds_go_on(fed)


def test_no_certificate(fed):
    before = len(problems(fed))
    with pytest.raises((ssl.SSLError, Closed)) as caught, Silo(fed, BAD, context(fed, BAD, cert=False)) as silo:
        silo.next()
    assert "CERTIFICATE_REQUIRED" in str(caught.value)
    line, = fed.until(lambda: problems(fed)[before:], limit_s=5)
    assert "sent no certificate" in line["reason"] and "crossfed pki issue" in line["reason"], line
    rounds_go_on(fed)


def test_tls_1_2(fed):
    before = len(problems(fed))
    with pytest.raises((ssl.SSLError, Closed)) as caught, Silo(fed, BAD, context(fed, BAD, version=ssl.TLSVersion.TLSv1_2)):
        pass
    assert "PROTOCOL_VERSION" in str(caught.value)
    line, = fed.until(lambda: problems(fed)[before:], limit_s=5)
    assert "TLS 1.3" in line["reason"], line
    rounds_go_on(fed)


def test_another_protocol(fed):
    """No ALPN, a wrong one, and something that is no TLS at all."""
    for alpn in ([], ["http/1.1"]):
        ctx = context(fed, BAD)
        ctx.set_alpn_protocols(alpn)
        before = len(problems(fed))
        with pytest.raises((ssl.SSLError, Closed)), Silo(fed, BAD, ctx) as silo:
            silo.next()
        line, = fed.until(lambda b=before: problems(fed)[b:], limit_s=5)
        assert "crossfed/1" in line["reason"], line
    before = len(problems(fed))
    with socket.create_connection(("127.0.0.1", port(fed)), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while plain.recv(4096):
            pass
    line, = fed.until(lambda: problems(fed)[before:], limit_s=5)
    assert "TLS" in line["reason"], line
    rounds_go_on(fed)


# ---- revocation

def test_revoked_before_and_during(tmp_path, bin_dir):
    """A connected silo is dropped within seconds, its next attempt refused, and the others go on with the quorum."""
    with tables(tmp_path, bin_dir, real=("silo-a", "silo-b", "silo-c"), hostile=(), rounds=100000, **STEADY) as fed:
        with_crl(fed.server, fed, "coordinator")
        fed.start()
        victim = fed.clients["silo-c"]
        fed.until(lambda: [e for e in victim.events("trained")], message="silo-c takes part")
        serial = json.loads(fed.crossfed("pki", "show", "silo-c.pem", "--json").stdout)["serial"]
        start = time.monotonic()
        fed.crossfed("pki", "revoke", "--dir", "ca", "--member", "silo-c")
        line, = fed.until(lambda: fed.server.events("session_revoked"), limit_s=10)
        assert time.monotonic() - start < 5 and line["client"] == "silo-c" and line["serial"] == serial
        assert "revoked" in line["reason"] and "crossfed pki issue" in line["reason"], line
        fed.until(lambda: [e for e in victim.events() if "this certificate was revoked" in e.get("reason", "")], limit_s=5)
        victim.kill()
        victim.start()  # it would wait a minute
        fed.until(lambda: [e for e in problems(fed) if "silo-c is revoked" in e["reason"]], limit_s=10)
        fed.until(lambda: [e for e in victim.events() if "refused our certificate as revoked" in e.get("reason", "")], limit_s=10)
        rounds_go_on(fed, 3)
        assert fed.committed()[-1]["clients"] == 2
        fed.crossfed("pki", "issue", "--dir", "ca", "--role", "client", "--member", "silo-c", "--cert", "silo-c.pem", "--key",
                     "silo-c.key", "--replace")
        victim.signal(signal.SIGHUP)
        before = len(victim.events("trained"))
        fed.until(lambda: len(victim.events("trained")) > before, limit_s=20, message="silo-c is back with a new certificate")


def test_a_handshake_that_spans_the_revocation(fed):
    """Begun before the list changed, finished after it: still refused."""
    issue(fed, "x-span", "--replace", member=BAD)
    ctx, inward, outward = context(fed, "x-span"), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ctx.wrap_bio(inward, outward)
    with socket.create_connection(("127.0.0.1", port(fed)), timeout=10) as raw:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.sendall(outward.read())
        while True:
            inward.write(raw.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        before, lines = len(fed.server.events("trust_reloaded")), len(fed.server.events())
        fed.crossfed("pki", "revoke", "--dir", "ca", "--cert", "x-span.pem")
        fed.until(lambda: len(fed.server.events("trust_reloaded")) > before, limit_s=10)
        raw.sendall(outward.read())  # certificate and Finished
        end, text = time.monotonic() + 5, ""
        while time.monotonic() < end and not text:
            text = " ".join(e.get("reason", "") for e in fed.server.events()[lines:] if "revoked" in e.get("reason", ""))
            time.sleep(0.02)
        assert "revoked" in text, fed.server.tail()
        raw.settimeout(5)
        while raw.recv(65536):
            pass  # the coordinator ends it
    rounds_go_on(fed)


def test_a_list_that_is_configured_must_be_there(tmp_path, bin_dir):
    with tables(tmp_path, bin_dir, rounds=100000, **STEADY) as fed:
        with_crl(fed.server, fed, "coordinator")
        (fed.folder / "ca/crl.pem").unlink()
        done = subprocess.run([*fed.server.argv, "--check-config"], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 78 and "crl.pem" in done.stderr


# ---- the silo's side

@pytest.mark.parametrize("case, words", [
    ("wrong-ca", ("issued by a CA that is not trusted here", "ca.pem of the same federation")),
    ("client", ("extended key usage", "serverAuth")),
    ("other-federation", ('federation "other"', 'this one is "fed1"')),
    ("client-uri", ("fed1/client/coordinator", "expected one of a coordinator")),
    ("revoked", ("is revoked", "crossfed pki issue")),
    ("expired", ("expired 2020-01-02T00:00:00Z", "crossfed pki issue")),
])
def test_a_silo_refuses_a_coordinator(case, words, tmp_path, bin_dir, openssl):
    """A stand-in that holds a bad certificate; the silo says what is wrong with it and sends nothing."""
    with tables(tmp_path, bin_dir, real=("silo-a",), hostile=()) as fed:
        name = "x"
        if case == "wrong-ca":
            fed.crossfed("pki", "ca", "--dir", "ca-other", "--federation", fed.name)
            issue(fed, name, role="coordinator", ca="ca-other", member="coordinator")
        elif case == "client":
            issue(fed, name, member="coordinator")
        elif case == "expired":
            issue(fed, name, "--not-before", "2020-01-01T00:00:00Z", "--not-after", "2020-01-02T00:00:00Z", role="coordinator",
                  member="coordinator")
        elif case == "revoked":
            issue(fed, name, role="coordinator", member="c2")
            fed.crossfed("pki", "revoke", "--dir", "ca", "--cert", "x.pem")
            with_crl(fed.clients["silo-a"], fed, "silo-a")
        else:
            uri = "crossfed://other/coordinator/coordinator" if case == "other-federation" else "crossfed://fed1/client/coordinator"
            openssl_cert(openssl, fed, name, f"URI:{uri}", "serverAuth")
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        ctx.set_alpn_protocols(["crossfed/1"])
        ctx.load_cert_chain(fed.folder / "x.pem", fed.folder / "x.key")
        ctx.load_verify_locations(fed.folder / "ca/ca.pem")
        ctx.verify_mode = ssl.CERT_REQUIRED
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            fed.port_file.write_text(f"{listener.getsockname()[1]}\n")
            client = fed.clients["silo-a"].start()
            raw, _ = listener.accept()
            raw.settimeout(10)
            received = b""
            try:
                with ctx.wrap_socket(raw, server_side=True) as peer:
                    while more := peer.recv(4096):
                        received += more
            except (ssl.SSLError, ConnectionError):
                pass
            assert received[4:6] in (b"", b"\x00\x14"), "nothing but Goodbye"
            fed.until(lambda: [e for e in client.events() if all(w in e.get("reason", "") for w in words)], limit_s=10)
        client.signal(signal.SIGTERM)
        assert client.wait(10) == 0


def test_one_member_twice(fed):
    """The first session is alive: the second is refused and the alarm recorded; a dead first one is replaced."""
    with Silo(fed, BAD) as first:
        first.hello()
        with Silo(fed, BAD) as second:
            second.send(HELLO, chunk_max=65536)
            first.socket.settimeout(5)
            while first.next()[0] != OFFER or not fed.server.events("second_session_refused"):
                pass  # it answers the ping
            said = second.ended()
        assert said["code"] == "E_CONFLICT" and said["retry_after_ms"] == 30000 and said["fix"]
        with Silo(fed, BAD) as third:  # the first is silent now
            third.send(HELLO, chunk_max=65536)
            assert third.expect(WELCOME, limit_s=10)["member"] == BAD
            with Silo(fed, BAD) as fourth, Silo(fed, BAD) as fifth:
                assert fifth.ended()["retry_after_ms"] == 5000
                del fourth
    assert fed.server.events("session_replaced")
    rounds_go_on(fed)
