"""Addresses: which servers are allowed, and that no password is shown."""

import socket
import traceback

import pytest
import redis

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.log.connection import (
    PASSWORD_VARIABLE,
    RedisAddress,
    RedisFullError,
    UnreachableError,
    translated_errors,
)
from tests.helpers.redis_server import running

SECRET = "hunter2-hunter2-x"


def parse(url, **options):
    return RedisAddress.parse(url, **{"environment": {}, **options})


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://localhost", ("redis", "localhost", 6379, 0)),
        ("redis://127.0.0.1:7000/3", ("redis", "127.0.0.1", 7000, 3)),
        ("redis://127.9.9.9?db=2", ("redis", "127.9.9.9", 6379, 2)),
        ("redis://[::1]:7000", ("redis", "::1", 7000, 0)),
        ("redis://[::ffff:127.0.0.1]", ("redis", "::ffff:127.0.0.1", 6379, 0)),
        ("rediss://robot.example:7000/1", ("rediss", "robot.example", 7000, 1)),
        ("unix:///run/redis.sock?db=4", ("unix", "", 0, 4)),
        ("unix:///run/a%20b%3F/redis.sock", ("unix", "", 0, 0)),
    ],
)
def test_a_url_is_read(url, parts):
    address = parse(url)
    assert (address.scheme, address.host, address.port, address.db) == parts
    assert parse(str(address)) == address


def test_user_and_password_come_from_the_url_or_the_environment_and_are_not_shown():
    address = parse(f"rediss://ada:{SECRET}%2F%40@robot")
    assert (address.username, address.password) == ("ada", f"{SECRET}/@")
    from_environment = parse("redis://localhost", environment={PASSWORD_VARIABLE: SECRET})
    assert from_environment.password == SECRET
    over_socket = parse(f"unix://ada:{SECRET}@/run/redis.sock")
    assert (over_socket.password, over_socket.path) == (SECRET, "/run/redis.sock")
    for one in (address, from_environment, over_socket):
        assert SECRET not in f"{one} {one!r}"
    assert str(address) == "rediss://ada:***@robot:6379/0"


@pytest.mark.parametrize(
    "host", ["robot", "10.0.0.1", "192.168.1.5:6379", "[::2]", "localhost.evil.example", "0.0.0.0"]
)
def test_another_host_is_reached_unencrypted_only_on_request(host):
    with pytest.raises(CiaoError, match=r"unencrypted to another host: use rediss://.*--insecure"):
        parse(f"redis://:{SECRET}@{host}")
    assert parse(f"redis://{host}", insecure=True).scheme == "redis"
    assert parse(f"rediss://{host}").scheme == "rediss"


@pytest.mark.parametrize(
    "url",
    [
        "", "robot:6379", f"http://:{SECRET}@localhost", f"redis://:{SECRET}", f"redis://:{SECRET}/x@localhost",
        f"redis://:{SECRET}#x@localhost", f"redis://:{SECRET}@localhost:port", f"redis://:{SECRET}@localhost/name",
        "redis://localhost/-1", "redis://localhost:99999", "unix://host/path", "unix:relative", f"redis://[{SECRET}",
        "redis://localhost?db", f"redis://localhost?password={SECRET}", "rediss://localhost?ssl_cert_reqs=none",
        "rediss://localhost?ssl_check_hostname=false", "redis://localhost?ssl_ca_certs=x", "unix:///x?protocol=3",
    ],
)  # fmt: skip
def test_an_invalid_or_insecure_url_is_refused_and_not_quoted(url):
    with pytest.raises(CiaoError, match=r"cannot read the Redis URL|unknown option") as refusal:
        parse(url)
    assert SECRET not in "".join(traceback.format_exception(refusal.value, chain=True)).replace(url, "")


def test_tls_checks_certificate_and_host_name(tmp_path):
    (tmp_path / "ca.pem").touch()
    address = parse(f"rediss://robot?ssl_ca_certs={tmp_path}/ca.pem")
    connection = address.client().connection_pool.make_connection()
    assert isinstance(connection, redis.SSLConnection)
    assert connection.cert_reqs.name == "CERT_REQUIRED"
    assert connection.check_hostname is True
    assert connection.ca_certs == f"{tmp_path}/ca.pem"


def test_an_unreachable_server_is_reported_without_the_password():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = RedisAddress("redis", "127.0.0.1", port, password=SECRET)
    client = address.reader()
    with (
        pytest.raises(UnreachableError, match=f"redis://:\\*\\*\\*@127.0.0.1:{port}/0 does not respond") as refusal,
        translated_errors(address),
    ):
        client.ping()
    client.close()
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_the_reader_waits_no_longer_than_its_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = RedisAddress("redis", "127.0.0.1", listener.getsockname()[1])
        client = address.reader(timeout_s=0.2)
        with pytest.raises(UnreachableError, match="does not respond"), translated_errors(address):
            client.ping()
        client.close()


def test_wrong_passwords_missing_rights_and_a_full_server_are_distinguished(tmp_path):
    with running(tmp_path / "data") as server, server.client() as client:
        client.execute_command("ACL SETUSER", "ada", "on", f">{SECRET}", "~x", "+get", "+client")
        path = str(server.socket)
        wrong = RedisAddress("unix", path=path, username="ada", password="wrong" + SECRET)
        ada = RedisAddress("unix", path=path, username="ada", password=SECRET)
        for address, text in ((wrong, "refuses the user or the password.*check the URL"), (ada, "NOPERM|permissions")):
            one = address.reader()
            with pytest.raises(CiaoError, match=text) as refusal, translated_errors(address):
                one.set("x", 1)
            one.close()
            assert type(refusal.value) is CiaoError
            assert SECRET not in str(refusal.value)
        client.config_set("maxmemory", 1)
        with pytest.raises(RedisFullError, match="memory is full"), translated_errors(ada):
            client.set("x", 1)
        client.config_set("maxmemory", 0)
        client.set("x", 1)
        with pytest.raises(CiaoError, match="is not a stream: choose another --stream"), translated_errors(ada):
            client.xlen("x")
        elsewhere = RedisAddress("unix", path=path, db=99).reader()
        with pytest.raises(CiaoError, match="out of range; give another database number"), translated_errors(ada):
            elsewhere.ping()
        elsewhere.close()
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(UnreachableError, match="is a replica"), translated_errors(ada):
            client.set("x", 1)
        with pytest.raises(redis.ResponseError, match="wrong number"), translated_errors(ada):
            client.execute_command("GET")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("MISCONF Errors writing to the AOF file: No space left on device", "cannot write to its disk"),
        ("Error running script: @user_script:17: -OOM command not allowed", "memory is full"),  # Redis 6
    ],
)
def test_a_full_disk_and_the_wording_of_old_servers_for_full_memory_are_understood(error, text):
    with pytest.raises(RedisFullError, match=text), translated_errors(RedisAddress("redis", "localhost", 1)):
        raise redis.ResponseError(error)
