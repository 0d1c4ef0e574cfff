"""Suites that pytest runs: asyncpg, pg8000, SQLAlchemy's PostgreSQL dialect on two drivers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.suites import sources
from tests.suites.ground import Target
from tests.suites.outcomes import Outcomes, from_junit
from tests.suites.suite import Suite
from tests.support.postgres import Postgres

SECONDS = 1500


class PytestSuite(Suite):
    """A suite in a source distribution. `packages`: what its environment holds beside pytest."""

    package: ClassVar[tuple[str, str]]
    packages: ClassVar[tuple[str, ...]]
    arguments: ClassVar[tuple[str, ...]]

    def fetch(self) -> None:
        self._source = sources.sdist(*self.package)
        self._python = sources.python(self.package[0], ("pytest>=8.3,<9", "pytest-timeout", *self.packages))

    def run(self, target: Target, folder: Path) -> Outcomes:
        report = folder / "junit.xml"
        settings = folder / "pytest.ini"
        settings.write_text("[pytest]\n")
        command = [
            *(str(self._python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"),
            *self.options(target, settings),
            *self.arguments,
        ]
        with (folder / "output.txt").open("wb") as output:
            subprocess.run(
                command,
                cwd=self.workplace(folder),
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **target.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=SECONDS,
                check=False,
            )
        return from_junit(report)

    def options(self, target: Target, settings: Path) -> tuple[str, ...]:
        """What tells the suite where to connect, beyond the environment."""
        # Settings of its own, so that pytest does not take those of the project around it.
        return ("-c", str(settings), "--rootdir=.")

    def workplace(self, folder: Path) -> Path:
        """Where pytest runs."""
        return self._source


class Asyncpg(PytestSuite):
    """asyncpg's own tests, against the released wheel."""

    name = "asyncpg"
    databases = ("postgres", "asyncpg_intro_test", "testdb")
    package = ("asyncpg", "0.32.0")
    packages = ("asyncpg==0.32.0", "uvloop", "distro")
    arguments = (
        *(
            "--timeout=60",
            "tests",
            "--ignore=tests/test__sourcecode.py",
            "--ignore=tests/test__environment.py",
        ),
        *("-k", "not standby and not Standby"),
    )

    def workplace(self, folder: Path) -> Path:
        """A folder without asyncpg's sources, which are not built and would hide the wheel."""
        (folder / "tests").symlink_to(self._source / "tests")
        return folder


class Pg8000(PytestSuite):
    """pg8000's tests, less those of server settings (auth), of XML and of speed."""

    name = "pg8000"
    databases = ("postgres", "pg8000_scram_sha_256")
    package = ("pg8000", "1.31.6")
    packages = ("pg8000==1.31.6", "pytest-mock", "pytz", "python-dateutil")
    arguments = (
        *("--timeout=300", "test", "--ignore-glob=*/auth", "--ignore-glob=*benchmarks*"),
        *("--ignore=test/test_readme.py", "-k", "not xml"),
    )

    def prepare(self, server: Postgres) -> None:
        """Its types are tried too."""
        server.sql("CREATE EXTENSION hstore")


class _Sqlalchemy(PytestSuite):
    databases = ("test",)
    package = ("sqlalchemy", "2.1.9")
    packages = ("psycopg[binary]==3.3.9", "asyncpg==0.32.0", "greenlet", "typing_extensions")
    arguments = (
        *("--timeout=300", "-p", "no:warnings", "--maxfail=10000"),
        *("test/dialect/postgresql", "test/dialect/test_suite.py"),
    )
    driver: ClassVar[str]

    def prepare(self, server: Postgres) -> None:
        """README.unittests.rst: two schemas and two extensions."""
        server.create_database("test")
        server.sql(
            "CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2;"
            "CREATE EXTENSION hstore; CREATE EXTENSION citext;"
            "ALTER DATABASE test SET default_text_search_config = 'pg_catalog.english'",
            "test",
        )

    def options(self, target: Target, settings: Path) -> tuple[str, ...]:
        """Its settings are its own already."""
        return ("--dburi", target.dsn("test", f"postgresql+{self.driver}"))


class SqlalchemyPsycopg(_Sqlalchemy):
    """SQLAlchemy's dialect suite on psycopg 3."""

    name = "sqlalchemy-psycopg"
    driver = "psycopg"


class SqlalchemyAsyncpg(_Sqlalchemy):
    """SQLAlchemy's dialect suite on asyncpg."""

    name = "sqlalchemy-asyncpg"
    driver = "asyncpg"
