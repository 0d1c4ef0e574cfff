"""`dbfirewall approvals`: see and decide what waits at a gate, over a running firewall's API."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

import click

from dbfirewall.cli import approvals_view as view
from dbfirewall.cli.terminal import color, printable

EXIT_REFUSED: Final = 1
EXIT_WRONG: Final = 2
OPEN: Final = "pending,approved,releasing,unknown"
"""What `list` shows unless told otherwise: what still needs somebody."""
STATES: Final = (
    "pending", "approved", "releasing", "done", "outside", "failed", "unknown", "denied", "expired", "withdrawn",
)  # fmt: skip

P = ParamSpec("P")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def approvals() -> None:
    """See and decide what waits at a gate.

    Talks to the firewall at --url with the approver's token in DBFIREWALL_TOKEN. Exits with 0, with 1 where the
    firewall refused, with 2 where it can't be reached or the token is wrong.
    """


def _on_api(command: Callable[Concatenate[Any, P], None]) -> Callable[..., None]:
    """Give a command `--url` and the API, and turn what the API refuses into messages and exit statuses."""

    @click.option(
        "--url", envvar="DBFIREWALL_URL", show_envvar=True, metavar="URL",
        help="The firewall's admin listener.  [default: http://127.0.0.1:8432]",
    )  # fmt: skip
    @wraps(command)
    def run(url: str | None, *args: P.args, **kwargs: P.kwargs) -> None:
        from dbfirewall.cli.api import Api, ApiError  # noqa: PLC0415  httpx takes 100 ms to import

        try:
            with Api.from_environment(url) as api:
                command(api, *args, **kwargs)
        except ApiError as error:
            click.echo(printable(error), err=True)
            sys.exit(EXIT_REFUSED if error.refused else EXIT_WRONG)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    return run


@approvals.command("list")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Requests in this state.")
@click.option("--all", "everything", is_flag=True, help="Also what is over.")
@click.option("--agent", help="Requests of this agent.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="At most so many."
)
@JSON
@_on_api
def list_command(
    api: Any, /, *, states: tuple[str, ...], everything: bool, agent: str | None, limit: int, as_json: bool
) -> None:
    """List requests, newest first; those that still need somebody, unless told otherwise."""
    wanted = None if everything else ",".join(states) or OPEN
    found = api.get("/approvals", state=wanted, agent=agent, limit=limit)["approvals"]
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("Nothing waits." if not everything and not states else "There are none.")
        return
    width, now = _width(), datetime.now(UTC)
    _echo(view.heading(width))
    for one in found:
        _echo(view.line(one, now, width))


@approvals.command()
@click.argument("request_id", metavar="ID")
@JSON
@_on_api
def show(api: Any, /, *, request_id: str, as_json: bool) -> None:
    """Show one request: the statement, who sent it, and what it would do."""
    _show(api.get(_path(request_id)), as_json=as_json)


@approvals.command()
@click.argument("request_id", metavar="ID")
@click.option("--reason", default="", help="Kept with the decision.")
@click.option(
    "--tolerance", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="How far the affected rows may be off the preview.  [default: 0 up to 100 rows, then 10]",
)  # fmt: skip
@click.option("--any-rows", is_flag=True, help="However many rows it will affect then.")
@click.option("--accept-undo", is_flag=True, help="Even if undo could not restore everything.")
@YES
@JSON
@_on_api
def approve(
    api: Any, /, *, request_id: str, reason: str, tolerance: float | None, any_rows: bool, accept_undo: bool,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let the statement run, once, as it is and within the previewed rows."""
    if any_rows and tolerance is not None:
        raise click.UsageError("--tolerance and --any-rows contradict each other")
    one = api.get(_path(request_id))
    if not yes and not as_json:
        _show(one, as_json=False)
        click.confirm("\nLet it run?", abort=True)
    body = {
        "reason": reason,
        "seen": one["seen"],
        "envelope": "lifted" if any_rows else "default",
        "tolerance": None if tolerance is None else tolerance / 100,
        "accept_undo": accept_undo,
    }
    _decided(api.post(_path(request_id, "approve"), body), as_json=as_json)


@approvals.command()
@click.argument("request_id", metavar="ID")
@click.option("--reason", required=True, help="Why: the agent is told.")
@JSON
@_on_api
def deny(api: Any, /, *, request_id: str, reason: str, as_json: bool) -> None:
    """Refuse the statement, and tell the agent why."""
    _decided(api.post(_path(request_id, "deny"), {"reason": reason}), as_json=as_json)


@approvals.command()
@click.argument("request_id", metavar="ID")
@click.option("--ran/--not-ran", default=None, required=True, help="What you found out on the database.")
@click.option("--reason", required=True, help="How you found out.")
@JSON
@_on_api
def settle(api: Any, /, *, request_id: str, ran: bool, reason: str, as_json: bool) -> None:
    """Say what became of a statement whose outcome the firewall could not find out."""
    _decided(api.post(_path(request_id, "settle"), {"ran": ran, "reason": reason}), as_json=as_json)


@approvals.command()
@click.argument("request_id", metavar="ID")
@click.option("--apply", "apply_it", is_flag=True, help="Run it, as the role's own login.")
@YES
@JSON
@_on_api
def undo(api: Any, /, *, request_id: str, apply_it: bool, yes: bool, as_json: bool) -> None:
    """Print the SQL that restores the rows which an approved statement changed."""
    found = api.get(_path(request_id, "undo"))
    if not as_json or not apply_it:
        click.echo(json.dumps(found) if as_json else found["sql"])
    if not apply_it:
        return
    if not yes:
        click.confirm("\nRun this on the database?", abort=True, err=True)
    done = api.post(_path(request_id, "undo"), {"apply": True})
    click.echo(json.dumps(done) if as_json else f"Restored {done['applied']} rows.")


@approvals.command()
@JSON
@_on_api
def watch(api: Any, /, *, as_json: bool) -> None:
    """Show requests as they come and as they are decided, until interrupted."""
    width = _width()
    try:
        for name, one in api.events():
            if name != "approval":
                continue
            _echo(json.dumps(one) if as_json else view.line(one, datetime.now(UTC), width))
    except KeyboardInterrupt:
        return


def _path(request_id: str, action: str = "") -> str:
    if not request_id.isascii() or not request_id.replace("_", "").replace("-", "").isalnum():
        raise click.BadParameter(f"{request_id!r} is no approval id: they look like apr_…", param_hint="ID")
    return f"/approvals/{request_id}" + (f"/{action}" if action else "")


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(one))
        return
    for text in view.page(one, datetime.now(UTC)):
        _echo(text)


def _decided(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(one))
        return
    _echo(view.line(one, datetime.now(UTC), _width()))


def _echo(text: str) -> None:
    click.echo(text, color=color())


def _width() -> int:
    return shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 160
