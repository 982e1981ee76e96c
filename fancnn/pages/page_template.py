"""From a template and plain values to a page: everything is escaped but the drawings."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fancnn.metrics.rounding import percent_at_most
from fancnn.pages import formatting as words
from fancnn.pages.figure_style import Drawing

SHARED = Path(__file__).parent  # the page around each, its macros and its style


def rendered(template: Path, **values: Any) -> str:
    """Fill a template, which extends `page.html.j2`; a value that it names and does not get is an error."""
    pages = Environment(
        loader=FileSystemLoader([template.parent, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"percent": words.percent, "p_value": words.probability, "svg": _svg}
    pages.filters |= {"percent_at_most": percent_at_most}
    pages.filters |= {"count": "{:,}".format, "probability": "{:.3f}".format}
    return pages.get_template(template.name).render(**values)


def _svg(drawing: Drawing) -> Markup:
    """Return the drawing itself; its text was escaped when it was drawn."""
    return Markup(drawing.svg())
