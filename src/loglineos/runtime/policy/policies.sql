-- name: first_positions
-- Where the life of each policy began: a new policy starts from there.
SELECT e.id, e.first_position
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.entity_type = 'policy' AND e.name IS NOT NULL;

-- name: latest_events
-- The latest event of each of some entities, whole: what a next event follows.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);

-- name: present_entities
-- Which of some entities there are: what a policy did about a record it does not do again.
SELECT e.id
FROM ledger.entity e
WHERE e.tenant_id = %(tenant)s AND e.id = ANY(%(ids)s::uuid[]);

-- name: find_needed
-- Entities that a policy needs to look at as time passes, by status and type, from a position on.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND NOT e.is_deleted
  AND e.position > %(after)s
  AND (%(statuses)s::text[] IS NULL OR e.status = ANY(%(statuses)s::text[]))
  AND (%(entity_types)s::text[] IS NULL OR e.entity_type = ANY(%(entity_types)s::text[]))
ORDER BY e.position
LIMIT %(rows_max)s;
