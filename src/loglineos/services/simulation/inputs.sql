-- name: told_between
-- What a run of positions tells of a span of time, each beside the event that began its life. An
-- addition counts at the time when it was made, not at that of the act that it adds to.
SELECT f.entity_type, f.who, f.did, f."this", f.branch, r.*
FROM ledger.universal_registry r
LEFT JOIN ledger.universal_registry f
  ON f.tenant_id = r.tenant_id AND f.tenant_id = %(tenant)s AND f.id = r.id AND f.seq = 0
WHERE r.tenant_id = %(tenant)s AND r.position >= %(position_from)s AND r.position < %(position_before)s
  AND NOT (r.entity_type = ANY(%(not_told)s::text[]))
  AND (r.at >= %(since)s AND r.at < %(until)s
    OR r.metadata ->> 'gesture' IN ('complete', 'annotate')
      AND r.recorded_at >= %(since)s AND r.recorded_at < %(until)s)
ORDER BY r.position;

-- name: events_named
-- Some events of some entities, whole: how they stood before the period.
SELECT r.*
FROM ledger.universal_registry r
JOIN unnest(%(ids)s::uuid[], %(seqs)s::int[]) AS wanted (id, seq) USING (id, seq)
WHERE r.tenant_id = %(tenant)s
ORDER BY r.position;

-- name: open_before
-- What was begun before the period and has not been decided, newest first.
SELECT r.*
FROM ledger.entity e
JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id AND r.seq = e.seq
WHERE e.tenant_id = %(tenant)s AND r.tenant_id = %(tenant)s AND NOT e.is_deleted
  AND e.status = ANY(%(statuses)s::text[]) AND NOT (e.entity_type = ANY(%(not_told)s::text[]))
  AND e.at < %(since)s
ORDER BY e.position DESC
LIMIT %(rows_max)s;

-- name: unfinished_jobs
-- What a simulation leaves waiting.
SELECT j.id
FROM ledger.job j
WHERE j.tenant_id = %(tenant)s
ORDER BY j.position;
