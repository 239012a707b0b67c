"""`python -m wpbg` is the command `wpbg`."""

from __future__ import annotations

from wpbg.cli import main

if __name__ == "__main__":
    main()
