"""Rows by the million, past WordPress."""

from __future__ import annotations

from typing import Any, Protocol


class Filled(Protocol):
    """A site, or what has tables like one."""

    @property
    def jobs(self) -> str: ...

    @property
    def server(self) -> object: ...

    @property
    def query(self) -> Any: ...


def insert(site: Filled, columns: str, many: int, values: str) -> None:
    """Rows numbered by `n`, in pieces that no transaction log chokes on."""
    for start in range(0, many, 50_000):
        rows = min(50_000, many - start)
        if site.server:
            source = f"(SELECT seq AS n FROM seq_{start + 1}_to_{start + rows}) AS numbers"
            site.query(f"INSERT INTO {site.jobs} ({columns}) SELECT {values} FROM {source}")
        else:
            count = f"SELECT {start + 1} UNION ALL SELECT n + 1 FROM numbers WHERE n < {start + rows}"
            source = f"WITH RECURSIVE numbers(n) AS ({count})"
            site.query(f"INSERT INTO {site.jobs} ({columns}) {source} SELECT {values} FROM numbers")
