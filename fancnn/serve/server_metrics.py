"""What the server counts, in the text format that Prometheus reads (version 0.0.4)."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from fancnn.metrics.thresholds import DECISIONS

BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

disable_created_metrics()  # type: ignore[no-untyped-call]  # in this format each would read as a metric of its own


class Metrics:
    """Counts since the start, in a registry of their own; nothing else of the program is counted there.

    Args:
        model: File name of the model.
        sha256: Of that file.

    Attributes:
        images: Images decided, by decision.
        golden_runs: Looks at the golden images, by result: `pass` or `fail`.
        not_finite: Requests without a decision, since the network's output was NaN or infinite.
    """

    def __init__(self, model: str, sha256: str) -> None:
        self.model, self.sha256 = model, sha256
        self._registry = own = CollectorRegistry()
        self.images = Counter("fancnn_images", "Images decided", ["decision"], registry=own)
        self.golden_runs = Counter("fancnn_golden_runs", "Looks at the golden images", ["result"], registry=own)
        self.not_finite = Counter("fancnn_not_finite", "Requests whose probability was NaN or infinite", registry=own)
        self._requests = Counter("fancnn_requests", "Requests to decide that were answered", ["status"], registry=own)
        seconds = "Seconds that a request to decide took"
        self._seconds = Histogram("fancnn_request_seconds", seconds, buckets=BOUNDS, registry=own)
        self._ready = Gauge("fancnn_ready", "Whether requests are answered with decisions", registry=own)
        self._under_way = Gauge("fancnn_requests_under_way", "Requests that wait or are worked on", registry=own)
        Info("fancnn_model", "The file that decides", registry=own).info({"file": model, "sha256": sha256})
        ProcessCollector(registry=own)
        for decision in DECISIONS:  # those of which there is none yet are 0, and not absent
            self.images.labels(decision)
        for result in ("pass", "fail"):
            self.golden_runs.labels(result)

    def add_request(self, status: int, seconds: float) -> None:
        """Count a request to decide, whatever it was answered with."""
        self._requests.labels(status).inc()
        self._seconds.observe(seconds)

    def as_text(self, ready: bool, under_way: int) -> str:
        """Return all of them.

        Args:
            ready: Whether requests are answered with decisions.
            under_way: Requests that wait or are worked on.
        """
        self._ready.set(ready)
        self._under_way.set(under_way)
        return generate_latest(self._registry).decode()
