"""Measure speed and memory side by side with their limits: `python -m fancnn.benchmark`."""

from fancnn.command import command
from fancnn.settings import BenchmarkSettings
from fancnn.tool_limits import check_benchmark
from fancnn.train import build


@command("benchmark", BenchmarkSettings, validate=check_benchmark, build=build)
def main(settings: BenchmarkSettings) -> None:
    from fancnn.workflows.benchmarking import benchmark  # lazy: --help must not wait for torch

    benchmark(settings)


if __name__ == "__main__":
    main()
