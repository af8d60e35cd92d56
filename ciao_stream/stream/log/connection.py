"""Addresses of Redis servers, the rules for encryption, and the two kinds of client.

A client that reads for the learner never sends a command twice: the lost reply carried entries, and a second reply
would carry those after them. All other commands here are idempotent, and are repeated until the server responds.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import redis
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from ciao_stream.exceptions import CiaoError, UnknownNameError

PASSWORD_VARIABLE = "CIAO_REDIS_PASSWORD"
"""Environment variable with the password, for a URL without one."""

TIMEOUT_S = 5.0
"""Seconds after which a reply counts as lost; a command may block for at most half of them."""

RETRIES = 5
"""How often an idempotent command is repeated, 0.05 s to 2 s apart."""

HEALTH_CHECK_S = 15
"""Seconds of silence after which a connection is tested before it is used."""

_FORMS = "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://... (TLS) or unix:///PATH/TO/SOCKET"
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_NEVER = {
    "WRONGTYPE": "this key is not a stream: choose another --stream",
    "DB index": "give another database number in the URL, or none",
    "DENIED": "it refuses connections from other hosts until it has a password: set one",
}
"""Permanent errors by the start of their text, and what to do."""

_TLS_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class UnreachableError(CiaoError):
    """Redis does not respond now; the same call may succeed later."""


class RedisFullError(CiaoError):
    """Redis accepts no more data until some is removed; reading, acknowledging and trimming still work."""


class CursorLostError(CiaoError):
    """The position in the stream is lost: call :meth:`FrameLog.resync`."""


@dataclass(frozen=True)
class RedisAddress:
    """The address of a Redis server; its text hides the password.

    Args:
        scheme: ``redis``, ``rediss`` or ``unix``.
        host: Host name or address; empty for ``unix``.
        port: 0 for ``unix``.
        path: Path of the socket, for ``unix``.
        db: Database number.
        username: ACL user; None for the default user.
        password: None where none is needed.
        tls: Files for ``rediss``: ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, *, insecure: bool = False, environment: Mapping[str, str] | None = None) -> RedisAddress:
        """Read a URL.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``. After ``?``: ``db``, and for ``rediss`` the files
                ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``; certificate and host name are always checked.
            insecure: Whether ``redis://`` may go to another host, where the network can read faces and password.
            environment: Environment variables, for :data:`PASSWORD_VARIABLE`; None: those of the process.

        Raises:
            CiaoError: The URL cannot be read, would go to another host unencrypted, or names a missing file. No part of
                a password is shown.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 6379
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            over_socket = parts.scheme == "unix"
            db = int(options.pop("db", "") or ("" if over_socket else parts.path.strip("/")) or 0)
        except ValueError:
            raise _unreadable() from None
        if parts.scheme not in ("redis", "rediss", "unix") or parts.fragment or db < 0:
            raise _unreadable()
        if not (parts.path.startswith("/") and not host if over_socket else host):
            raise _unreadable()
        known = _TLS_OPTIONS if parts.scheme == "rediss" else ()
        for name in options:
            if name not in known:
                raise UnknownNameError(f"option of {parts.scheme}://", name, ["db", *known])
            if not Path(options[name]).is_file():
                raise CiaoError(f"{name}={options[name]}: file not found")
        if parts.scheme == "redis" and not insecure and not _is_loopback(host):
            raise CiaoError(
                f"redis://{host} would send faces and passwords unencrypted to another host: "
                "use rediss://, an encrypted tunnel to localhost, or --insecure"
            )
        environment = os.environ if environment is None else environment
        return cls(
            scheme=parts.scheme,
            host=host,
            port=0 if over_socket else port,
            path=unquote(parts.path) if over_socket else "",
            db=db,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else environment.get(PASSWORD_VARIABLE) or None,
            tls=options,
        )

    def __str__(self) -> str:
        """Return the URL with the password hidden."""
        who = f"{self.username or ''}:***@" if self.password else f"{self.username}@" if self.username else ""
        if self.scheme == "unix":
            return f"unix://{who}{quote(self.path)}" + (f"?db={self.db}" if self.db else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{who}{host}:{self.port}/{self.db}"

    def reader(self, timeout_s: float = TIMEOUT_S) -> redis.Redis:
        """Return a client for commands that must not be sent twice: it repeats none."""
        return self._client(Retry(NoBackoff(), 0), timeout_s, "ciao-reader", {})

    def client(self, timeout_s: float = TIMEOUT_S) -> redis.Redis:
        """Return a client for idempotent commands: it repeats a command whose reply is lost."""
        again = {"retry_on_error": [redis.ConnectionError, redis.TimeoutError]}
        return self._client(Retry(EqualJitterBackoff(cap=2.0, base=0.05), RETRIES), timeout_s, "ciao", again)

    def _client(self, retry: Retry, timeout_s: float, name: str, more: dict[str, Any]) -> redis.Redis:
        where: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.scheme == "unix":
            where = {"unix_socket_path": self.path}
        if self.scheme == "rediss":
            where |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, **self.tls}
        return redis.Redis(
            **where,
            db=self.db,
            username=self.username,
            password=self.password,
            protocol=2,  # the same replies from every release of redis-py; works with proxies without HELLO
            retry=retry,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            health_check_interval=HEALTH_CHECK_S,
            client_name=name,
            **more,
        )


def seconds_until_retry(limits: tuple[float, float], tries: int) -> float:
    """Return how many seconds to wait after a failed attempt: doubled each time, with jitter.

    Args:
        limits: The first and the longest wait, in seconds.
        tries: Earlier failures in a row.
    """
    base, cap = limits
    return EqualJitterBackoff(cap=cap, base=base).compute(min(tries, 20))  # 2 ** tries must stay finite


@contextlib.contextmanager
def translated_errors(address: RedisAddress) -> Iterator[None]:
    """Translate errors of Redis, or of the connection to it, that occur in the block.

    Raises:
        UnreachableError: No connection, no reply in time, or the server is still loading, or has become a replica.
        RedisFullError: Its memory or its disk is full.
        CiaoError: The password is wrong, the user lacks the permission, a certificate is not trusted, the database does
            not exist, or the key is not a stream.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise CiaoError(
            f"{address} refuses the user or the password ({error}): check the URL and {PASSWORD_VARIABLE}"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if refusal := _tls_refusal(error):
            raise CiaoError(f"{address}: {refusal}") from error
        check = "and is this its address?"
        if address.scheme == "rediss":
            check = "is this its address, and does it require a client certificate?"
        raise UnreachableError(f"{address} does not respond ({error}): is the server up, {check}") from error
    except redis.ResponseError as error:
        text = str(error)
        if isinstance(error, NoPermissionError):
            raise CiaoError(f"{address}: {text}; give the user the rules of its role") from error
        if isinstance(error, OutOfMemoryError) or "OOM " in text:  # the latter from scripts of old servers
            raise RedisFullError(
                f"{address}: its memory is full (maxmemory): let the learner catch up, or raise the limit"
            ) from error
        if text.startswith("MISCONF"):
            raise RedisFullError(f"{address} cannot write to its disk: free some space there") from error
        if isinstance(error, ReadOnlyError):
            raise UnreachableError(f"{address} is a replica, which is read-only: use its primary") from error
        for words, advice in _NEVER.items():
            if text.startswith(words):
                raise CiaoError(f"{address}: {text.splitlines()[0]:.120}; {advice}") from error
        raise


@contextlib.contextmanager
def ignoring(*words: str) -> Iterator[None]:
    """Ignore an error of Redis with any of these words, which means that nothing is left to do."""
    try:
        yield
    except redis.ResponseError as error:
        if not any(one in str(error) for one in words):
            raise


@contextlib.contextmanager
def noticing_removal(stream: str, group: str | None) -> Iterator[None]:
    """Notice that a stream or its group was removed.

    Raises:
        CursorLostError: It was removed.
    """
    try:
        yield
    except redis.ResponseError as error:
        if str(error).startswith(("NOGROUP", "UNBLOCKED")):
            raise CursorLostError(f"stream {stream!r} or its group {group!r} was removed") from error
        raise


def _tls_refusal(error: BaseException | None) -> str | None:
    """Return why TLS cannot work with these files and this server; None where it might."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({error.verify_message}): give the certificate authority's file with "
                "?ssl_ca_certs=FILE, and the host name as in the certificate"
            )
        if isinstance(error, ssl.SSLError) and not isinstance(error, _TLS_BROKEN_OFF):
            return f"TLS failed ({error.reason or error}): check ssl_ca_certs, ssl_certfile and ssl_keyfile in the URL"
        error = error.__cause__ or error.__context__
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _unreadable() -> CiaoError:
    """Return an error that quotes nothing: any part may belong to a password with unescaped characters."""
    return CiaoError(
        f"cannot read the Redis URL: expected {_FORMS}; write special characters of a password as %XX, "
        f"or put it in {PASSWORD_VARIABLE}"
    )
