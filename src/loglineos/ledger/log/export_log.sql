-- name: read_newest_note
-- The newest checkpoint of a log, and the lines of those who cosigned it.
SELECT c.note, coalesce(
  (SELECT string_agg(s.line, '' ORDER BY s.witness) FROM ledger.cosignature s
   WHERE s.tenant_id = c.tenant_id AND s.size = c.size), '') AS lines
FROM ledger.checkpoint c
WHERE c.tenant_id = %(tenant)s
ORDER BY c.size DESC
LIMIT 1;

-- name: list_published_tenants
-- tenant: all, because the whole node is exported unless tenants are named.
SELECT h.tenant_id
FROM ledger.log_head h
WHERE h.tenant_id <> '@root'
  AND EXISTS (SELECT 1 FROM ledger.checkpoint c WHERE c.tenant_id = h.tenant_id)
ORDER BY h.tenant_id;
