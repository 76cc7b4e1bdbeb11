"""What the tests of the log share: a publisher for the house, and a witness in the same process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from loglineos.base.clock import Clock
from loglineos.base.errors import Unavailable
from loglineos.database.pool import connect
from loglineos.ledger.log.cosigning import Cosigners
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_tiles import lending
from loglineos.ledger.log.publisher import Publisher
from loglineos.ledger.tlog.note import COSIGNATURE, NoteSigner, VerifierKey, note_signer
from loglineos.ledger.tlog.policy import Policy, parse_policy
from loglineos.ledger.tlog.witness import WitnessStore, add_checkpoint
from tests.integration.conftest import House

ORIGIN = "casa.example"


class LogHouse:
    """A house with a guard folder; makes publishers, as many as there are nodes."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.guard = Guard(folder / "guard")
        self.key = house.keyring.key("log")
        self.publishers: list[Publisher] = []

    async def publisher(
        self,
        *,
        dsn: str | None = None,
        guard: Guard | None = None,
        cosigners: Any = None,
        origin: str = ORIGIN,
    ) -> Publisher:
        """Make a publisher; on another database when `dsn` names it."""
        house = self.house

        async def writer() -> psycopg.AsyncConnection[Any]:
            return await connect(dsn or house.database.dsn("logline_appender"), name="publisher")

        if dsn is None:
            lend = (await house.pool("logline_reader")).connection
        else:
            reader = await connect(dsn, name="reader")
            house._stack.push_async_callback(reader.close)
            lend = lending(reader)
        made = Publisher(
            lend,
            writer,
            guard=guard or self.guard,
            keys=[self.key],
            origin=origin,
            clock=house.clock,
            cosigners=cosigners,
        )
        self.publishers.append(made)
        house._stack.push_async_callback(made.close)
        return made


class InProcessWitness:
    """A real witness behind a transport without a network; can be put out of reach."""

    def __init__(self, name: str, store: WitnessStore, logs: list[VerifierKey], clock: Clock):
        seed = (name.encode() * 32)[:32]
        self.signer: NoteSigner = note_signer(name, kind=COSIGNATURE, seed=seed)
        self.store = store
        self.clock = clock
        self.logs = {log.name: [log] for log in logs}
        self.is_away = False
        self.requests = 0

    @property
    def url(self) -> str:
        return f"https://{self.signer.name}"


class InProcess:
    """Carries requests to the witness that the address names."""

    def __init__(self, witnesses: list[InProcessWitness]) -> None:
        self.witnesses = {one.url: one for one in witnesses}

    async def post(
        self, url: str, body: bytes, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        witness = self.witnesses[url.removesuffix("/add-checkpoint")]
        witness.requests += 1
        if witness.is_away:
            raise Unavailable(reason="away", retry_after_s=30)
        answer = await add_checkpoint(
            body, store=witness.store, logs=witness.logs, signer=witness.signer, clock=witness.clock
        )
        return answer.status, {"content-type": answer.content_type}, answer.body


def policy_of(witnesses: list[InProcessWitness], *, quorum: str) -> Policy:
    """Write and read a policy of these witnesses; `quorum` is any, all or a number."""
    lines = [f"witness w{n} {w.signer.verifier.encode()} {w.url}" for n, w in enumerate(witnesses)]
    lines.append(f"group all-of-them {quorum} " + " ".join(f"w{n}" for n in range(len(witnesses))))
    lines.append("quorum all-of-them")
    return parse_policy(("\n".join(lines) + "\n").encode())


def cosigners_of(
    witnesses: list[InProcessWitness], *, clock: Clock, quorum: str = "any"
) -> Cosigners:
    """Make what asks these witnesses."""
    return Cosigners(
        policy_of(witnesses, quorum=quorum), transport=InProcess(witnesses), clock=clock
    )
