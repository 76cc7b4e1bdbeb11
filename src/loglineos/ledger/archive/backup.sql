-- name: share_snapshot
-- The instant that the dump shall see, so that the manifest tells of the same one.
SELECT pg_export_snapshot();

-- name: read_heads
-- How far each log reached.
-- tenant: all, because a backup is of the whole node.
SELECT tenant_id, size, root FROM ledger.log_head ORDER BY tenant_id;

-- name: count_records
-- How many records each log has, to hold against its head after a restore.
-- tenant: all, because a backup is of the whole node.
SELECT tenant_id, count(*) FROM ledger.universal_registry GROUP BY tenant_id;

-- name: read_reach
-- Whether the session would be shown every row: a dump must not leave out what RLS hides.
SELECT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user),
  pg_has_role(session_user, 'logline_appender', 'USAGE');

-- name: destroy_forgotten
-- Keys that the restored log itself says are destroyed.
-- tenant: all, because what was forgotten in any tenant stays forgotten.
DELETE FROM ledger.subject_key k
USING ledger.entity e
WHERE e.tenant_id = k.tenant_id AND e.entity_type = 'forgetting' AND e."this" = k.key_id::text;

-- name: destroy_key
-- A key that the list beside the guard says is destroyed.
DELETE FROM ledger.subject_key WHERE tenant_id = %(tenant)s AND key_id = %(key_id)s;

-- name: refresh_statistics
ANALYZE;
