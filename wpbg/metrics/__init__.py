"""What a worker measures, in Prometheus format. Imported only where `--metrics` was given."""

from __future__ import annotations

from wpbg.metrics.instruments import Instruments
from wpbg.metrics.metered import MeteredQueue
from wpbg.metrics.server import MetricsServer, listen_address

__all__ = ["Instruments", "MeteredQueue", "MetricsServer", "listen_address"]
