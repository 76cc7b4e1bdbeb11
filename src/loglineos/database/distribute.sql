-- Whether this server can distribute, and what it distributes already.

-- name: find_citus
SELECT count(*) FROM pg_extension WHERE extname = 'citus';

-- name: list_distributed
-- tenant: all, because it reads the catalog of Citus, not a tenant's rows.
SELECT table_name::text FROM citus_tables WHERE table_name::text LIKE 'ledger.%%' ORDER BY 1;
