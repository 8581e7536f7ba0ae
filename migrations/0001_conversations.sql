-- The truth about every conversation. `conversations` is the head row that each write is guarded by; `log` is
-- the order of everything that happened; the rest hangs on these two.

-- One row per life of the database: a restore or a fail-over to another timeline begins a new one.
create table incarnations (
  incarnation integer generated always as identity primary key,
  system_identifier text not null,
  timeline integer not null,
  started_at timestamptz not null default now(),
  unique (system_identifier, timeline)
);

create table conversations (
  convo_id text primary key,
  cipher_suite text not null,
  -- DID of the present holder of the role.
  creator text not null,
  name text,
  description text,
  -- untracked: created without Welcome and without epoch; provisional: with Welcome, without epoch;
  -- tracked: given an epoch, or after the first commit.
  tracking text not null check (tracking in ('untracked', 'provisional', 'tracked')),
  epoch bigint not null check (epoch >= 0),
  seq bigint not null check (seq >= 0),
  -- Number of rows in this conversation's log; every write is conditional on the version that was read.
  version bigint not null check (version > 0),
  log_hash bytea not null,
  last_commit_seq bigint,
  last_commit_epoch bigint,
  last_commit_sha256 bytea,
  -- Time of the newest row; a later row is never older.
  last_at timestamptz not null,
  last_message_at timestamptz,
  incarnation integer not null,
  pos bigint not null,
  created_at timestamptz not null
) with (fillfactor = 70);

create table log (
  convo_id text not null,
  n bigint not null,
  seq bigint,
  kind text not null check (kind in ('created', 'joined', 'app', 'commit', 'left', 'welcome')),
  -- For a commit the epoch that it creates.
  epoch bigint not null,
  sender text not null,
  -- MLS bytes as they came; absent on rows without a message, empty never stored.
  bytes bytea,
  -- Made by the writer before its first try, the same on every try: tells whose write took effect.
  entry_id uuid not null,
  message_id text,
  -- Of the validated input, when the client chose the message id.
  content_hash text,
  embed_type text,
  embed_uri text,
  added text[],
  removed text[],
  log_hash bytea,
  created_at timestamptz not null,
  expires_at timestamptz,
  incarnation integer not null,
  pos bigint not null,
  primary key (convo_id, n),
  check ((seq is not null) = (kind in ('app', 'commit'))),
  check ((log_hash is not null) = (kind in ('app', 'commit'))),
  check (kind <> 'app' or (bytes is not null and message_id is not null))
);
create unique index log_seq on log (convo_id, seq) where seq is not null;
create unique index log_commit_epoch on log (convo_id, epoch) where kind = 'commit' and bytes is not null;
create unique index log_message_id on log (convo_id, message_id) where message_id is not null;
create index log_expires_at on log using brin (expires_at);

-- A row per interval of membership.
create table members (
  convo_id text not null references conversations on delete cascade,
  did text not null,
  -- Log row that opened the interval, and the place in that row's list: together the order of standing.
  joined_n bigint not null,
  joined_index integer not null,
  -- First and last entry (seq) that the member may read, both included.
  from_seq bigint not null,
  to_seq bigint,
  left_n bigint,
  joined_at timestamptz not null,
  left_at timestamptz,
  primary key (convo_id, did, joined_n),
  check ((left_n is null) = (to_seq is null)),
  check ((left_n is null) = (left_at is null))
);
create unique index members_active on members (convo_id, did) where left_n is null;
create index members_by_did on members (did, convo_id);

create table welcome_bytes (
  entry_id uuid primary key,
  convo_id text not null references conversations on delete cascade,
  bytes bytea not null
);
create index welcome_bytes_convo on welcome_bytes (convo_id);

create table welcomes (
  convo_id text not null references conversations on delete cascade,
  did text not null,
  -- Log row of kind welcome.
  n bigint not null,
  -- Empty when the inviter named no key package for this member.
  key_package_hash text not null,
  key_package_ref text,
  -- Of welcome_bytes, whose row goes when no Welcome of it is open any more.
  entry_id uuid not null,
  created_at timestamptz not null,
  consumed_at timestamptz,
  withdrawn_n bigint,
  failed_at timestamptz,
  failure text,
  primary key (convo_id, did, n, key_package_hash)
);
create index welcomes_entry on welcomes (entry_id);

create table key_packages (
  did text not null,
  -- SHA-256 of the bytes as published, and the KeyPackageRef of RFC 9420; both lower-case hex.
  hash text not null,
  ref text,
  -- The credential identity: the DID, or DID#device.
  identity text not null,
  cipher_suite text not null,
  bytes bytea not null,
  last_resort boolean not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  -- Conversation that consumed it; a last-resort package keeps being handed out.
  consumed_by text,
  consumed_at timestamptz,
  reserved_by text,
  reserved_until timestamptz,
  primary key (did, hash)
);
create index key_packages_ref on key_packages (did, ref);
create index key_packages_available on key_packages (did, cipher_suite, created_at) where consumed_by is null;
create index key_packages_expires_at on key_packages (expires_at);

create table idempotency (
  caller text not null,
  method text not null,
  key text not null,
  content_hash text not null,
  -- json, not jsonb: a repeat is answered with the same bytes.
  answer json not null,
  expires_at timestamptz not null,
  primary key (caller, method, key)
);
create index idempotency_expires_at on idempotency (expires_at);

-- Read positions: not conversation state, greatest wins.
create table cursors (
  did text not null,
  convo_id text not null references conversations on delete cascade,
  seq bigint not null,
  primary key (did, convo_id)
);
create index cursors_convo on cursors (convo_id);

-- Tokens that are good for one procedure and have been used, over all processes: a second use finds its row here.
create table used_tokens (
  -- Keyed hash of the token's issuer and id.
  hash bytea primary key check (length(hash) = 16),
  -- From then on the token is refused anyway.
  expires_at timestamptz not null
);
create index used_tokens_expires_at on used_tokens using brin (expires_at);

-- Secrets that all processes on this database share, made by whichever needs one first.
create table secrets (
  name text primary key,
  value bytea not null
);

-- Names of conversations that were deleted whole; never given again.
create table erased_convos (
  convo_id text primary key,
  erased_at timestamptz not null default now()
);

create table blocked_dids (
  did text primary key,
  blocked_at timestamptz not null default now()
);
