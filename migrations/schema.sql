-- Made by "npm run schema -- --write" from the migrations, to be read and compared. Not to be run.

CREATE TABLE blocked_dids (
  did text NOT NULL,
  blocked_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT blocked_dids_pkey PRIMARY KEY (did)
);

CREATE TABLE conversations (
  convo_id text NOT NULL,
  cipher_suite text NOT NULL,
  creator text NOT NULL,
  name text,
  description text,
  tracking text NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  version bigint NOT NULL,
  log_hash bytea NOT NULL,
  last_commit_seq bigint,
  last_commit_epoch bigint,
  last_commit_sha256 bytea,
  last_at timestamp with time zone NOT NULL,
  last_message_at timestamp with time zone,
  incarnation integer NOT NULL,
  pos bigint NOT NULL,
  created_at timestamp with time zone NOT NULL,
  CONSTRAINT conversations_pkey PRIMARY KEY (convo_id),
  CONSTRAINT conversations_epoch_check CHECK (epoch >= 0),
  CONSTRAINT conversations_seq_check CHECK (seq >= 0),
  CONSTRAINT conversations_tracking_check CHECK (tracking = ANY (ARRAY['untracked'::text, 'provisional'::text, 'tracked'::text])),
  CONSTRAINT conversations_version_check CHECK (version > 0)
) WITH (fillfactor=70);

CREATE TABLE cursors (
  did text NOT NULL,
  convo_id text NOT NULL,
  seq bigint NOT NULL,
  CONSTRAINT cursors_pkey PRIMARY KEY (did, convo_id),
  CONSTRAINT cursors_convo_id_fkey FOREIGN KEY (convo_id) REFERENCES conversations(convo_id) ON DELETE CASCADE
);
CREATE INDEX cursors_convo ON cursors USING btree (convo_id);

CREATE TABLE erased_convos (
  convo_id text NOT NULL,
  erased_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT erased_convos_pkey PRIMARY KEY (convo_id)
);

CREATE TABLE idempotency (
  caller text NOT NULL,
  method text NOT NULL,
  key text NOT NULL,
  content_hash text NOT NULL,
  answer json NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT idempotency_pkey PRIMARY KEY (caller, method, key)
);
CREATE INDEX idempotency_expires_at ON idempotency USING btree (expires_at);

CREATE TABLE incarnations (
  incarnation integer GENERATED ALWAYS AS IDENTITY NOT NULL,
  system_identifier text NOT NULL,
  timeline integer NOT NULL,
  started_at timestamp with time zone DEFAULT now() NOT NULL,
  tag uuid DEFAULT gen_random_uuid() NOT NULL,
  CONSTRAINT incarnations_pkey PRIMARY KEY (incarnation),
  CONSTRAINT incarnations_system_identifier_timeline_key UNIQUE (system_identifier, timeline)
);

CREATE TABLE key_packages (
  did text NOT NULL,
  hash text NOT NULL,
  ref text,
  identity text NOT NULL,
  cipher_suite text NOT NULL,
  bytes bytea NOT NULL,
  last_resort boolean NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  consumed_by text,
  consumed_at timestamp with time zone,
  reserved_by text,
  reserved_until timestamp with time zone,
  CONSTRAINT key_packages_pkey PRIMARY KEY (did, hash)
);
CREATE INDEX key_packages_available ON key_packages USING btree (did, cipher_suite, created_at) WHERE consumed_by IS NULL;
CREATE INDEX key_packages_expires_at ON key_packages USING btree (expires_at);
CREATE INDEX key_packages_ref ON key_packages USING btree (did, ref);

CREATE TABLE log (
  convo_id text NOT NULL,
  n bigint NOT NULL,
  seq bigint,
  kind text NOT NULL,
  epoch bigint NOT NULL,
  sender text NOT NULL,
  bytes bytea,
  entry_id uuid NOT NULL,
  message_id text,
  content_hash text,
  embed_type text,
  embed_uri text,
  added text[],
  removed text[],
  log_hash bytea,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone,
  incarnation integer NOT NULL,
  pos bigint NOT NULL,
  CONSTRAINT log_pkey PRIMARY KEY (convo_id, n),
  CONSTRAINT log_check CHECK ((seq IS NOT NULL) = (kind = ANY (ARRAY['app'::text, 'commit'::text]))),
  CONSTRAINT log_check1 CHECK ((log_hash IS NOT NULL) = (kind = ANY (ARRAY['app'::text, 'commit'::text]))),
  CONSTRAINT log_check2 CHECK (kind <> 'app'::text OR bytes IS NOT NULL AND message_id IS NOT NULL),
  CONSTRAINT log_kind_check CHECK (kind = ANY (ARRAY['created'::text, 'joined'::text, 'app'::text, 'commit'::text, 'left'::text, 'welcome'::text]))
);
CREATE INDEX log_expires_at ON log USING brin (expires_at);
CREATE INDEX log_position ON log USING btree (incarnation, pos);
CREATE UNIQUE INDEX log_commit_epoch ON log USING btree (convo_id, epoch) WHERE kind = 'commit'::text AND bytes IS NOT NULL;
CREATE UNIQUE INDEX log_message_id ON log USING btree (convo_id, message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX log_seq ON log USING btree (convo_id, seq) WHERE seq IS NOT NULL;

CREATE TABLE members (
  convo_id text NOT NULL,
  did text NOT NULL,
  joined_n bigint NOT NULL,
  joined_index integer NOT NULL,
  from_seq bigint NOT NULL,
  to_seq bigint,
  left_n bigint,
  joined_at timestamp with time zone NOT NULL,
  left_at timestamp with time zone,
  CONSTRAINT members_pkey PRIMARY KEY (convo_id, did, joined_n),
  CONSTRAINT members_convo_id_fkey FOREIGN KEY (convo_id) REFERENCES conversations(convo_id) ON DELETE CASCADE,
  CONSTRAINT members_check CHECK ((left_n IS NULL) = (to_seq IS NULL)),
  CONSTRAINT members_check1 CHECK ((left_n IS NULL) = (left_at IS NULL))
);
CREATE INDEX members_by_did ON members USING btree (did, convo_id);
CREATE UNIQUE INDEX members_active ON members USING btree (convo_id, did) WHERE left_n IS NULL;

CREATE TABLE secrets (
  name text NOT NULL,
  value bytea NOT NULL,
  CONSTRAINT secrets_pkey PRIMARY KEY (name)
);

CREATE TABLE tickets (
  hash bytea NOT NULL,
  did text NOT NULL,
  convo_id text,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT tickets_pkey PRIMARY KEY (hash),
  CONSTRAINT tickets_hash_check CHECK (length(hash) = 32)
);
CREATE INDEX tickets_expires_at ON tickets USING btree (expires_at);

CREATE TABLE used_tokens (
  hash bytea NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT used_tokens_pkey PRIMARY KEY (hash),
  CONSTRAINT used_tokens_hash_check CHECK (length(hash) = 16)
);
CREATE INDEX used_tokens_expires_at ON used_tokens USING brin (expires_at);

CREATE TABLE welcome_bytes (
  entry_id uuid NOT NULL,
  convo_id text NOT NULL,
  bytes bytea NOT NULL,
  CONSTRAINT welcome_bytes_pkey PRIMARY KEY (entry_id),
  CONSTRAINT welcome_bytes_convo_id_fkey FOREIGN KEY (convo_id) REFERENCES conversations(convo_id) ON DELETE CASCADE
);
CREATE INDEX welcome_bytes_convo ON welcome_bytes USING btree (convo_id);

CREATE TABLE welcomes (
  convo_id text NOT NULL,
  did text NOT NULL,
  n bigint NOT NULL,
  key_package_hash text NOT NULL,
  key_package_ref text,
  entry_id uuid NOT NULL,
  created_at timestamp with time zone NOT NULL,
  consumed_at timestamp with time zone,
  withdrawn_n bigint,
  failed_at timestamp with time zone,
  failure text,
  CONSTRAINT welcomes_pkey PRIMARY KEY (convo_id, did, n, key_package_hash),
  CONSTRAINT welcomes_convo_id_fkey FOREIGN KEY (convo_id) REFERENCES conversations(convo_id) ON DELETE CASCADE
);
CREATE INDEX welcomes_entry ON welcomes USING btree (entry_id);
