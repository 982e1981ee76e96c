"""The story of `python -m fancnn.report`: a page that says what a model is worth, and figures for TensorBoard."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fancnn.files.atomic_files import atomic_text
from fancnn.files.run import Run
from fancnn.files.run_folders import at_work
from fancnn.metrics.thresholds import Thresholds
from fancnn.pages.figure_style import Drawing
from fancnn.report.report_data import ReportData, metrics_of, of_run, of_table, with_line
from fancnn.report.report_figures import figures_of
from fancnn.report.report_page import report_page
from fancnn.report.settings import ReportSettings
from fancnn.runs.known_line import known_line, line_of
from fancnn.runs.recorded_looks import known_looks, record_look
from fancnn.runs.tensorboard_images import events_folder, replace_images
from fancnn.settings.groups import CostSettings, LineSettings
from fancnn.settings.validation import validate_thresholds
from fancnn.system.console import say

SUFFIX = ".report"  # of the event file with the figures
TABLES_OWN = Thresholds.single(0.5)
NOTHING_SAID = LineSettings(None, None, None, CostSettings(None, None, None))


def report(settings: ReportSettings) -> Path:
    """Write the report of a run or of a prediction table; the run's figures go onto its TensorBoard, too.

    Returns:
        The page.

    Raises:
        UserError: If not exactly one of run and table is given, or what it names cannot be read.
    """
    settings.validate_paths()
    thresholds = _thresholds(settings)
    root = Path(settings.root).expanduser() if settings.root else None
    if settings.run is not None:
        run = Path(settings.run).expanduser()
        page = _of_run(run, thresholds, root, settings.line, settings.output)
    else:
        table = Path(str(settings.table)).expanduser()
        material = with_line(
            of_table(table, thresholds or TABLES_OWN, root), *line_of(settings.line), settings.line.ng_rate
        )
        material = replace(material, looks=record_look("report", material.judged_images))
        page = Path(settings.output or Run(Path(settings.output_dir)).report).expanduser()
        _write(page, report_page(material, figures_of(material)))
    say(f"report: {page}")
    return page


def write_report(run: Path) -> Path:
    """Write `report.html` into a finished run folder and its figures onto its TensorBoard.

    Raises:
        UserError: As `report`.
    """
    return _of_run(run, None, None, NOTHING_SAID, None)


def _of_run(
    run: Path, thresholds: Thresholds | None, root: Path | None, line: LineSettings, output: str | None
) -> Path:
    material = of_run(run, thresholds, root)
    now = known_looks("report", material.judged_images, material.known.weights_sha256 or None)
    material = replace(material, looks=now or material.looks)  # others may have looked since
    known = known_line(line, material.known.line)
    material = with_line(material, *line_of(known), known.ng_rate)
    figures = figures_of(material)
    page = Path(output).expanduser() if output else Run(run).report
    with at_work(run):
        _write(page, report_page(material, figures))
        _onto_board(material, figures.all())
    return page


def _thresholds(settings: ReportSettings) -> Thresholds | None:
    """Return those of this command line, RECHECK alone below the model's own threshold; None where it says none."""
    if settings.threshold is None and settings.recheck is None:
        return None
    upper = _own_upper(settings) if settings.threshold is None else settings.threshold
    validate_thresholds(upper, settings.recheck)
    return Thresholds.of(upper, settings.recheck)


def _own_upper(settings: ReportSettings) -> float:
    """Return where NG begins for the run; 0.5 for a table."""
    if settings.run is None:
        return TABLES_OWN.upper
    return float(metrics_of(Path(settings.run).expanduser()).thresholds[1])


def _write(path: Path, page: str) -> None:
    with atomic_text(path) as file:
        file.write(page)


def _onto_board(material: ReportData, drawings: Iterable[Drawing]) -> None:
    """Put the figures where the run's TensorBoard events lie, in place of earlier ones; without events do nothing."""
    if (folder := events_folder(material.place)) is not None:
        step = int(material.known.epoch or 0)
        replace_images(folder, SUFFIX, [(f"report/{drawing.name}", drawing.png()) for drawing in drawings], step)
