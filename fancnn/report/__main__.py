"""A page that says what a model is worth: `python -m fancnn.report run=outputs/train/<stamp>`."""

from fancnn.cli.command import command
from fancnn.report.settings import ReportSettings


@command("report", ReportSettings)
def main(settings: ReportSettings) -> None:
    from fancnn.report.report import report  # lazy: --help must not wait for matplotlib

    report(settings)


if __name__ == "__main__":
    main()
