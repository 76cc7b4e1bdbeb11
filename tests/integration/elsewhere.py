"""A second node without any tenant, for what leaves one house and enters another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from loglineos.database.embedded import EmbeddedPostgres
from tests.conftest import _clone
from tests.integration.conftest import House


@pytest.fixture
async def elsewhere(
    postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> AsyncIterator[House]:
    """A migrated database with an appender and keys of its own; a day later on its clock."""
    databases = _clone(postgres, template)
    async with AsyncExitStack() as stack:
        house = House(next(databases), tmp_path / "elsewhere", stack)
        house.clock.advance(timedelta(days=1))
        house.keyring.create()
        house.appender = await house.new_appender()
        yield house
    next(databases, None)
