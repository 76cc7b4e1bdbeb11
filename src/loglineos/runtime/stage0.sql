-- name: read_founding
-- The first record of a tenant's log: who signed it is the root of the house.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.position = 0;

-- name: read_latest
-- The latest event of one entity, from the registry itself and not from what is derived of it.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s
ORDER BY r.seq DESC
LIMIT 1;

-- name: read_event
-- One event of an entity: an execution goes on with the version that it started with.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s AND r.seq = %(seq)s;

-- name: read_key_lives
-- The enrolment and, where there is one, the revocation of a key, in order.
SELECT r.*
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s AND r.entity_type = 'key'
ORDER BY r.seq;
