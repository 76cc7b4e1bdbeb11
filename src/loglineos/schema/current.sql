-- The ledger: one append-only registry per node, isolated by tenant, and what is derived from it.
-- Roles exist already (database/roles.py): logline_owner owns, logline_appender writes,
-- logline_app reads one tenant under row-level security, logline_reader reads every tenant.
-- Every key starts with tenant_id, so that each table can be distributed by it.

CREATE SCHEMA app AUTHORIZATION logline_owner;
CREATE SCHEMA ledger AUTHORIZATION logline_owner;
SET LOCAL ROLE logline_owner;
GRANT USAGE ON SCHEMA app, ledger TO logline_app, logline_appender, logline_reader;

-- Who is asking ---------------------------------------------------------------------------------

CREATE FUNCTION app.current_user_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.user_id', true), '') $$;
CREATE FUNCTION app.current_tenant_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.tenant_id', true), '') $$;
CREATE FUNCTION app.current_actor_role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.role', true), '') $$;
-- Staff read what is visible to the house; couriers, clients and agents only what names them.
CREATE FUNCTION app.is_staff() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT coalesce(app.current_actor_role() IN ('owner', 'manager', 'operator', 'auditor'), false) $$;
-- The names under which a record may be shared with the one who asks: the actor, and the role.
CREATE FUNCTION app.current_names() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT array_remove(ARRAY[app.current_user_id(), 'role:' || app.current_actor_role()], NULL) $$;

-- The registry ----------------------------------------------------------------------------------

CREATE TABLE ledger.universal_registry (
  tenant_id        text        NOT NULL,
  id               uuid        NOT NULL,
  seq              integer     NOT NULL,
  entity_type      text        NOT NULL,
  position         bigint      NOT NULL,
  recorded_at      timestamptz NOT NULL,
  who              text,
  did              text,
  "this"           text,
  at               timestamptz NOT NULL,
  confirmed_by     text,
  if_ok            text,
  if_doubt         text,
  if_not           text,
  status           text,
  type             text,
  tags             text[],
  subsystem        text,
  source_file      text,
  details          jsonb,
  valid            boolean,
  ghost_reason     text,
  parent_id        uuid,
  related_to       uuid[],
  trace_id         text,
  span_id          text,
  session_id       text,
  cause_id         uuid,
  branch           text,
  owner_id         text,
  visibility       text        NOT NULL,
  shared_with      text[],
  is_deleted       boolean     NOT NULL,
  name             text,
  description      text,
  code             text,
  code_hash        text,
  language         text,
  runtime          text,
  version          text,
  entrypoint       text,
  effects          text[],
  input            jsonb,
  output           jsonb,
  error            jsonb,
  output_hash      text,
  attempt          bigint,
  max_attempts     bigint,
  priority         bigint,
  queue            text,
  run_at           timestamptz,
  lease_until      timestamptz,
  worker           text,
  idempotency_key  text,
  simulated        boolean,
  cron             text,
  timezone         text,
  catch_up         text,
  duration_ms      bigint,
  cost_micros      bigint,
  currency         text,
  model            text,
  provider         text,
  tokens_in        bigint,
  tokens_out       bigint,
  latency_ms       bigint,
  score            double precision,
  latitude         double precision,
  longitude        double precision,
  content_hash     text,
  content_type     text,
  size_bytes       bigint,
  bucket           text,
  object_key       text,
  prev_hash        text,
  curr_hash        text        NOT NULL,
  signature        text        NOT NULL,
  public_key       text        NOT NULL,
  metadata         jsonb,
  PRIMARY KEY (tenant_id, id, seq),
  CONSTRAINT ur_position UNIQUE (tenant_id, position),
  CONSTRAINT ck_append_only CHECK (seq >= 0 AND position >= 0),
  CONSTRAINT ck_visibility CHECK (visibility IN ('private', 'tenant', 'public')),
  CONSTRAINT ck_branch CHECK (branch IN ('ok', 'doubt', 'not')),
  CONSTRAINT ck_only_a_ghost_lacks_who_or_this CHECK ((who IS NOT NULL AND "this" IS NOT NULL) OR status = 'ghost'),
  CONSTRAINT ck_chain CHECK ((seq = 0) = (prev_hash IS NULL)),
  CONSTRAINT ck_proof CHECK (length(curr_hash) = 64 AND length(signature) = 128 AND length(public_key) = 64)
);

-- Text that a person searches by: lower-case words without accents or punctuation. The long list of
-- accents is only walked for text that has any (more bytes than characters).
CREATE FUNCTION ledger.fold(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(words) = length(words)
    THEN translate(lower(words), '_.:#/-@,;()', '           ')
    ELSE translate(lower(words), '_.:#/-@,;()áàâãäéèêëíìîïóòôõöúùûüçñ', '           aaaaaeeeeiiiiooooouuuucn') END $$;
CREATE INDEX ur_who         ON ledger.universal_registry (tenant_id, who, position);
CREATE INDEX ur_did         ON ledger.universal_registry (tenant_id, did, position);
CREATE INDEX ur_status      ON ledger.universal_registry (tenant_id, status, position);
CREATE INDEX ur_entity_type ON ledger.universal_registry (tenant_id, entity_type, position);
CREATE INDEX ur_owner       ON ledger.universal_registry (tenant_id, owner_id, position) WHERE visibility = 'private';
CREATE INDEX ur_trace       ON ledger.universal_registry (tenant_id, trace_id, position) WHERE trace_id IS NOT NULL;
CREATE INDEX ur_parent      ON ledger.universal_registry (tenant_id, parent_id, position) WHERE parent_id IS NOT NULL;
CREATE INDEX ur_cause       ON ledger.universal_registry (tenant_id, cause_id, position) WHERE cause_id IS NOT NULL;
CREATE INDEX ur_related     ON ledger.universal_registry USING gin (related_to) WHERE related_to IS NOT NULL;

-- What is derived from the registry, in the same transaction; `logline rebuild` proves it equal.

CREATE TABLE ledger.entity (
  tenant_id       text        NOT NULL,
  id              uuid        NOT NULL,
  seq             integer     NOT NULL,
  position        bigint      NOT NULL,
  first_position  bigint      NOT NULL,
  entity_type     text        NOT NULL,
  status          text,
  type            text,
  who             text,
  did             text,
  "this"          text,
  at              timestamptz NOT NULL,
  confirmed_by    text,
  ghost_reason    text,
  owner_id        text,
  visibility      text        NOT NULL,
  shared_with     text[],
  is_deleted      boolean     NOT NULL,
  name            text,
  queue           text,
  priority        bigint,
  run_at          timestamptz,
  attempt         bigint,
  max_attempts    bigint,
  idempotency_key text,
  curr_hash       text        NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX entity_status ON ledger.entity (tenant_id, status, position);
CREATE INDEX entity_name   ON ledger.entity (tenant_id, entity_type, name) WHERE name IS NOT NULL;
CREATE INDEX entity_queue  ON ledger.entity (tenant_id, queue, status, run_at) WHERE queue IS NOT NULL;

-- What waits to run or runs: derived from the registry (each execution with a queue whose latest event
-- is scheduled, queued, running or waiting). `due_at` is when somebody may take it ('infinity': when it
-- is woken). The lease of who works on it is operational and no record: it is lost with no harm.
CREATE TABLE ledger.job (
  tenant_id   text        NOT NULL,
  id          uuid        NOT NULL,
  seq         integer     NOT NULL,
  position    bigint      NOT NULL,
  queue       text        NOT NULL,
  status      text        NOT NULL,
  priority    bigint      NOT NULL,
  due_at      timestamptz NOT NULL,
  name        text,
  key         text,
  lease_until timestamptz,
  worker      text,
  claimed_at  timestamptz,
  claims      integer     NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 50);
CREATE INDEX job_due ON ledger.job (tenant_id, queue, priority, due_at, position);
CREATE INDEX job_key ON ledger.job (tenant_id, key) WHERE key IS NOT NULL;

-- Operational, no record: how far each follower of a log has read, which workers live (tenant '@node'),
-- and paused runs as their engine left them (a cache: the journal in the registry has it all).
CREATE TABLE ledger.cursor (
  tenant_id  text        NOT NULL,
  name       text        NOT NULL,
  position   bigint      NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, name)
);
CREATE TABLE ledger.worker (
  tenant_id  text        NOT NULL,
  id         text        NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL,
  about      jsonb       NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE TABLE ledger.snapshot (
  tenant_id text        NOT NULL,
  id        uuid        NOT NULL,
  step      integer     NOT NULL,
  engine    text        NOT NULL,
  mac       bytea       NOT NULL,
  body      bytea       NOT NULL,
  kept_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

-- Earliest and latest `at` of each 512 positions: turns a span of time into a span of positions.
CREATE TABLE ledger.timeline_block (
  tenant_id text        NOT NULL,
  block     bigint      NOT NULL,
  at_min    timestamptz NOT NULL,
  at_max    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, block)
);

-- Where each search term is found among the 1,024 positions of a block: the places, counted from the
-- first, as bits, or the one place. Written once, when the block is full; the block after the last full
-- one is walked. The terms are made in ledger/search_terms.py.
CREATE TABLE ledger.search_term (
  tenant_id text     NOT NULL,
  term      text     COLLATE "C" NOT NULL,
  block     integer  NOT NULL,
  place     smallint,
  places    bit(1024),
  PRIMARY KEY (tenant_id, term, block),
  CONSTRAINT ck_places CHECK ((place IS NULL) <> (places IS NULL))
);

-- Which key may sign for whom, and between which positions.
CREATE TABLE ledger.actor_key (
  tenant_id  text   NOT NULL,
  public_key text   NOT NULL,
  actor      text   NOT NULL,
  role       text   NOT NULL,
  custody    text   NOT NULL,
  enrolled   bigint NOT NULL,
  revoked    bigint,
  PRIMARY KEY (tenant_id, public_key),
  CONSTRAINT ck_custody CHECK (custody IN ('root', 'node', 'own', 'held'))
);

-- The log ---------------------------------------------------------------------------------------

-- The head of each tenant's log. Its row lock orders appends; `size` is the next position.
CREATE TABLE ledger.log_head (
  tenant_id    text        NOT NULL PRIMARY KEY,
  size         bigint      NOT NULL,
  root         bytea       NOT NULL,
  keys_changed bigint      NOT NULL DEFAULT 0,
  updated_at   timestamptz NOT NULL,
  CONSTRAINT ck_head CHECK (size >= 0 AND length(root) = 32)
);

-- Full tiles only (256 hashes of 32 bytes); a partial tile is computed from the rows after it.
CREATE TABLE ledger.tile (
  tenant_id text     NOT NULL,
  level     smallint NOT NULL,
  index     bigint   NOT NULL,
  root      bytea    NOT NULL,
  hashes    bytea    NOT NULL,
  PRIMARY KEY (tenant_id, level, index),
  CONSTRAINT ck_tile CHECK (length(root) = 32 AND length(hashes) = 8192)
);
ALTER TABLE ledger.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE ledger.checkpoint (
  tenant_id text        NOT NULL,
  size      bigint      NOT NULL,
  root      bytea       NOT NULL,
  note      text        NOT NULL,
  signed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, size)
);

CREATE TABLE ledger.cosignature (
  tenant_id text        NOT NULL,
  size      bigint      NOT NULL,
  witness   text        NOT NULL,
  line      text        NOT NULL,
  signed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, size, witness)
);

-- The entries of the root log (tenant_id '@root'): one signed checkpoint of one tenant each.
CREATE TABLE ledger.root_entry (
  tenant_id     text   NOT NULL,
  position      bigint NOT NULL,
  source_tenant text   NOT NULL,
  source_size   bigint NOT NULL,
  entry         bytea  NOT NULL,
  PRIMARY KEY (tenant_id, position),
  CONSTRAINT root_entry_source UNIQUE (tenant_id, source_tenant, source_size)
);

-- The latest checkpoint of each foreign log that this node is a witness for.
CREATE TABLE ledger.witnessed_log (
  tenant_id  text        NOT NULL,
  origin     text        NOT NULL,
  size       bigint      NOT NULL,
  root       bytea       NOT NULL,
  note       text        NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, origin)
);

-- The keys of personal fields, outside the log: destroying the row forgets the person.
CREATE TABLE ledger.subject_key (
  tenant_id  text        NOT NULL,
  key_id     uuid        NOT NULL,
  subject    text        NOT NULL,
  wrapped    bytea       NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key_id),
  CONSTRAINT subject_key_subject UNIQUE (tenant_id, subject)
);

-- Nothing that was written changes --------------------------------------------------------------

CREATE FUNCTION ledger.no_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ledger.% is append-only: % is not allowed', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation', HINT = 'undo by appending another record';
END; $$;

CREATE TRIGGER ur_no_update BEFORE UPDATE OR DELETE ON ledger.universal_registry
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER ur_no_truncate BEFORE TRUNCATE ON ledger.universal_registry
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER tile_no_update BEFORE UPDATE OR DELETE ON ledger.tile
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER tile_no_truncate BEFORE TRUNCATE ON ledger.tile
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER checkpoint_no_update BEFORE UPDATE OR DELETE ON ledger.checkpoint
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER checkpoint_no_truncate BEFORE TRUNCATE ON ledger.checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER cosignature_no_update BEFORE UPDATE OR DELETE ON ledger.cosignature
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER cosignature_no_truncate BEFORE TRUNCATE ON ledger.cosignature
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER root_entry_no_update BEFORE UPDATE OR DELETE ON ledger.root_entry
  FOR EACH ROW EXECUTE FUNCTION ledger.no_updates();
CREATE TRIGGER root_entry_no_truncate BEFORE TRUNCATE ON ledger.root_entry
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_updates();

-- Who may read and write ------------------------------------------------------------------------

GRANT SELECT ON ledger.universal_registry, ledger.entity, ledger.timeline_block, ledger.log_head,
  ledger.tile, ledger.checkpoint, ledger.cosignature, ledger.actor_key TO logline_app;
GRANT SELECT ON ledger.universal_registry, ledger.entity, ledger.timeline_block, ledger.log_head,
  ledger.tile, ledger.checkpoint, ledger.cosignature, ledger.actor_key, ledger.root_entry,
  ledger.witnessed_log, ledger.search_term TO logline_reader;
GRANT SELECT, INSERT ON ledger.universal_registry, ledger.tile, ledger.checkpoint,
  ledger.cosignature, ledger.root_entry TO logline_appender;
GRANT SELECT, INSERT, UPDATE ON ledger.log_head, ledger.witnessed_log TO logline_appender;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.entity, ledger.timeline_block, ledger.actor_key
  TO logline_appender;
GRANT SELECT, INSERT, DELETE ON ledger.search_term TO logline_appender;
GRANT SELECT, INSERT, DELETE ON ledger.subject_key TO logline_appender;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.job, ledger.cursor, ledger.worker, ledger.snapshot
  TO logline_appender;
GRANT SELECT ON ledger.job, ledger.cursor, ledger.worker TO logline_reader;

ALTER TABLE ledger.universal_registry ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.entity             ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.timeline_block     ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.search_term        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.actor_key          ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.log_head           ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.tile               ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.checkpoint         ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.cosignature        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.root_entry         ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.witnessed_log      ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.subject_key        ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.job                ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.cursor             ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.worker             ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.snapshot           ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- SELECT: what is public, what I own or am named in, and for staff what the house may see.
CREATE POLICY ur_select_policy ON ledger.universal_registry FOR SELECT TO logline_app USING (
  visibility = 'public'
  OR (tenant_id = (SELECT app.current_tenant_id()) AND (
       (visibility = 'tenant' AND (SELECT app.is_staff()))
    OR owner_id = (SELECT app.current_user_id())
    OR who = (SELECT app.current_user_id())
    OR confirmed_by = (SELECT app.current_user_id())
    OR shared_with && (SELECT app.current_names()))));
-- INSERT: kept from the Bluebook for any role that is ever granted INSERT; today only the appender is.
CREATE POLICY ur_insert_policy ON ledger.universal_registry FOR INSERT TO logline_app WITH CHECK (
  owner_id = (SELECT app.current_user_id()) AND tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY entity_select_policy ON ledger.entity FOR SELECT TO logline_app USING (
  visibility = 'public'
  OR (tenant_id = (SELECT app.current_tenant_id()) AND (
       (visibility = 'tenant' AND (SELECT app.is_staff()))
    OR owner_id = (SELECT app.current_user_id())
    OR who = (SELECT app.current_user_id())
    OR confirmed_by = (SELECT app.current_user_id())
    OR shared_with && (SELECT app.current_names()))));
CREATE POLICY timeline_block_app ON ledger.timeline_block FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY actor_key_app      ON ledger.actor_key      FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY log_head_app       ON ledger.log_head       FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY tile_app           ON ledger.tile           FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY checkpoint_app     ON ledger.checkpoint     FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));
CREATE POLICY cosignature_app    ON ledger.cosignature    FOR SELECT TO logline_app USING (tenant_id = (SELECT app.current_tenant_id()));

-- The appender and the reader are the node itself; grants above say what each may do.
CREATE POLICY ur_node             ON ledger.universal_registry FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY entity_node         ON ledger.entity         FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY timeline_block_node ON ledger.timeline_block FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY search_term_node    ON ledger.search_term    FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY actor_key_node      ON ledger.actor_key      FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY log_head_node       ON ledger.log_head       FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY tile_node           ON ledger.tile           FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY checkpoint_node     ON ledger.checkpoint     FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY cosignature_node    ON ledger.cosignature    FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY root_entry_node     ON ledger.root_entry     FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY witnessed_log_node  ON ledger.witnessed_log  FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY subject_key_node    ON ledger.subject_key    FOR ALL TO logline_appender USING (true) WITH CHECK (true);
CREATE POLICY job_node            ON ledger.job            FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY cursor_node         ON ledger.cursor         FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY worker_node         ON ledger.worker         FOR ALL TO logline_appender, logline_reader USING (true) WITH CHECK (true);
CREATE POLICY snapshot_node       ON ledger.snapshot       FOR ALL TO logline_appender USING (true) WITH CHECK (true);

-- The timeline ----------------------------------------------------------------------------------

CREATE VIEW ledger.visible_timeline WITH (security_invoker = true) AS
  SELECT ur.*, ur.at AS "when" FROM ledger.universal_registry ur WHERE ur.is_deleted = false;
GRANT SELECT ON ledger.visible_timeline TO logline_app, logline_appender, logline_reader;

-- Search under row-level security. Nobody but the node may read the terms: they would tell what is in
-- records that one may not see. This function runs as the owner, applies the same rule as
-- ur_select_policy inside, in the tenant of the session only, and returns positions; the caller joins
-- them with the registry, where the policy is applied once more. Its search path ends in pg_temp, which
-- would come first if it were not named: no type or table of the caller's is ever meant here.
CREATE POLICY ur_search_policy ON ledger.universal_registry FOR SELECT TO logline_owner USING (true);
CREATE POLICY entity_search_policy ON ledger.entity FOR SELECT TO logline_owner USING (true);
CREATE POLICY search_term_search_policy ON ledger.search_term FOR SELECT TO logline_owner USING (true);

-- Positions in order: by walking where matches are dense and where no block is full yet, then by the
-- terms, a stretch of blocks at a time and each four times as long as the one before. `terms` and
-- `openings` (beginnings of terms) are what the filter means as search terms (ledger/search_terms.py):
-- they may find too much, never too little, and every row is compared with the filter itself.
CREATE FUNCTION ledger.search_positions(
  words text[], prefixes text[], tags text[], by_who text, by_did text, by_this text, by_status text,
  by_type text, by_entity_type text, at_from timestamptz, at_before timestamptz,
  position_from bigint, position_before bigint, only_latest boolean, newest_first boolean,
  rows_max integer, terms text[], openings text[]
) RETURNS SETOF bigint LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, ledger, app, pg_temp SET jit = off SET work_mem = '16MB'
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  tenant text := app.current_tenant_id();
  plain text[] := coalesce(array_remove(string_to_array(ledger.fold(array_to_string(words, ' ')), ' '), ''), '{}');
  opened text[] := '{}';
  patterns text[];
  span text[];
  statement text;
  has_words text := '';
  in_order text := ' ORDER BY r.position ' || CASE WHEN newest_first THEN 'DESC' ELSE 'ASC' END || ' LIMIT $4';
  readable text[];
  parts integer;
  size bigint;
  low bigint := greatest(position_from, 0);
  high bigint;
  full_before bigint;
  first_of bigint;
  before bigint;
  width bigint := 512;
  walked bigint := 0;
  stretch bigint := 16;
  candidates bigint[];
  candidates_max integer := least(greatest(rows_max, 64), 32768) * 2;
  found integer := 0;
  more integer;
BEGIN
  SELECT r.position + 1 INTO size FROM ledger.universal_registry r
    WHERE r.tenant_id = tenant ORDER BY r.position DESC LIMIT 1;
  high := least(size, position_before);
  IF high IS NULL OR low >= high OR rows_max < 1 THEN RETURN; END IF;
  FOR i IN 1 .. coalesce(array_length(prefixes, 1), 0) LOOP
    span := array_remove(string_to_array(ledger.fold(prefixes[i]), ' '), '');
    IF cardinality(span) > 0 THEN
      plain := plain || span[1:cardinality(span) - 1];
      opened := opened || span[cardinality(span)];
    END IF;
  END LOOP;
  patterns := ARRAY(SELECT '% ' || replace(replace(w, '\', '\\'), '%', '\%') || ' %' FROM unnest(plain) w)
    || ARRAY(SELECT '% ' || replace(replace(w, '\', '\\'), '%', '\%') || '%' FROM unnest(opened) w);
  IF cardinality(patterns) > 0 THEN
    has_words := ' AND ('' '' || ledger.fold(concat_ws('' '', r.who, r.did, r."this", r.confirmed_by, r.name))'
      || ' || '' '') LIKE ALL ($14)';
  END IF;
  statement := 'SELECT r.position FROM ledger.universal_registry r'
    || ' WHERE r.tenant_id = $1 AND r.position >= $2 AND r.position < $3 AND NOT r.is_deleted'
    || CASE WHEN by_who IS NULL THEN '' ELSE ' AND r.who = $5' END
    || CASE WHEN by_did IS NULL THEN '' ELSE ' AND r.did = $6' END
    || CASE WHEN by_this IS NULL THEN '' ELSE ' AND r."this" = $7' END
    || CASE WHEN by_status IS NULL THEN '' ELSE ' AND r.status = $8' END
    || CASE WHEN by_type IS NULL THEN '' ELSE ' AND r.type = $9' END
    || CASE WHEN by_entity_type IS NULL THEN '' ELSE ' AND r.entity_type = $10' END
    || CASE WHEN at_from IS NULL THEN '' ELSE ' AND r.at >= $11' END
    || CASE WHEN at_before IS NULL THEN '' ELSE ' AND r.at < $12' END
    || CASE WHEN coalesce(cardinality(tags), 0) = 0 THEN '' ELSE ' AND r.tags @> $13' END
    || has_words
    || ' AND (r.visibility = ''public'' OR (r.visibility = ''tenant'' AND (SELECT app.is_staff()))'
    || '   OR r.owner_id = (SELECT app.current_user_id()) OR r.who = (SELECT app.current_user_id())'
    || '   OR r.confirmed_by = (SELECT app.current_user_id()) OR r.shared_with && (SELECT app.current_names()))'
    || CASE WHEN only_latest THEN ' AND r.seq = (SELECT e.seq FROM ledger.entity e'
       || ' WHERE e.tenant_id = $1 AND e.id = r.id)' ELSE '' END;
  full_before := size >> 10 << 10;
  -- Walk the nearest 512 positions and those of the unfinished block, and on where matches are dense or
  -- little is left. At the edge of a span of time most positions lie outside it (records told late):
  -- walk until 300 lie inside.
  IF has_words <> '' AND (at_from IS NOT NULL OR at_before IS NOT NULL) THEN
    EXECUTE 'SELECT abs($5 - r.position) FROM ledger.universal_registry r WHERE r.tenant_id = $1'
      || ' AND r.position >= $2 AND r.position < $3 AND ($6 IS NULL OR r.at >= $6) AND ($7 IS NULL OR r.at < $7)'
      || replace(in_order, 'LIMIT $4', 'OFFSET 300 LIMIT 1')
      INTO width
      USING tenant, CASE WHEN newest_first THEN greatest(low, high - 16384) ELSE low END,
        CASE WHEN newest_first THEN high ELSE least(high, low + 16384) END, NULL,
        CASE WHEN newest_first THEN high ELSE low END, at_from, at_before;
    width := greatest(coalesce(width, 0), 512);
  END IF;
  IF newest_first THEN width := greatest(width, high - full_before); END IF;
  WHILE low < high AND width > 0 LOOP
    first_of := CASE WHEN newest_first THEN greatest(low, high - width) ELSE low END;
    before := CASE WHEN newest_first THEN high ELSE least(high, low + width) END;
    RETURN QUERY EXECUTE statement || in_order
      USING tenant, first_of, before, rows_max - found, by_who, by_did, by_this, by_status, by_type,
        by_entity_type, at_from, at_before, tags, patterns;
    GET DIAGNOSTICS more = ROW_COUNT;
    found := found + more;
    walked := walked + before - first_of;
    IF newest_first THEN high := first_of; ELSE low := before; END IF;
    IF found >= rows_max THEN RETURN; END IF;
    width := CASE WHEN high - low <= 512 THEN 512
      WHEN walked <= 2000 AND found * 40 > walked THEN 2 * (rows_max - found) * walked / found ELSE 0 END;
  END LOOP;
  IF low >= high THEN RETURN; END IF;
  IF NOT app.is_staff() THEN
    readable := ARRAY(SELECT left('=r' || name, 400) FROM unnest(app.current_names()) AS name) || '=v'::text;
  END IF;
  parts := coalesce(cardinality(terms), 0) + coalesce(cardinality(openings), 0) + (readable IS NOT NULL)::integer;
  WHILE parts > 0 AND low < least(high, full_before) LOOP
    IF newest_first THEN
      before := high;
      first_of := greatest(low, (((high - 1) >> 10) - stretch + 1) << 10);
    ELSE
      first_of := low;
      before := least(high, full_before, ((low >> 10) + stretch) << 10);
    END IF;
    WITH hits AS (
      SELECT asked.part, t.block, t.place, t.places
      FROM unnest(terms) WITH ORDINALITY AS asked (term, part)
      JOIN ledger.search_term t ON t.tenant_id = tenant AND t.term = asked.term
        AND t.block >= first_of >> 10 AND t.block <= (before - 1) >> 10
      UNION ALL
      SELECT -asked.part, t.block, t.place, t.places
      FROM unnest(openings) WITH ORDINALITY AS asked (opening, part)
      JOIN ledger.search_term t ON t.tenant_id = tenant AND t.term >= asked.opening
        AND t.term < asked.opening || chr(1114111)
        AND t.block >= first_of >> 10 AND t.block <= (before - 1) >> 10
      UNION ALL
      SELECT 0, t.block, t.place, t.places
      FROM unnest(readable) AS asked (term)
      JOIN ledger.search_term t ON t.tenant_id = tenant AND t.term = asked.term
        AND t.block >= first_of >> 10 AND t.block <= (before - 1) >> 10
    ), of_parts AS (
      SELECT part, block,
        bit_or(coalesce(places, set_bit(repeat('0', 1024)::bit(1024), place, 1))) AS places
      FROM hits GROUP BY part, block
    ), of_blocks AS (
      SELECT block, bit_and(places) AS places FROM of_parts GROUP BY block HAVING count(*) = parts
      UNION ALL
      SELECT block, coalesce(places, set_bit(repeat('0', 1024)::bit(1024), place, 1))
      FROM ledger.search_term
      WHERE tenant_id = tenant AND term = '*' AND block >= first_of >> 10 AND block <= (before - 1) >> 10
    ), ordered AS (
      SELECT DISTINCT (block::bigint << 10) + word * 32 + bit AS candidate
      FROM of_blocks, generate_series(0, 31) AS word, generate_series(0, 31) AS bit
      WHERE substring(places FROM word * 32 + 1 FOR 32) <> B'00000000000000000000000000000000'
        AND get_bit(places, word * 32 + bit) = 1
        AND (block::bigint << 10) + word * 32 + bit >= first_of
        AND (block::bigint << 10) + word * 32 + bit < before
      ORDER BY 1
    )
    SELECT array_agg(candidate) INTO candidates FROM (
      SELECT candidate FROM ordered
      ORDER BY CASE WHEN newest_first THEN -candidate ELSE candidate END LIMIT candidates_max) AS nearest;
    IF cardinality(candidates) = candidates_max THEN
      IF newest_first THEN first_of := candidates[candidates_max];
      ELSE before := candidates[candidates_max] + 1; END IF;
    ELSE
      stretch := stretch * 4;
    END IF;
    candidates_max := least(candidates_max * 4, 65536);
    IF cardinality(candidates) > 0 THEN
      RETURN QUERY EXECUTE regexp_replace(statement, 'AND r\.(who|did|status|entity_type) =', 'AND (r.\1 || '''') =', 'g')
        || ' AND r.position = ANY ($15)' || in_order
        USING tenant, first_of, before, rows_max - found, by_who, by_did, by_this, by_status, by_type,
          by_entity_type, at_from, at_before, tags, patterns, candidates;
      GET DIAGNOSTICS more = ROW_COUNT;
      found := found + more;
      IF found >= rows_max THEN RETURN; END IF;
    END IF;
    IF newest_first THEN high := first_of; ELSE low := before; END IF;
  END LOOP;
  -- No term to go by, or the unfinished block at the end of a search from the oldest on.
  IF low < high THEN
    RETURN QUERY EXECUTE statement || in_order
      USING tenant, low, high, rows_max - found, by_who, by_did, by_this, by_status, by_type,
        by_entity_type, at_from, at_before, tags, patterns;
  END IF;
END; $$;
REVOKE ALL ON FUNCTION ledger.search_positions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.search_positions TO logline_app, logline_reader;

RESET ROLE;
