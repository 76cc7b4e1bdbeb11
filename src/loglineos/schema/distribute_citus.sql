-- Distribute the ledger by tenant on a Citus coordinator. Run once, by `logline db distribute --run`,
-- as the administrator, on a migrated database; before it has data, or after a backup.
--
-- What is known (Citus 13.2, PostgreSQL 15, one coordinator and two workers):
--   * tables are distributed first; views and row triggers are made after, with unsafe triggers on;
--   * row triggers, FORCE row-level security, FOR UPDATE, SKIP LOCKED and co-located
--     INSERT ... SELECT then work as on one node; multi-row VALUES is how the appender inserts;
--   * SET LOCAL reaches the workers when citus.propagate_set_commands = 'local'; set_config() never;
--   * statement triggers for TRUNCATE were not tried: TRUNCATE is refused by revoked grants instead.
-- Citus connects to the workers as the role that asks: let the four logline roles log in there
-- (pg_hba.conf or pg_dist_authinfo), with the rights that they have here and no more.

BEGIN;
SET LOCAL citus.enable_unsafe_triggers TO on;
SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
SET LOCAL citus.propagate_set_commands TO 'local';

-- The same for every session from now on, on this node.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET citus.propagate_set_commands TO ''local''', current_database());
  EXECUTE format('ALTER DATABASE %I SET citus.enable_unsafe_triggers TO on', current_database());
END $$;

-- What stands on the tables is put aside.
DROP VIEW ledger.visible_timeline;
DROP TRIGGER ur_no_update ON ledger.universal_registry;
DROP TRIGGER ur_no_truncate ON ledger.universal_registry;
DROP TRIGGER tile_no_update ON ledger.tile;
DROP TRIGGER tile_no_truncate ON ledger.tile;
DROP TRIGGER checkpoint_no_update ON ledger.checkpoint;
DROP TRIGGER checkpoint_no_truncate ON ledger.checkpoint;
DROP TRIGGER cosignature_no_update ON ledger.cosignature;
DROP TRIGGER cosignature_no_truncate ON ledger.cosignature;
DROP TRIGGER root_entry_no_update ON ledger.root_entry;
DROP TRIGGER root_entry_no_truncate ON ledger.root_entry;

-- The functions that policies, indexes and triggers call exist on every worker, callees first.
SELECT create_distributed_function(p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('app', 'ledger')
ORDER BY p.oid;

-- One tenant, one shard of each table, all on one worker: a transaction of the appender never spans
-- two of them. The root log is a tenant like the others ('@root').
SELECT create_distributed_table('ledger.universal_registry', 'tenant_id', colocate_with => 'none');
SELECT create_distributed_table('ledger.entity', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.timeline_block', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.search_term', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.actor_key', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.log_head', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.tile', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.checkpoint', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.cosignature', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.root_entry', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.witnessed_log', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.subject_key', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.job', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.cursor', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.worker', 'tenant_id', colocate_with => 'ledger.universal_registry');
SELECT create_distributed_table('ledger.snapshot', 'tenant_id', colocate_with => 'ledger.universal_registry');

-- Nothing that was written changes, on the shards too.
CREATE TRIGGER ur_no_update BEFORE UPDATE OR DELETE ON ledger.universal_registry
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER tile_no_update BEFORE UPDATE OR DELETE ON ledger.tile
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER checkpoint_no_update BEFORE UPDATE OR DELETE ON ledger.checkpoint
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER cosignature_no_update BEFORE UPDATE OR DELETE ON ledger.cosignature
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER root_entry_no_update BEFORE UPDATE OR DELETE ON ledger.root_entry
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
REVOKE TRUNCATE ON ledger.universal_registry, ledger.tile, ledger.checkpoint, ledger.cosignature,
  ledger.root_entry FROM PUBLIC, logline_owner, logline_app, logline_appender, logline_reader;

-- The timeline again, as the first migration made it.
CREATE VIEW ledger.visible_timeline WITH (security_invoker = true) AS
  SELECT ur.*, ur.at AS "when" FROM ledger.universal_registry ur WHERE ur.is_deleted = false;
ALTER VIEW ledger.visible_timeline OWNER TO logline_owner;
GRANT SELECT ON ledger.visible_timeline TO logline_app, logline_appender, logline_reader;
COMMIT;
