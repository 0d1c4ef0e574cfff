"""`dbfirewall`, which has a script run on the server (CHANGE, on DSN) when a release reaches the step CHANGE_AT."""

from __future__ import annotations

import os

import psycopg

from dbfirewall.proxy import release


def _reached(step: release.Step) -> None:
    if step.value == os.environ["CHANGE_AT"]:
        with psycopg.connect(os.environ["DSN"], autocommit=True) as connection:
            connection.execute(os.environ["CHANGE"].encode())


# Before anybody else imports it by its name.
release.reached = _reached

from dbfirewall.cli import main  # noqa: E402

main()
