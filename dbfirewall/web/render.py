"""The console's pages: Jinja templates, everything escaped, nothing hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dbfirewall import __version__
from dbfirewall.web.text import clipped, highlighted, spelled, visible

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dbfirewall.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=spelled,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        visible=visible, clipped=clipped, highlighted=highlighted, span=span, moment=moment, count=count
    )
    environment.globals["version"] = __version__
    return environment


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of `template` with `values`."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(**values), status)


def span(seconds: float) -> str:
    """`3 min`, `2 h 5 min`, `4 days`: as long as it takes to say it, no longer."""
    whole = max(int(seconds), 0)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} days"


def moment(seconds: float) -> Markup:
    """A time element, in UTC, to the second."""
    when = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        when.isoformat(timespec="milliseconds"), when.strftime("%Y-%m-%d %H:%M:%S")
    )


def count(number: float, one: str, many: str = "") -> str:
    """`1 row`, `1,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_TEMPLATES: Final = _environment()
