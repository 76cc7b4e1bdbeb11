-- name: find_key
-- The key of a subject, if it was not forgotten.
SELECT key_id, wrapped
FROM ledger.subject_key
WHERE tenant_id = %(tenant)s AND subject = %(subject)s;

-- name: keep_key
-- Give a subject a key; a repeat keeps the one that is there.
INSERT INTO ledger.subject_key (tenant_id, key_id, subject, wrapped, created_at)
VALUES (%(tenant)s, %(key_id)s, %(subject)s, %(wrapped)s, %(now)s)
ON CONFLICT (tenant_id, subject) DO NOTHING;

-- name: read_keys
-- The keys that a page of records needs.
SELECT key_id, wrapped
FROM ledger.subject_key
WHERE tenant_id = %(tenant)s AND key_id = ANY(%(key_ids)s::uuid[]);

-- name: destroy_key
-- Forget: without this row nothing that it sealed can ever be read again.
DELETE FROM ledger.subject_key
WHERE tenant_id = %(tenant)s AND key_id = %(key_id)s;

-- name: undone_forgettings
-- Keys that the log says are destroyed and that are here all the same: a crash came between, or an
-- old backup brought them back.
SELECT k.key_id
FROM ledger.subject_key k
JOIN ledger.entity e ON e.tenant_id = k.tenant_id AND e."this" = k.key_id::text
WHERE k.tenant_id = %(tenant)s AND e.entity_type = 'forgetting';
