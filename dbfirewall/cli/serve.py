"""`dbfirewall serve`: run the firewall."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path

import click
import uvloop

from dbfirewall import logs
from dbfirewall.errors import ConfigError, DbfirewallError
from dbfirewall.policy.loader import load_rules
from dbfirewall.settings import Settings, load_settings


@click.command()
@click.option(
    "--rules", "rules_path", type=click.Path(path_type=Path), required=True, envvar="DBFIREWALL_RULES",
    show_envvar=True, help="The rules: a file, or a folder of *.yaml files.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), envvar="DBFIREWALL_CONFIG", show_envvar=True,
    help="A settings file (docs/settings.md).",
)  # fmt: skip
@click.option(
    "--listen", metavar="HOST:PORT", help="Where agents connect. [DBFIREWALL_LISTEN; 127.0.0.1:6432]"
)
@click.option("--admin", metavar="HOST:PORT", help="Metrics and health. [DBFIREWALL_ADMIN; 127.0.0.1:8432]")
@click.option("--state", metavar="DIR", help="The state folder: audit record, approvals. [DBFIREWALL_STATE]")
@click.option(
    "--tls", type=click.Choice(["off"]), help="Say `off` to listen without TLS where others can reach it."
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="text or json.")
def serve(rules_path: Path, config: Path | None, **flags: str | None) -> None:
    """Run the firewall until SIGTERM or SIGINT.

    A flag wins over the environment, the environment over the settings file. Exits with 2, and listens on
    nothing, where the rules or the settings are wrong.
    """
    try:
        settings = load_settings(
            config, os.environ, {key.replace("_", "."): value for key, value in flags.items()}
        )
        load_rules(rules_path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    os.umask(0o077)
    logs.set_up(settings.log.level, settings.log.format)
    raise_file_limit(settings)
    try:
        sys.exit(run(settings, rules_path))
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except DbfirewallError as error:
        click.echo(f"dbfirewall: {error}", err=True)
        sys.exit(1)


FILES_BESIDE_CONNECTIONS = 500
"""File descriptors for listeners, workers, the record, catalogs and the admin listener."""


def raise_file_limit(settings: Settings) -> None:
    """Let the process open as many files as its connections need: two for each session."""
    needed = 2 * settings.limits.connections + settings.limits.unauthenticated + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        logging.getLogger(__name__).warning(
            "only %d files may be open, %d connections need %d: raise the limit (ulimit -n), or lower "
            "limits.connections", hard, settings.limits.connections, needed,
        )  # fmt: skip
        needed = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def run(settings: Settings, rules_path: Path) -> int:
    """Run the proxy and the admin listener on uvloop; returns the exit status."""
    # Imported here: the other commands should not pay for the proxy and the parsers.
    from dbfirewall.cli.admin import AdminView, web_options  # noqa: PLC0415
    from dbfirewall.proxy.firewall import Firewall  # noqa: PLC0415
    from dbfirewall.proxy.server import serve as serve_proxy  # noqa: PLC0415
    from dbfirewall.web.app import create_app  # noqa: PLC0415
    from dbfirewall.web.server import bind, serve_admin  # noqa: PLC0415

    with (
        bind(settings.listen.host, settings.listen.port) as listener,
        bind(settings.admin.host, settings.admin.port) as admin_listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if not settings.admin.loopback and not settings.approvals.public_url.startswith("https://"):
            logging.getLogger(__name__).warning(
                "the console and the API on %s speak plain HTTP, and approvers send their tokens there: put a proxy "
                "with TLS in front, and set approvals.public_url (docs/console.md)", settings.admin,
            )  # fmt: skip

        async def admin(firewall: Firewall, shutdown: asyncio.Event) -> None:
            app = create_app(AdminView(firewall), web_options(settings), shutdown)
            await serve_admin(app, admin_listener, shutdown)

        return runner.run(serve_proxy(settings, rules_path, listener, admin))
