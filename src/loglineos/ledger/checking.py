"""Checking the signatures of a group beside its transaction, on the worker threads.

Always holds: every claim of every submission is answered before this returns; what has begun while
the records came is only waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from loglineos.ledger.group import BadSignatures, Submission
from loglineos.ledger.seal import signature_broken
from loglineos.ledger.signature import verify_many

HERE_MAX: Final = 8
"""Claims that are checked at once: waking a thread would take longer."""


async def check_signatures(batch: Sequence[Submission], threads: ThreadPoolExecutor) -> None:
    """Check the signatures of a group, when all of its records have come.

    Raises:
        BadSignatures: names the submissions of which a signature does not hold.
    """
    for submission in batch:
        await submission.grown_to(submission.count)
    together = [one for one in batch if not one.checks]
    claims = [claim for submission in together for claim in submission.claims]
    if len(claims) <= HERE_MAX:
        answers = iter(verify_many(claims))
    else:
        work = partial(verify_many, claims, pool=threads)
        answers = iter(await asyncio.get_running_loop().run_in_executor(threads, work))
    bad = BadSignatures()
    for submission in batch:
        begun = [await asyncio.wrap_future(check) for check in submission.checks]
        verdicts = iter([one for chunk in begun for one in chunk]) if begun else answers
        for one, _ in zip(submission.sealed, submission.claims, strict=False):
            if not next(verdicts):
                bad.add(submission, signature_broken(one.record))
    if bad.submissions:
        raise bad
