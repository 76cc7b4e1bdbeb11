-- Queries of the plumbing itself: migrations, roles, settings of a session.

-- name: take_lock
-- One node migrates at a time; the lock ends with the session.
SELECT pg_advisory_lock(8099550734218391);

-- name: drop_lock
SELECT pg_advisory_unlock(8099550734218391);

-- name: find_migrations
-- The table is ours but made by hand here: the first migration must find it.
SELECT to_regclass('ledger_meta.migration') IS NOT NULL;

-- name: make_migrations
CREATE SCHEMA IF NOT EXISTS ledger_meta;
CREATE TABLE IF NOT EXISTS ledger_meta.migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: read_migrations
SELECT number, name, checksum, applied_at FROM ledger_meta.migration ORDER BY number;

-- name: add_migration
INSERT INTO ledger_meta.migration (number, name, checksum)
VALUES (%(number)s, %(name)s, %(checksum)s);

-- name: read_role
-- Whom a session runs as, and whether row-level security would be bypassed by it.
SELECT session_user::text, r.rolsuper, r.rolbypassrls, r.rolcreaterole
FROM pg_roles r WHERE r.rolname = session_user;

-- name: list_roles
SELECT rolname::text, rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole
FROM pg_roles WHERE rolname = ANY(%(names)s);

-- name: list_memberships
-- Roles that the session may set.
SELECT rolname::text FROM pg_roles
WHERE rolname = ANY(%(names)s) AND pg_has_role(session_user, oid, 'MEMBER');
