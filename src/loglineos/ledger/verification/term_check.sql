-- name: told_values
-- What the terms of all full blocks are made of, in the order of `search_terms.COLUMNS`.
SELECT position, who, did, "this", confirmed_by, name, status, type, entity_type, owner_id, visibility,
  tags, shared_with
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position < %(size)s
ORDER BY position;

-- name: values_of_block
-- The same of one block.
SELECT position, who, did, "this", confirmed_by, name, status, type, entity_type, owner_id, visibility,
  tags, shared_with
FROM ledger.universal_registry
WHERE tenant_id = %(tenant)s AND position >= %(first)s AND position < %(before)s
ORDER BY position;

-- name: kept_terms
-- Every term that is kept, block by block.
SELECT block, term, place, places::text
FROM ledger.search_term
WHERE tenant_id = %(tenant)s
ORDER BY block, term;

-- name: drop_terms_of_block
-- A wrong block goes whole.
DELETE FROM ledger.search_term
WHERE tenant_id = %(tenant)s AND block = %(block)s;
