"""A live database's catalog for the commands that can judge by it."""

from __future__ import annotations

import asyncio
from typing import Final

from dbfirewall.catalog.types import Catalog
from dbfirewall.errors import CatalogError

CONNECT_SECONDS: Final = 10.0


def read_catalog(dsn: str) -> Catalog:
    """A snapshot of the database at `dsn`, in any form that libpq knows. Raises CatalogError."""
    return asyncio.run(_read(dsn))


async def _read(dsn: str) -> Catalog:
    import asyncpg  # noqa: PLC0415  only these options need it

    from dbfirewall.catalog.loader import load_catalog  # noqa: PLC0415  it brings asyncpg along

    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CatalogError(f"--database: cannot connect: {error}") from None
    try:
        return await load_catalog(connection, 1)
    finally:
        await connection.close()
