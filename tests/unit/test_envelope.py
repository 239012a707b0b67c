"""Envelopes: what is signed is read as it was written, and nothing else is read."""

from __future__ import annotations

from typing import Any

import phpserialize
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wpbg.queues.envelope import PREFIX, BadEnvelope, Forged, Seal, _envelope, _plain, scalars
from wpbg.queues.gearman import Handle, identity_of
from wpbg.queues.minions import from_minions

SEAL = Seal(b"k" * 32)
FIELDS: dict[str, Any] = {
    "v": 1,
    "id": "0f" * 16,
    "queue": "default",
    "blog": 1,
    "callback": "f",
    "max_attempts": 3,
    "backoff": 30,
    "timeout": None,
    "priority": -7,
    "batch": "ü",
    "at": 1_800_000_000_000,
    "payload": b'\x00\xff";}',
}
VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40))


@given(st.dictionaries(st.text(max_size=9).filter(lambda name: not name.isdigit()), VALUES, max_size=9))
def test_flat_arrays_are_read_as_a_full_reader_reads_them(fields: dict[str, Any]) -> None:
    text = phpserialize.dumps(fields)
    read = phpserialize.loads(text)
    assert scalars(text) == {name.decode(): value for name, value in read.items()} == fields


@given(st.binary(max_size=60))
def test_nothing_else_is_read(text: bytes) -> None:
    with pytest.raises((ValueError, UnicodeDecodeError)):
        scalars(b'O:1:"X"' + text)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"a:1:{}", b"a:0:{};", b'a:1:{s:1:"a";a:0:{}}', b"a:1:{i:0;i:1;}", b'a:1:{s:9:"a";N;}'),
        *(b'a:1:{s:1:"a";d:1;}', b'a:1:{s:1:"a";O:6:"Gadget":0:{}}', b'a:1:{s:1:"a";N;', b'a:2:{s:1:"a";N;}'),
        b'a:1:{s:1:"a";N;}x',
    ],
)
def test_other_texts_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        scalars(text)


def test_an_envelope_is_read_back() -> None:
    envelope = SEAL.open(SEAL.sign(FIELDS))
    assert (envelope.id, envelope.queue, envelope.priority, envelope.batch) == ("0f" * 16, "default", -7, "ü")
    assert (envelope.timeout, envelope.at_ms) == (None, 1_800_000_000_000)


WORDS = st.text(alphabet='ab"\n;:{}ü\x00', max_size=12)
NUMBERS = st.integers(-(10**17), 10**17)


@given(
    st.fixed_dictionaries(
        {
            **{name: st.just(FIELDS[name]) for name in ("v", "id")},
            "queue": WORDS,
            "blog": st.integers(0, 10**17),
            "callback": WORDS,
            **dict.fromkeys(("max_attempts", "backoff"), NUMBERS),
            "timeout": st.one_of(st.none(), NUMBERS),
            "priority": NUMBERS,
            "batch": st.one_of(st.none(), WORDS),
            "at": st.integers(0, 10**17),
            "payload": st.binary(max_size=40),
        }
    ),
    st.integers(0, 400),
    st.binary(max_size=3),
)
def test_the_quick_way_to_read_one_finds_what_the_other_finds_or_nothing(
    fields: dict[str, Any], at: int, spliced: bytes
) -> None:
    text = phpserialize.dumps({name: fields[name] for name in FIELDS})
    quick = _plain(text, b"")
    assert quick in (None, _envelope(scalars(text), b""))
    assert (quick is None) == any(b'"' in (fields[name] or "").encode() for name in ("queue", "callback", "batch"))
    damaged = text[:at] + spliced + text[at + len(spliced) :]
    try:
        found = _plain(damaged, b"")
    except UnicodeDecodeError:
        return
    assert found is None or found == _envelope(scalars(damaged), b"")


def test_no_bit_of_a_body_may_change() -> None:
    body = SEAL.sign(FIELDS)
    for place in range(len(body)):
        for bit in (1, 0x20, 0x80):
            changed = body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
            with pytest.raises(Forged):
                SEAL.open(changed)


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"id": "../etc"}, {"queue": None}, {"blog": b"x"}, {"max_attempts": None}]
)
def test_what_is_signed_but_no_envelope_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadEnvelope, match="signed, but"):
        SEAL.open(SEAL.sign({**FIELDS, **change}))


def test_another_sites_key_fits_nothing() -> None:
    with pytest.raises(Forged):
        Seal(b"K" * 32).open(SEAL.sign(FIELDS))
    with pytest.raises(Forged):
        SEAL.open(PREFIX)


def test_the_key_is_not_shown() -> None:
    assert "k" * 8 not in repr(SEAL)


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"[1, -1e999]"])
def test_numbers_that_no_float_holds_are_refused(number: bytes) -> None:
    """What would be written for them, PHP could not read."""
    with pytest.raises(BadEnvelope):
        from_minions(b'{"hook":"foo","args":%s}' % number, "default", "0" * 32)


def test_a_blog_may_be_told_as_text() -> None:
    assert from_minions(b'{"hook":"foo","blog_id":"2"}', "default", "0" * 32).blog_id == 2
    with pytest.raises(BadEnvelope):
        from_minions(b'{"hook":"foo","blog_id":"two"}', "default", "0" * 32)


def test_a_workload_is_known_again_by_what_its_sender_cannot_have_meant_twice() -> None:
    def known(unique: bytes, name: bytes = b"H:host:1", server: str = "a:1") -> str:
        return identity_of(Handle(server, "default", ":WP_Async_Task", name, unique))

    random = b"6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    assert known(random) == known(random, b"H:host:7"), "a server that kept it gives it another handle"
    assert known(random) != known(random.replace(b"6", b"7"))
    # A key that somebody chose comes again, and handles begin at 1 with each start of the server.
    assert known(b"report") == known(b"report")
    assert known(b"report") != known(b"report", b"H:host:2")
    assert known(b"report") != known(b"report", server="b:1")
    assert known(b"") != known(b"")
    assert known(b"0" * 32) == "0" * 32
