-- name: read_extent
-- How far the log reached when the export began, its root there, and the last checkpoint so far.
SELECT h.size, h.root,
  (SELECT c.note FROM ledger.checkpoint c
   WHERE c.tenant_id = %(tenant)s AND c.size <= h.size ORDER BY c.size DESC LIMIT 1) AS note
FROM ledger.log_head h
WHERE h.tenant_id = %(tenant)s;

-- name: read_page
-- A span of positions: the registry only grows, so pages by position are one consistent reading
-- without a transaction that stays open for as long as the file takes.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
  AND (%(who)s::text IS NULL OR who = %(who)s)
  AND (%(did)s::text IS NULL OR did = %(did)s)
  AND (%(this)s::text IS NULL OR "this" = %(this)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(entity_type)s::text IS NULL OR entity_type = %(entity_type)s)
  AND (%(tag)s::text IS NULL OR %(tag)s = ANY(tags))
  AND (%(at_from)s::timestamptz IS NULL OR at >= %(at_from)s)
  AND (%(at_before)s::timestamptz IS NULL OR at < %(at_before)s)
ORDER BY position;

-- name: read_hashes
-- What stands at a span of positions, to compare with a file that is imported.
SELECT position, id, seq, curr_hash
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(position_from)s AND position < %(position_before)s
ORDER BY position;

-- name: read_size
-- How far a log reaches; no row: no such tenant.
SELECT size FROM ledger.log_head WHERE tenant_id = %(tenant)s;
