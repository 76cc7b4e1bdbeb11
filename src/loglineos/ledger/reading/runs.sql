-- name: runs_of_time
-- Runs of positions among which every record of a span of time lies: whole blocks, so never too few,
-- even where authors' times are out of order. What lies far from the others (a record told late, the
-- founding) is a run of its own, so that nobody walks through what is between.
WITH found AS (
  SELECT b.block, b.block - lag(b.block) OVER (ORDER BY b.block) > 16 AS is_far
  FROM ledger.timeline_block b
  WHERE b.tenant_id = %(tenant)s
    AND b.block >= %(first)s::bigint / %(block_positions)s::bigint
    AND b.block <= %(end)s::bigint / %(block_positions)s::bigint
    AND (%(since)s::timestamptz IS NULL OR b.at_max >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR b.at_min < %(until)s::timestamptz)
), numbered AS (
  SELECT f.block, count(*) FILTER (WHERE f.is_far) OVER (ORDER BY f.block) AS run
  FROM found f
)
SELECT min(n.block) * %(block_positions)s::bigint, (max(n.block) + 1) * %(block_positions)s::bigint
FROM numbered n
GROUP BY n.run
ORDER BY 1;
