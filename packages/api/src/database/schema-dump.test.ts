import postgres, { type Sql } from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/postgres.ts'
import { dumpSchema } from './schema-dump.ts'

let database: TestDatabase
let sql: Sql

beforeEach(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
  await sql`drop schema public cascade`
  await sql`create schema public`
})

afterEach(async () => {
  await sql.end()
  await database.drop()
})

const SAMPLE = `-- Made by "npm run schema -- --write" from the migrations, to be read and compared. Not to be run.

CREATE TABLE a (
  id integer GENERATED ALWAYS AS IDENTITY NOT NULL,
  name text STORAGE EXTERNAL DEFAULT 'x'::text NOT NULL,
  size bigint DEFAULT 0,
  twice bigint GENERATED ALWAYS AS ((size * 2)) STORED,
  CONSTRAINT a_pkey PRIMARY KEY (id),
  CONSTRAINT a_size_check CHECK (size >= 0)
) WITH (fillfactor=70, toast.autovacuum_enabled=false);
CREATE UNIQUE INDEX a_name ON a USING btree (name) WHERE size > 0;

CREATE TABLE b (
  a_id integer,
  CONSTRAINT b_a_id_fkey FOREIGN KEY (a_id) REFERENCES a(id) ON DELETE CASCADE
);
`

describe('dumpSchema', () => {
  it('shows columns, constraints, indexes and storage options', async () => {
    await sql.unsafe(`
      create table a (
        id int generated always as identity primary key,
        name text storage external not null default 'x',
        gone int,
        size bigint default 0 check (size >= 0),
        twice bigint generated always as (size * 2) stored
      ) with (fillfactor = 70, toast.autovacuum_enabled = false);
      alter table a drop column gone;
      create unique index a_name on a (name) where size > 0;
      create table b (a_id int references a on delete cascade);`)
    expect(await dumpSchema(sql)).toBe(SAMPLE)
  })

  it('refuses what it could not show', async () => {
    await sql`create view v as select 1`
    await expect(dumpSchema(sql)).rejects.toThrow(/would miss them: relation v/)
  })
})
