"""A site with a broker in front of its table, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support import php
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.site import Site

BACKENDS = ("beanstalkd", "gearman")


@dataclass
class Broker:
    """A server that a test may stop, start and freeze; its port stays the same."""

    backend: str
    server: Beanstalkd | Gearmand

    @classmethod
    def of(cls, backend: str, folder: Path) -> Broker:
        """A server that keeps nothing when it ends, started."""
        server = Beanstalkd() if backend == "beanstalkd" else Gearmand(folder)
        server.start()
        return cls(backend, server)

    def serve(self, site: Site) -> None:
        """Have the site's jobs come through it."""
        site.configure(ABW_BACKEND=self.backend, ABW_BEANSTALKD=self.server.address)
        site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = {php.literal([self.server.address])};")

    def waiting(self, site: Site, queue: str = "default") -> int:
        """How many jobs of a queue are in it."""
        kind = "tube" if self.backend == "beanstalkd" else "gearman_function"
        return self.server.waiting(site.eval_php(f"echo Background_Worker\\Lane_Names::{kind}( '{queue}' );"))
