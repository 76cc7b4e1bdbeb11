-- name: read_event
-- Where one event of an entity stands in the log.
SELECT position, id, seq, curr_hash
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND id = %(id)s AND seq = %(seq)s;

-- name: read_latest_event
-- Where the latest event of an entity stands in the log.
SELECT position, id, seq, curr_hash
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND id = %(id)s
ORDER BY seq DESC
LIMIT 1;

-- name: read_event_at
-- The event at one position of the log.
SELECT position, id, seq, curr_hash
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position = %(position)s;

-- name: read_covering
-- The first checkpoint of a tenant that covers a position and is in the root log.
SELECT c.size, c.note, e.position
FROM ledger.checkpoint c
JOIN ledger.root_entry e
  ON e.tenant_id = %(root)s AND e.source_tenant = c.tenant_id AND e.source_size = c.size
WHERE c.tenant_id = %(tenant)s AND c.size > %(position)s
ORDER BY c.size
LIMIT 1;

-- name: read_root_checkpoints
-- The first few root checkpoints that cover a position, with the lines of those who cosigned them;
-- the cosigned ones first.
SELECT c.size, c.note, coalesce(
  (SELECT string_agg(s.line, '' ORDER BY s.witness) FROM ledger.cosignature s
   WHERE s.tenant_id = c.tenant_id AND s.size = c.size), '') AS lines
FROM (
  SELECT tenant_id, size, note FROM (
    SELECT k.tenant_id, k.size, k.note FROM ledger.checkpoint k
    WHERE k.tenant_id = %(root)s AND k.size > %(position)s AND EXISTS (
      SELECT 1 FROM ledger.cosignature w WHERE w.tenant_id = k.tenant_id AND w.size = k.size)
    ORDER BY k.size LIMIT %(rows_max)s) AS cosigned
  UNION
  SELECT tenant_id, size, note FROM (
    SELECT k.tenant_id, k.size, k.note FROM ledger.checkpoint k
    WHERE k.tenant_id = %(root)s AND k.size > %(position)s
    ORDER BY k.size LIMIT 1) AS covering
) AS c
ORDER BY c.size;
