"""The node: settings in, a wired ledger out. The only file that knows everybody.

Always holds: what a node opens, it closes, in the opposite order; nothing is written before the
schema fits and the roles are bound by row-level security; nothing is signed while the log is
behind its guard.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Final

import msgspec

from loglineos.base.clock import Clock, SystemClock
from loglineos.base.entropy import Entropy, SystemEntropy
from loglineos.base.errors import LogBehind, Misconfigured, Unavailable, VerificationFailed
from loglineos.base.language import Text
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.migrate import migrate
from loglineos.database.notify import Listener, Notifier
from loglineos.database.pool import Connection, Limits, Pool, open_pool
from loglineos.database.roles import APP, APPENDER, READER, ensure_roles, refuse_superuser
from loglineos.ledger.appender import Appender
from loglineos.ledger.founding import ensure_node_key, found_tenant, list_tenants
from loglineos.ledger.intake.spool import drain_spool
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.log.cosigning import Cosigners
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_names import log_keys, origin_of
from loglineos.ledger.log.proving import Prover
from loglineos.ledger.log.publisher import Publisher
from loglineos.ledger.personal import finish_forgetting
from loglineos.ledger.reading.follower import CHANNEL, hints_from
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.tlog.note import VerifierKey
from loglineos.ledger.tlog.policy import Policy, parse_policy
from loglineos.ledger.tlog.witness_client import HttpTransport
from loglineos.ledger.verification.verifier import WORKERS, Verification
from loglineos.ledger.writer import Writer
from loglineos.runtime.genesis import Report, write_rows
from loglineos.server import Database
from loglineos.settings import Settings, write_config

Progress = Callable[[Text], None]


class Node:
    """A wired node. Made by `open_node`; everything in it is ready to use."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        entropy: Entropy,
        database: Database,
        keyring: KeyRing,
        app_pool: Pool,
        reader_pool: Pool,
        appender: Appender,
        publisher: Publisher,
        policy: Policy | None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self.database = database
        self.keyring = keyring
        self.app_pool = app_pool
        self.reader_pool = reader_pool
        self.appender = appender
        self.publisher = publisher
        self.policy = policy
        self.writer = Writer(
            appender, pool=reader_pool, keyring=keyring, clock=clock, entropy=entropy
        )
        self.prover = Prover(reader_pool.connection, publisher, policy=policy)

    @property
    def origin(self) -> str:
        """The node's origin: what the names of its logs begin with."""
        return self.publisher.origin

    def log_key(self, tenant: str) -> VerifierKey:
        """Return what checks the checkpoints of a tenant's log, or of the root log (`@root`)."""
        (key,) = log_keys(
            [bytes.fromhex(self.keyring.public("log"))], origin_of(self.origin, tenant)
        )
        return key

    def reader(self, *, tenant: str, actor: str, role: str = "owner") -> Reader:
        """Return a reader in the name of an actor.

        Whoever holds the data folder is the owner; a face that serves others says their role.
        """
        return Reader(
            self.app_pool,
            viewer=Viewer(tenant=tenant, actor=actor, role=role),
            hints=hints_from(self.database.dsn(READER), tenant=tenant),
        )

    def verification(self, *, workers: int = WORKERS) -> Verification:
        """Return what this node's logs are verified with: its own keys, guard and witnesses."""
        return Verification(
            dsn=self.database.dsn(READER),
            role=self.database.set_role(READER),
            origin=self.origin,
            publics=(bytes.fromhex(self.keyring.public("log")),),
            witnesses=tuple(self.policy.witness_keys) if self.policy else (),
            guard=Guard(self.settings.guard_folder),
            workers=workers,
        )

    @asynccontextmanager
    async def work_pool(self) -> AsyncIterator[Pool]:
        """Open a pool for what is kept beside the registry: leases, cursors, who works.

        All of it may be lost in a crash of the server, and its users repeat what failed. A commit
        of the registry makes durable what this pool did before it: no effect of a job is journaled
        under a lease that could still be lost.
        """
        pool = await open_pool(
            self.database.dsn(APPENDER),
            name="logline work",
            role=self.database.set_role(APPENDER),
            max_size=4,
            limits=Limits(scans_tables=False, is_durable=False),
            is_checked=False,
        )
        try:
            yield pool
        finally:
            await pool.close()

    async def grown(self) -> AsyncGenerator[str, None]:
        """Yield the name of a tenant whenever its log has grown, whoever appended. Only hints."""
        listener = Listener(
            self.database.dsn(READER), [CHANNEL], role=self.database.set_role(READER)
        )
        async with aclosing(aiter(listener)) as hints:  # type: ignore[type-var]
            async for hint in hints:
                if hint.payload:
                    yield hint.payload

    async def tenants(self) -> list[str]:
        """List the tenants of this node, by name."""
        return await list_tenants(self.writer)

    async def found(self, tenant: str, *, title: str | None = None) -> bool:
        """Found a tenant; False when it was there already.

        Raises:
            Misconfigured: it would be the second one, and the database's user is not bound by
                row-level security: the node could not be opened again.
        """
        is_free = self.database.is_embedded or self.settings.allow_superuser
        if not is_free and set(await self.tenants()) - {tenant}:
            async with self.reader_pool.connection() as connection:
                await refuse_superuser(connection)
        return bool(await found_tenant(self.writer, tenant, title=title))

    async def genesis(self, tenant: str, *, is_thorough: bool = False) -> Report:
        """Give a tenant the rows that come with the product; one query when it has them all.

        Founding a tenant does not: whatever runs code of the house calls this first.

        Raises:
            Misconfigured, NotFound: its manifest must be signed, and the root key is not to be had.
            KeyNotTrusted: the tenant's root is not this node's.
        """
        return await write_rows(self.writer, tenant, is_thorough=is_thorough)


def is_initialised(settings: Settings) -> bool:
    """Tell whether the data folder holds a node: its keys and its origin."""
    return settings.origin is not None and (settings.keys_folder / "node.key").exists()


def initialise(settings: Settings, *, entropy: Entropy | None = None) -> Settings:
    """Make the data folder, its keys and its origin; a repeat changes nothing.

    Raises:
        Misconfigured: the folder cannot be made or written.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        KeyRing(settings.keys_folder, passphrase=settings.passphrase, entropy=entropy).create()
        origin = settings.origin or f"logline.invalid/{secrets.token_hex(4)}"
        write_config(settings.home, origin=origin, tenant=settings.tenant)
    except OSError as cause:
        raise Misconfigured(
            setting="LOGLINE_HOME",
            reason=Text(f"não se pode escrever: {cause}", f"cannot be written: {cause}"),
        ) from cause
    return _with_origin(settings, origin)


@asynccontextmanager
async def open_node(
    settings: Settings,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    on_progress: Progress | None = None,
) -> AsyncIterator[Node]:
    """Open the node of `settings`: start or join its Postgres, migrate, wire, check.

    A folder that was never initialised is initialised first, and its default tenant founded.

    Raises:
        Misconfigured: keys, rights, migrations or settings do not fit.
        DatabaseUnavailable: no database within 30 s.
    """
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    tell = on_progress or (lambda _: None)
    if not is_initialised(settings):
        tell(Text("a criar as chaves", "making the keys"))
        settings = initialise(settings, entropy=entropy)
    async with AsyncExitStack() as stack:
        database = await _open_database(settings, stack, tell)
        await _prepare(database, settings, tell)
        keyring = KeyRing(settings.keys_folder, passphrase=settings.passphrase, entropy=entropy)
        app_pool = await database.pool(APP, name="app")
        stack.push_async_callback(app_pool.close)
        reader_pool = await database.pool(READER, name="reader")
        stack.push_async_callback(reader_pool.close)
        notifier = Notifier(
            database.dsn(APPENDER), name="logline hints", role=database.set_role(APPENDER)
        )
        stack.push_async_callback(notifier.close)

        policy = _read_policy(settings)
        publisher = Publisher(
            reader_pool.connection,
            partial(database.connect, APPENDER, name="publisher"),
            guard=Guard(settings.guard_folder),
            keys=[keyring.key("log")],
            origin=settings.origin or _NO_ORIGIN,
            clock=clock,
            cosigners=await _cosigners(policy, stack, clock),
        )
        stack.push_async_callback(publisher.close)

        async def hint(sizes: dict[str, int]) -> None:
            publisher.wake(sizes)
            for tenant in sizes:
                await notifier.notify(CHANNEL, tenant)

        appender = await stack.enter_async_context(
            Appender(
                partial(database.connect_once, APPENDER, name="appender"),
                clock=clock,
                on_commit=hint,
                gate=publisher.gate,
            )
        )
        node = Node(
            settings,
            clock=clock,
            entropy=entropy,
            database=database,
            keyring=keyring,
            app_pool=app_pool,
            reader_pool=reader_pool,
            appender=appender,
            publisher=publisher,
            policy=policy,
        )
        await _settle(node)
        yield node


async def _open_database(settings: Settings, stack: AsyncExitStack, tell: Progress) -> Database:
    if settings.database_url is not None:
        return Database(settings, None)
    starting = asyncio.to_thread(EmbeddedPostgres.start, settings.home, on_progress=tell)
    postgres = await starting
    stack.push_async_callback(asyncio.to_thread, postgres.stop)
    return Database(settings, postgres)


async def _prepare(database: Database, settings: Settings, tell: Progress) -> None:
    connection = await database.connect(None, name="admin")
    try:
        await ensure_roles(connection)
        for done in await migrate(connection):
            tell(Text(f"migração {done.name}", f"migration {done.name}"))
        if not database.is_embedded and not settings.allow_superuser:
            await _refuse_superuser_of_many(connection)
    finally:
        with suppress(Exception):
            await connection.close()


async def _refuse_superuser_of_many(connection: Connection) -> None:
    cursor = await connection.execute(
        "SELECT count(*) FROM ledger.log_head WHERE tenant_id <> '@root'"
    )
    row = await cursor.fetchone()
    if row is not None and row[0] > 1:
        await refuse_superuser(connection)


def _read_policy(settings: Settings) -> Policy | None:
    if settings.witnesses is None:
        return None
    try:
        return parse_policy(settings.witnesses.read_bytes())
    except OSError as cause:
        raise Misconfigured(
            setting="LOGLINE_WITNESSES",
            reason=Text(f"não se lê: {cause}", f"cannot be read: {cause}"),
        ) from cause


async def _cosigners(
    policy: Policy | None, stack: AsyncExitStack, clock: Clock
) -> Cosigners | None:
    if policy is None:
        return None
    transport = await stack.enter_async_context(HttpTransport())
    return Cosigners(policy, transport=transport, clock=clock)


async def _settle(node: Node) -> None:
    """Found the default tenant on a new node; mend what a crash may have left half done.

    A node whose log is behind its guard stays open for reading; the publisher's refusal keeps it
    from writing and signing, and says how to recover.
    """
    with suppress(LogBehind, VerificationFailed):
        await node.publisher.check_behind(asks_witnesses=False)
    if node.publisher.refusal is not None:
        return
    tenants = await node.tenants()
    if not tenants:
        await node.found(node.settings.tenant)
    for tenant in tenants:
        await ensure_node_key(node.writer, tenant)
        await finish_forgetting(node.writer, tenant=tenant, guard=node.settings.guard_folder)
    with suppress(Unavailable):  # what cannot enter now waits for the next start
        await drain_spool(node.writer, node.settings.spool_folder)


def _with_origin(settings: Settings, origin: str) -> Settings:
    return msgspec.structs.replace(settings, origin=origin)


_NO_ORIGIN: Final = "logline.invalid"
