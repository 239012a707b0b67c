"""Bodies from a broker that nobody would put there, and payloads of which only the callback's name is read.

Whatever comes: an `Envelope` or `BadEnvelope`, a label; no other exception. What is not signed is never opened, and
what was signed comes back as it was.
"""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import phpserialize

from wpbg.job import NewJob
from wpbg.ledger.labels import UNKNOWN, callback_label
from wpbg.queues.envelope import MAC, PREFIX, BadEnvelope, Forged, Seal, fields_of

SEAL = Seal(b"k" * 32)
SPLICES = (b's:99999999999:"', b"a:1000000000:{", b'O:8:"stdClass":3:{', b"i:", b"9" * 5000, b"N;", b"}", b"\0", b'";')


def job(chance: random.Random) -> NewJob:
    text = "".join(chance.choice("añ\0\"';:{}é漢 _x9") for _ in range(chance.randrange(12)))
    return NewJob(
        queue=text or "default",
        payload=chance.randbytes(chance.choice([0, 1, 30, 3000])),
        priority=chance.randint(-(2**31), 2**31 - 1),
        max_attempts=chance.randrange(1, 100),
        backoff=chance.randrange(10**6),
        timeout=chance.choice([None, 0, 300]),
        batch=chance.choice([None, text]),
        blog_id=chance.randrange(100),
        callback=chance.choice([None, text]),
    )


def spoiled(text: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randrange(1, 4)):
        at, pick = chance.randrange(len(text) + 1), chance.randrange(5)
        if pick == 0:
            text = text[:at]
        elif pick == 1:
            text = text[:at] + chance.choice(SPLICES) + text[at:]
        elif pick == 2 and text:
            text = text[: at % len(text)] + chance.randbytes(1) + text[at % len(text) + 1 :]
        elif pick == 3:
            text = text[:at] + text[chance.randrange(len(text) + 1) :]
        else:
            text = chance.randbytes(chance.randrange(80))
    return text


def try_envelope(seed: int) -> int:
    """One body, as it is, spoiled, and spoiled before it was signed."""
    chance = random.Random(seed)
    new = job(chance)
    identity = chance.randbytes(16).hex()
    body = SEAL.sign(fields_of(new, identity, 1))
    opened = SEAL.open(body)
    assert (opened.id, opened.queue, opened.priority, opened.batch) == (identity, new.queue, new.priority, new.batch)
    wrong = spoiled(body, chance)
    if wrong != body:
        _refused(wrong, Forged)
    text = spoiled(body[len(PREFIX) + MAC + 1 :], chance)
    signed = PREFIX + SEAL._mac(text) + b"." + text
    try:
        SEAL.open(signed)
    except BadEnvelope as bad:
        assert not isinstance(bad, Forged), "it is signed"
    return 3


def _refused(body: bytes, kind: type[BadEnvelope]) -> None:
    try:
        SEAL.open(body)
    except kind:
        return
    raise AssertionError(f"{body!r} was opened")


def try_payload(seed: int) -> int:
    """A payload's head, for the label."""
    chance = random.Random(seed)
    function = chance.choice(["f", ["A", "b"], [phpserialize.phpobject("A", {"x": 1}), "b"], 7, None, ["a"]])
    target = dict(enumerate(function)) if isinstance(function, list) else function
    payload = phpserialize.dumps(phpserialize.phpobject("stdClass", {"function": target, "user_data": [1, "x"]}))
    for body in (payload, spoiled(payload, chance), spoiled(payload, chance)[:4096]):
        label = callback_label(body)
        assert isinstance(label, str)
        assert label
    return 3


def memory_of(body: bytes) -> int:
    """Bytes that reading a body takes at most, beside the body."""
    tracemalloc.start()
    try:
        SEAL.open(PREFIX + SEAL._mac(body) + b"." + body)
    except BadEnvelope:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def try_corpus(folder: Path) -> int:
    files = sorted(folder.glob("*.payload"))
    for file in files:
        text = file.read_bytes()
        assert callback_label(text)
        try:
            SEAL.open(PREFIX + SEAL._mac(text) + b"." + text)
        except BadEnvelope:
            continue
    return len(files)


__all__ = ["UNKNOWN", "memory_of", "try_corpus", "try_envelope", "try_payload"]
