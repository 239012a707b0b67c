"""`script/fuzz`: as many frames and envelopes as are asked for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import envelopes, frames

CORPUS = Path(__file__).parent / "corpus"


def until(count: int, seed: int, what: str, attempt: Callable[[int], int]) -> None:
    """Attempts with seeds that follow each other; a failure says its own, by which it can be had again."""
    began, done, tries = time.monotonic(), 0, 0
    while done < count:
        try:
            done += attempt(seed + tries)
        except Exception as error:
            raise SystemExit(f"{what}, seed {seed + tries}: {type(error).__name__}: {error}") from error
        tries += 1
    print(f"{done} {what} in {tries} tries from seed {seed}, {time.monotonic() - began:.0f} s: nothing found")


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/fuzz", description="Feeds the readers of frames and envelopes.")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--envelopes", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"corpus: {frames.try_corpus(CORPUS)} streams, {envelopes.try_corpus(CORPUS)} payloads")
    until(args.frames, args.seed, "frames", frames.try_stream)
    until(args.envelopes, args.seed, "envelopes", envelopes.try_envelope)
    until(args.envelopes, args.seed, "payloads", envelopes.try_payload)
    return 0


if __name__ == "__main__":
    sys.exit(main())
