"""Every metric that a worker may show, for the documentation and the tests."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily, Metric

from wpbg.metrics.instruments import Instruments
from wpbg.metrics.site_view import GAUGES, WORKER_INFO


def families() -> list[Metric]:
    """Name, kind and meaning of each, in the order in which they are served."""
    return [
        *Instruments().registry.collect(),
        Metric(WORKER_INFO[0], WORKER_INFO[1], "info"),
        *(GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()),
    ]
