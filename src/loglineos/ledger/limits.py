"""Every bound of the ledger, by name. A limit that an error mentions stands here.

Always holds: the relations asserted at the end; they are checked when the module is imported.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

record_bytes_max: Final = 1024 * 1024
"""Canonical bytes of one record; keep what is larger elsewhere and record its hash."""

entry_bytes_max: Final = 65_535
"""Bytes of one log entry (a leaf envelope). Source: C2SP tlog-tiles."""

json_depth_max: Final = 32
"""Nesting of objects and arrays in one JSON column."""

integer_max: Final = 2**53 - 1
"""Largest magnitude of an integer. Source: RFC 8785 (I-JSON)."""

name_bytes_max: Final = 512
"""UTF-8 bytes of an indexed text: who, did, status, tenant, names, queue, ids given as text."""

text_bytes_max: Final = 64 * 1024
"""UTF-8 bytes of any other text column except `code`, which the record's limit bounds."""

list_items_max: Final = 256
"""Items of a list column: tags, related_to, shared_with, effects."""

batch_records_max: Final = 10_000
"""Records of one call to append."""

group_records_max: Final = 1_000
"""Records that one group commit takes (more when a single call is larger)."""

in_flight_records_max: Final = 40_000
"""Records that may wait for the appender before it answers Pushback."""

page_rows_max: Final = 1_000
"""Rows of one page of the timeline."""

when_ahead_max: Final = timedelta(minutes=5)
"""How far `when` may lie ahead of the node's clock."""

database_wait_s_max: Final = 30.0
"""How long an append waits for a database that is gone."""

tenants_max: Final = 100_000
"""Tenants of one node."""

block_positions: Final = 512
"""Positions that one row of `ledger.timeline_block` sums up."""

assert entry_bytes_max < record_bytes_max
assert group_records_max <= batch_records_max <= in_flight_records_max
assert name_bytes_max < text_bytes_max < record_bytes_max
