"""A database described in lines of text, so that two of them can be compared.

Always holds: equal lines mean the same tables, columns, defaults, constraints, indexes, functions,
triggers, policies, views, rights and owners, whatever the order in which they were made.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg

from loglineos.database.queries import Queries

QUERIES: Final = Queries.load("loglineos.database", "catalog.sql")


async def snapshot(connection: psycopg.AsyncConnection[Any]) -> list[str]:
    """Return one sorted line per thing in every schema of ours. Reads only the catalog."""
    async with psycopg.AsyncCursor(connection) as cursor:
        await cursor.execute(QUERIES["list_schemas"])
        schemas = [row[0] for row in await cursor.fetchall()]
        lines: list[str] = []
        for query in QUERIES.every_statement():
            if query.name.startswith("describe_"):
                await cursor.execute(QUERIES[query.name], {"schemas": schemas})
                lines.extend(row[0] for row in await cursor.fetchall())
    return sorted(lines)
