"""What an idle worker asks of a MySQL server, all day long."""

from __future__ import annotations

import pytest

from tests.contract.bench import DatabaseBench, job
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.mysql import MySQL


def _begun(queue: DatabaseQueue) -> int:
    """The transactions that this connection has begun."""
    assert isinstance(queue.database, MySQL)
    (row,) = queue.database._ask("SHOW SESSION STATUS LIKE 'Com_begin'")
    return int(row["Value"])


def test_who_found_nothing_looks_before_a_transaction_is_begun(
    maria: DatabaseBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begin, look with locks, commit: three questions for nothing, of each slot and each second."""
    queue = maria.queue()
    assert queue.reserve(1, "w1") == []
    before = _begun(queue)
    for _ in range(3):
        assert queue.reserve(1, "w1") == []
    assert _begun(queue) == before
    queue.put([job(), job()])
    (found,) = queue.reserve(1, "w1")
    assert found
    busy, looked = _begun(queue), list[str]()
    plain = queue.database.rows
    monkeypatch.setattr(queue.database, "rows", lambda name, **given: [looked.append(name), *plain(name, **given)][1:])
    assert len(queue.reserve(1, "w1")) == 1
    assert _begun(queue) == busy + 1
    assert looked == ["claim_lock"], "who finds jobs does not look twice"
