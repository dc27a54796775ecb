"""A Redis of their own for the tests that share a rate."""

from __future__ import annotations

import pytest

from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory):
    """One server for tests that do it no harm; each uses a partner of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_redis(tmp_path):
    """A server for a test that freezes or kills it."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
