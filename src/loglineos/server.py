"""Where a node's Postgres is, and how to connect to it in each role: the embedded one, or yours."""

from __future__ import annotations

from functools import partial
from typing import Final

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.database.embedded import ADMIN, EmbeddedPostgres
from loglineos.database.failures import wait_for_database
from loglineos.database.pool import Connection, Limits, Pool, connect, open_pool
from loglineos.database.roles import APP
from loglineos.settings import Settings

_ADMIN_LIMITS: Final = Limits(statement_s_max=0, lock_s_max=60, idle_in_transaction_s_max=0)
_WAIT_S_MAX: Final = 30.0


class Database:
    """Where the node's Postgres is, and how to connect to it in each role."""

    def __init__(self, settings: Settings, postgres: EmbeddedPostgres | None) -> None:
        """Use the embedded server, or the one of `DATABASE_URL`."""
        self._settings = settings
        self.postgres = postgres

    @property
    def is_embedded(self) -> bool:
        """Tell whether the server is ours."""
        return self.postgres is not None

    def dsn(self, role: str | None) -> str:
        """Return the connection string for a role; None is the administrator."""
        if self.postgres is not None:
            return self.postgres.dsn(role or ADMIN)
        if self._settings.database_url is None:
            raise Misconfigured(setting="DATABASE_URL", reason=_NO_DATABASE)
        return self._settings.database_url

    def set_role(self, role: str | None) -> str | None:
        """Return the role to take after connecting: none where we log in as it."""
        return None if self.is_embedded else role

    async def connect(self, role: str | None, *, name: str) -> Connection:
        """Open one connection in a role, waiting a bounded time for the server."""
        return await wait_for_database(
            partial(self.connect_once, role, name=name), wait_s_max=_WAIT_S_MAX
        )

    async def connect_once(self, role: str | None, *, name: str) -> Connection:
        """Open one connection in a role, or fail at once: for a caller that waits by itself."""
        limits = _ADMIN_LIMITS if role is None else Limits()
        return await connect(
            self.dsn(role), name=f"logline {name}", role=self.set_role(role), limits=limits
        )

    async def pool(self, role: str, *, name: str, max_size: int = 8) -> Pool:
        """Open a pool in a role. What the node itself asks has an index each time; APP may scan."""
        return await open_pool(
            self.dsn(role),
            name=f"logline {name}",
            role=self.set_role(role),
            max_size=max_size,
            limits=Limits(scans_tables=role == APP),
        )


_NO_DATABASE: Final = Text("não há base de dados", "there is no database")
