"""Rows of the tables as people and scripts are shown them. No I/O.

The keys are a contract: scripts read them from `--format json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from wpbg.job import Status
from wpbg.ledger.labels import callback_label

Row = dict[str, Any]
View = dict[str, Any]

FINISHED = frozenset(status.value for status in Status if status.finished)

SILENT_MS = 60_000
"""A worker that has not been heard of for this long is shown as lost."""


@dataclass(frozen=True)
class Waiting:
    """A job that waits in a broker, as far as that tells. `body` is the signed whole, empty where it is not shown.

    `remove` takes it out of the broker and tells whether it was there; None where the broker cannot.
    """

    view: View
    body: bytes = b""
    remove: Callable[[], bool] | None = None


def iso(ms: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC, to the millisecond; None stays None."""
    if ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(int(ms) / 1000, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decoded(text: str | None) -> Any:
    """A JSON column's value; its text where it is no JSON (a row changed by hand)."""
    if text is None or text == "":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def readable(output: bytes | str | None) -> str:
    """What a run printed, as text: bytes that are no UTF-8 are replaced, nothing is taken out."""
    if output is None:
        return ""
    return output if isinstance(output, str) else bytes(output).decode("utf-8", "replace")


def error_view(text: str | None) -> View | None:
    """`{class, message, file, line, trace}` or None."""
    value = decoded(text)
    if value is None:
        return None
    said = value if isinstance(value, dict) else {"message": str(value)}
    return {
        "class": str(said.get("class", "")),
        "message": str(said.get("message", "")),
        "file": str(said.get("file", "")),
        "line": said.get("line", 0),
        "trace": said.get("trace", ""),
    }


def progress_view(row: Row) -> View | None:
    if row["progress_done"] is None:
        return None
    return {"done": row["progress_done"], "total": row["progress_total"], "message": row["progress_message"] or ""}


def job_summary(row: Row) -> View:
    """A job in a list: everything but its output and its error's trace."""
    error = error_view(row["error"])
    if error is not None:
        del error["trace"]
    created = row["created_ms"]
    return {
        "id": str(row["id"]),
        "queue": row["queue"],
        "callback": row["callback"] or callback_label(bytes(row.get("payload") or row.get("head") or b"")),
        "status": row["status"],
        "attempts": row["attempts"],
        "max_attempts": row["max_attempts"],
        "priority": row["priority"],
        "batch": row["batch"],
        "created_at": iso(created),
        "available_at": iso(row["available_at"] or created),
        "started_at": iso(row["started_at"]),
        # The column also holds the end of the last attempt of a job that will run again.
        "finished_at": iso(row["finished_at"]) if row["status"] in FINISHED else None,
        "runtime_ms": row["runtime_ms"],
        "worker": row["worker"],
        "result": decoded(row["result"]),
        "error": error,
        "progress": progress_view(row),
    }


def job_state(row: Row) -> View:
    """Where a job stands."""
    return {
        "id": str(row["id"]),
        "queue": row["queue"],
        "status": row["status"],
        "callback": row["callback"],
        "progress": progress_view(row),
    }


def job_details(row: Row) -> View:
    """A job with everything that is known of it."""
    view = job_summary(row)
    view["error"] = error_view(row["error"])
    progress = view.pop("progress")
    return {**view, "output": readable(row["output"]), "progress": progress}


def attempts(row: Row) -> list[View]:
    """Every attempt of a job that is known of, oldest first.

    Those that did not end it well are in its history. The last one is in the job's own columns, with
    all of its output; `ending` is `running` while it goes on.
    """
    history = decoded(row["history"])
    past = [_past(entry) for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    if row["started_at"] is None:
        return past
    last = {
        "attempt": row["attempts"],
        "worker": row["worker"],
        "started_at": iso(row["started_at"]),
        "finished_at": iso(row["finished_at"]),
        "runtime_ms": row["runtime_ms"],
        "ending": row["status"],
        "error": error_view(row["error"]),
        "output": readable(row["output"]),
        "note": row["note"],
    }
    # The row knows when the job was claimed, its history when it began; both were written at the same end.
    if past and (past[-1]["attempt"], past[-1]["finished_at"]) == (last["attempt"], last["finished_at"]):
        same = past.pop()
        last.update(ending=same["ending"], started_at=same["started_at"] or last["started_at"])
    return [*past, last]


def _past(entry: View) -> View:
    return {
        "attempt": entry.get("attempt"),
        "worker": entry.get("worker"),
        "started_at": iso(entry.get("started_at")),
        "finished_at": iso(entry.get("finished_at")),
        "runtime_ms": _between(entry.get("started_at"), entry.get("finished_at")),
        "ending": entry.get("ending", ""),
        "error": entry.get("error"),
        "output": str(entry.get("output") or ""),
        "note": entry.get("note"),
    }


def _between(begin: Any, end: Any) -> int | None:
    return end - begin if isinstance(begin, int) and isinstance(end, int) else None


def worker_view(row: Row, now_ms: int) -> View:
    """A slot of a worker. `state` is `lost` when it has been silent for a minute."""
    lost = now_ms - int(row["heartbeat_at"]) > SILENT_MS
    queues = decoded(row["queues"])
    return {
        "name": row["name"],
        "host": row["host"],
        "pid": row["pid"],
        "mode": row["mode"],
        "queues": queues if isinstance(queues, list) else [],
        "state": "lost" if lost else row["state"],
        "job": row["job_id"],
        "started_at": iso(row["started_at"]),
        "heartbeat_at": iso(row["heartbeat_at"]),
        "jobs_done": row["jobs_done"],
        "memory_mb": round(int(row["memory_bytes"]) / 2**20, 1),
    }
