"""Hints: they arrive, they are bounded, and a listener outlives its connection."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from loglineos.base.errors import TooLarge
from loglineos.database.notify import PAYLOAD_BYTES_MAX, Hint, Listener, Notifier


async def test_a_hint_arrives_after_the_first_look(empty_database):
    async with Notifier(empty_database.dsn()) as notifier, asyncio.timeout(20):
        hints = aiter(Listener(empty_database.dsn(), ["ledger"], poll_every_s=60))
        assert await anext(hints) == Hint()
        assert await notifier.notify("other", "1")
        assert await notifier.notify("ledger", "casa é")
        assert await anext(hints) == Hint(channel="ledger", payload="casa é")
        await hints.aclose()


async def test_without_hints_it_is_time_to_look_again_and_again(empty_database):
    async with asyncio.timeout(20):
        hints = aiter(Listener(empty_database.dsn(), ["ledger"], poll_every_s=0.02))
        assert [await anext(hints) for _ in range(3)] == [Hint()] * 3
        await hints.aclose()


async def test_a_listener_and_a_notifier_outlive_their_connections(empty_database):
    async with Notifier(empty_database.dsn()) as notifier, asyncio.timeout(20):
        hints = aiter(Listener(empty_database.dsn(), ["ledger"], poll_every_s=60))
        await anext(hints)
        assert await notifier.notify("ledger", "1")
        assert await anext(hints) == Hint(channel="ledger", payload="1")
        with psycopg.connect(empty_database.dsn(), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'logline %' AND datname = current_database()"
            )
        assert await anext(hints) == Hint(), "what was missed is to be looked for"
        while not await notifier.notify("ledger", "2"):
            pass
        assert await anext(hints) == Hint(channel="ledger", payload="2")
        await hints.aclose()


async def test_a_hint_over_the_limit_is_refused(empty_database):
    async with Notifier(empty_database.dsn()) as notifier:
        assert await notifier.notify("ledger", "x" * PAYLOAD_BYTES_MAX)
        with pytest.raises(TooLarge):
            await notifier.notify("ledger", "x" * (PAYLOAD_BYTES_MAX + 1))
