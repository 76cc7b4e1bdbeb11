"""The names of a node's logs: `<node origin>/t/<tenant>` for each tenant, `<node origin>/root`.

Always holds: a log's keys are named like the log, so that a checkpoint tells who must have signed
it; the same key may sign for all logs of a node, since the name is part of what is signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.signature import SigningKey
from loglineos.ledger.tlog.note import ED25519, NoteSigner, VerifierKey
from loglineos.ledger.tlog.receipt import ROOT_MARK, TENANT_MARK


def origin_of(node: str, tenant: str) -> str:
    """Return the origin of a tenant's log, or of the root log (`ROOT_LOG`), on a node."""
    return node + ROOT_MARK if tenant == ROOT_LOG else f"{node}{TENANT_MARK}{tenant}"


def tenant_of(node: str, origin: str) -> str | None:
    """Return the tenant (or `ROOT_LOG`) whose log on `node` has this origin; None: not of it."""
    if origin == node + ROOT_MARK:
        return ROOT_LOG
    prefix = node + TENANT_MARK
    return origin.removeprefix(prefix) if origin.startswith(prefix) else None


def nodes_of(origins: Iterable[str]) -> list[str]:
    """Return the node origins that these origins of logs belong to, in order, each once."""
    nodes = {
        origin.removesuffix(ROOT_MARK)
        if origin.endswith(ROOT_MARK)
        else origin.rpartition(TENANT_MARK)[0]
        for origin in origins
    }
    return sorted(nodes - {""})


def log_signers(keys: Sequence[SigningKey], origin: str) -> list[NoteSigner]:
    """Return what signs the checkpoints of one log."""
    return [NoteSigner(name=origin, kind=ED25519, key=key) for key in keys]


def log_keys(publics: Sequence[bytes], origin: str) -> list[VerifierKey]:
    """Return what checks the checkpoints of one log; `publics` of 32 bytes each."""
    return [VerifierKey(name=origin, kind=ED25519, public=public) for public in publics]
