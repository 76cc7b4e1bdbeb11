-- name: read_head
-- Size and root of one log, as the last append left them.
SELECT size, root
FROM ledger.log_head
WHERE tenant_id = %(tenant)s;

-- name: read_tile
-- A full tile; its hashes are cut to the width that was asked for.
SELECT hashes
FROM ledger.tile
WHERE tenant_id = %(tenant)s AND level = %(level)s AND index = %(index)s;

-- name: read_roots
-- The roots of full tiles: the hashes of the partial tile one level up.
SELECT root
FROM ledger.tile
WHERE tenant_id = %(tenant)s AND level = %(level)s
  AND index >= %(index_from)s AND index < %(index_before)s
ORDER BY index;

-- name: read_leaves
-- What the entries of a tenant's log are written from.
SELECT position, id, seq, curr_hash, public_key, signature, recorded_at
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s
  AND position >= %(position_from)s AND position < %(position_before)s
ORDER BY position;

-- name: read_root_entries
-- The entries of the root log.
SELECT position, entry
FROM ledger.root_entry
WHERE tenant_id = %(tenant)s
  AND position >= %(position_from)s AND position < %(position_before)s
ORDER BY position;
