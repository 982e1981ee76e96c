"""What the server counts, in the text format that Prometheus reads (version 0.0.4)."""

import time
from bisect import bisect_left
from collections import Counter
from pathlib import Path

from fancnn.metrics.thresholds import DECISIONS, Decision

BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """Counts since the start; used by one thread alone, that of the event loop."""

    def __init__(self, model: str, sha256: str) -> None:
        self.model, self.sha256 = model, sha256
        self.started = time.time()
        self.decided: Counter[Decision] = Counter()
        self.answered: Counter[int] = Counter()
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.golden_runs: Counter[str] = Counter()
        self.not_finite = 0  # requests without a decision, since the network's output was NaN or infinite

    def add_request(self, status: int, seconds: float) -> None:
        """Count a request to decide, whatever it was answered with."""
        self.answered[status] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def as_text(self, ready: bool, under_way: int) -> str:
        """All of them.

        Args:
            ready: Whether requests are answered with decisions.
            under_way: Requests that wait or are worked on.
        """
        named = {
            "images_total": [(f'decision="{name}"', self.decided[name]) for name in DECISIONS],
            "requests_total": [(f'status="{status}"', count) for status, count in sorted(self.answered.items())],
            "golden_runs_total": [(f'result="{name}"', self.golden_runs[name]) for name in ("pass", "fail")],
        }
        lines = []
        for name, samples in named.items():
            lines += [f"# TYPE fancnn_{name} counter", *(f"fancnn_{name}{{{label}}} {n}" for label, n in samples)]
        lines += ["# TYPE fancnn_not_finite_total counter", f"fancnn_not_finite_total {self.not_finite}"]
        gauges = {
            "fancnn_ready": int(ready),
            "fancnn_requests_under_way": under_way,
            f'fancnn_model_info{{file="{_escaped(self.model)}",sha256="{self.sha256}"}}': 1,
            "process_start_time_seconds": round(self.started, 3),
            "process_resident_memory_bytes": resident_bytes(),
        }
        for name, value in gauges.items():
            lines += [f"# TYPE {name.partition('{')[0]} gauge", f"{name} {value}"]
        return "\n".join([*lines, *self._histogram(), ""])

    def _histogram(self) -> list[str]:
        name, below = "fancnn_request_seconds", 0
        lines = [f"# TYPE {name} histogram"]
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.buckets, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {self.seconds:.6f}", f"{name}_count {below}"]


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system does not say it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(found[0]) * 1024 if found else 0


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
