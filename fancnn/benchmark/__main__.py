"""Measure speed and memory side by side with their limits: `python -m fancnn.benchmark`."""

from fancnn.benchmark.settings import BenchmarkSettings
from fancnn.cli.command import command
from fancnn.train.settings import build


@command("benchmark", BenchmarkSettings, build=build)
def main(settings: BenchmarkSettings) -> None:
    from fancnn.benchmark.benchmark import benchmark  # lazy: --help must not wait for torch

    benchmark(settings)


if __name__ == "__main__":
    main()
