"""A page that says what a model is worth: `python -m fancnn.report run=outputs/train/<stamp>`."""

from fancnn.command import command
from fancnn.judging_limits import check_reporting
from fancnn.settings import ReportSettings


@command("report", ReportSettings, validate=check_reporting)
def main(settings: ReportSettings) -> None:
    from fancnn.workflows.reporting import report  # lazy: --help must not wait for matplotlib

    report(settings)


if __name__ == "__main__":
    main()
