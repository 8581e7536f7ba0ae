-- Streams: what tells one life of the database from another, the order in which entries became visible, and tickets.

-- In `system_identifier` stands, after a slash, the object id of the log, which a restore from a dump changes.
-- The tag tells two lives that got the same number: of two restores of one backup, say. Cursors carry it.
alter table incarnations add column tag uuid not null default gen_random_uuid();

-- Position of a row: the id of the transaction that wrote it. Never updated, and grows at its end alone.
create index log_position on log (incarnation, pos);

-- Tickets that stand for a bearer token when a stream is opened; the row goes when its ticket is redeemed.
create table tickets (
  -- SHA-256 of the ticket.
  hash bytea primary key check (length(hash) = 32),
  did text not null,
  -- Of the stream that it is good for; null: a stream of all conversations.
  convo_id text,
  expires_at timestamptz not null
);
create index tickets_expires_at on tickets (expires_at);
