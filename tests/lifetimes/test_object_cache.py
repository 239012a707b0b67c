"""A persistent object cache on Redis: no process reads another one's answers, or what is no longer so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifetimes.at_work import LIFETIMES, PERSISTENT, PHP, at_work, jobs, put
from tests.support.redis import Redis
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

JOBS = int(os.environ.get("WPBG_TEST_CACHE_JOBS", "2000"))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def crossed(redis: Redis) -> Iterator[Path]:
    """The file in which the drop-in writes that it has read another process's answer."""
    redis.start()
    redis.command("FLUSHALL")
    file = redis.socket.with_name(f"{redis.socket.name}.crossed")
    file.unlink(missing_ok=True)
    yield file
    assert not file.exists(), file.read_text()


def with_cache(site: Site, redis: Redis, kind: str = "plain", **constants: object) -> None:
    site.configure(TEST_CACHE_SOCKET=str(redis.socket), TEST_CACHE_KIND=kind, **constants)
    (site.path / "wp-content/object-cache.php").write_text((PHP / "object-cache.php").read_text())
    jobs(site, "cached")
    next_second()


@pytest.mark.parametrize("kind", ["plain", "persistent"])
def test_forked_jobs_read_their_own_answers(maria71: Site, redis: Redis, crossed: Path, kind: str) -> None:
    with_cache(maria71, redis, kind)
    count = JOBS if kind == "plain" else JOBS // 10
    ids = put(maria71, "caches", range(count))
    done = maria71.wpbg("listen", "--mode", "fork", "--concurrency", "4", "--stop-when-empty", timeout=280)
    assert done.returncode == 0, done.stderr
    rows = maria71.query(f"SELECT status, attempts, result, error FROM {maria71.jobs}")
    assert [row["error"] for row in rows if row["error"]] == []
    assert {(row["status"], row["attempts"]) for row in rows} == {("completed", 1)}
    assert sorted(json.loads(row["result"]) for row in rows) == list(range(1, len(ids) + 1)), "each counted once"


@pytest.mark.parametrize("kind", ["persistent", "hidden"])
def test_half_an_answer_is_left_to_nobody(maria71: Site, redis: Redis, crossed: Path, kind: str) -> None:
    """A connection that the parent cannot close goes from child to child: not from one that was killed."""
    with_cache(maria71, redis, kind)
    with at_work(maria71, "fork") as work:
        assert work.result("caches", 1) == 1
        assert work.result("caches", 2) == 2
        assert work.replaced() == []
        assert work.run("dies_before_the_answer")["status"] == "failed"
        assert work.result("caches", 3) == 3
        assert any("shared a connection with it (a UNIX socket)" in why for why in work.replaced()), work.replaced()


@pytest.mark.parametrize("supports", [True, False])
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_jobs_see_what_others_have_cached(
    maria71: Site, redis: Redis, crossed: Path, lifetime: str, supports: bool
) -> None:
    with_cache(maria71, redis, **({} if supports else {"TEST_CACHE_SUPPORTS_NOTHING": True}))
    with at_work(maria71, lifetime) as work:
        assert work.result("cached", "key") is False
        for value in ("one", "two"):
            redis.command("SET", "seen:key", f's:3:"{value}";')
            assert work.result("cached", "key") == value
        redis.command("DEL", "seen:key")
        assert work.result("cached", "key") is False


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_groups_that_plugins_have_named(sites: Sites, redis: Redis, crossed: Path, lifetime: str) -> None:
    """A group of all blogs, and one that is not kept: no job may find them as any other group."""
    network = sites.clone("multisite")
    with_cache(network, redis, TEST_CACHE_SUPPORTS_NOTHING=True)
    with at_work(network, lifetime) as work:
        assert work.result("caches_in_groups", "one", blog_id=1) == [False, False]
        assert work.result("caches_in_groups", "two", blog_id=2) == ["one", False]
        assert work.result("caches_in_groups", "three", blog_id=3) == ["two", False]
        assert redis.command("GET", "of_all_blogs:key") == 's:5:"three";'
    sites.close(network)


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_redis_is_restarted(maria71: Site, redis: Redis, crossed: Path, lifetime: str) -> None:
    with_cache(maria71, redis)
    with at_work(maria71, lifetime) as work:
        assert work.result("caches", 1) == 1
        redis.stop()
        redis.start()
        wait_for(lambda: work.run("caches", 2)["status"] == "completed", 20, "a job that reaches the cache")
        assert work.result("caches", 3) > 0
