"""Fixtures of all stream tests: a server for each test file, a stream for each test, and a client."""

from tests.helpers.redis_server import client as client
from tests.helpers.redis_server import names as names
from tests.helpers.redis_server import server as server
