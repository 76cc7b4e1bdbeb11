"""Start, append once, say so, and end: what a second start costs, from the first byte of Python."""

from __future__ import annotations

import asyncio
import sys

from loglineos import Ledger


async def main(home: str) -> None:
    """Open the node of `home`, append one act, print its position."""
    async with Ledger.open(home, actor="medidor") as ledger:
        record = await ledger.add(
            did="abrir", this="casa", confirmed_by="relogio", if_ok="nada", if_doubt="olhar",
            if_not="avisar",
        )  # fmt: skip
        print(record.position, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
