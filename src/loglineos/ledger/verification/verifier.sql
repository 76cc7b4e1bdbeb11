-- name: list_logs
-- tenant: all, because the whole ledger is verified; also names whose rows stand without a log.
WITH RECURSIVE named AS (
  (SELECT tenant_id FROM ledger.universal_registry ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT (SELECT r.tenant_id FROM ledger.universal_registry r
          WHERE r.tenant_id > named.tenant_id ORDER BY r.tenant_id LIMIT 1)
  FROM named WHERE named.tenant_id IS NOT NULL
)
SELECT tenant_id FROM ledger.log_head WHERE tenant_id <> '@root'
UNION
SELECT tenant_id FROM named WHERE tenant_id IS NOT NULL
ORDER BY tenant_id;

-- name: read_extent
-- The head of a log, the last row under its name, the largest checkpoint, and a tile that a log of
-- this size cannot have filled: all as of one instant, since appends go on meanwhile.
WITH head AS (SELECT h.size, h.root FROM ledger.log_head h WHERE h.tenant_id = %(tenant)s)
SELECT
  (SELECT size FROM head),
  (SELECT root FROM head),
  CASE WHEN %(tenant)s = '@root'
    THEN (SELECT max(e.position) FROM ledger.root_entry e WHERE e.tenant_id = %(tenant)s)
    ELSE (SELECT max(r.position) FROM ledger.universal_registry r WHERE r.tenant_id = %(tenant)s)
  END AS last_position,
  (SELECT max(c.size) FROM ledger.checkpoint c WHERE c.tenant_id = %(tenant)s) AS checkpoint_size,
  (SELECT t.level || '/' || t.index FROM ledger.tile t
   WHERE t.tenant_id = %(tenant)s AND (t.level NOT BETWEEN 0 AND 6 OR t.index < 0
     OR t.index >= coalesce((SELECT size FROM head), 0) >> (8 * t.level + 8))
   ORDER BY t.level, t.index LIMIT 1) AS surplus_tile;

-- name: read_full_tiles
-- The stored tiles of one level over a span of positions.
SELECT index, root, hashes
FROM ledger.tile
WHERE tenant_id = %(tenant)s AND level = %(level)s
  AND index >= %(index_from)s AND index < %(index_before)s
ORDER BY index;

-- name: read_checkpoints
-- The checkpoints whose trees end inside a span, with the lines of those who cosigned them.
SELECT c.size, c.root, c.note, coalesce(
  (SELECT string_agg(s.line, '' ORDER BY s.witness) FROM ledger.cosignature s
   WHERE s.tenant_id = c.tenant_id AND s.size = c.size), '') AS lines
FROM ledger.checkpoint c
WHERE c.tenant_id = %(tenant)s AND c.size > %(position_from)s AND c.size <= %(position_before)s
ORDER BY c.size;

-- name: read_root_page
-- Entries of the root log, each beside the checkpoint that it is said to be.
SELECT e.position, e.source_tenant, e.source_size, e.entry, c.root
FROM ledger.root_entry e
LEFT JOIN ledger.checkpoint c ON c.tenant_id = e.source_tenant AND c.size = e.source_size
WHERE e.tenant_id = %(tenant)s
  AND e.position >= %(position_from)s AND e.position < %(position_before)s
ORDER BY e.position;

-- name: find_place
-- Where one event stands.
SELECT position
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND id = %(id)s AND seq = %(seq)s;
