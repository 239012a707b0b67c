"""Every metric that a worker may show, for the documentation and the tests."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

from wpbg.metrics.instruments import Instruments
from wpbg.metrics.site_view import GAUGES, WORKER_INFO


@dataclass(frozen=True)
class Family:
    """A metric as it is told of."""

    name: str
    type: str
    documentation: str
    labels_known: tuple[str, ...] = ()


def families() -> list[Family]:
    """Every metric of ours and of the client library, in the order in which they are served."""
    instruments = Instruments()
    labels = {
        metric._name: tuple(metric._labelnames)
        for metric in vars(instruments).values()
        if isinstance(metric, MetricWrapperBase)
    }
    return [
        *(
            Family(metric.name, metric.type, metric.documentation, labels.get(metric.name, ()))
            for metric in instruments.registry.collect()
        ),
        Family(WORKER_INFO[0], "info", WORKER_INFO[1], ("name", "version", "mode", "queues")),
        *(Family(name, "gauge", text, names) for name, (text, names) in GAUGES.items()),
    ]
