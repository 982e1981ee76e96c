"""Measure speed and memory side by side with their limits: `python -m fancnn.benchmark`."""

from fancnn.command import command
from fancnn.settings import BenchmarkSettings


@command("benchmark", BenchmarkSettings)
def main(settings: BenchmarkSettings) -> None:
    from fancnn.workflows.benchmarking import benchmark  # lazy: --help must not wait for torch

    benchmark(settings)


if __name__ == "__main__":
    main()
