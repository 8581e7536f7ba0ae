#!/bin/sh
# Usage: restore.sh [--replace] <file>
#
# Restores a file of backup.sh into the database at DATABASE_URL, in one transaction: all of it or nothing. A database that
# has tables is left alone unless --replace says to drop what is in it, in the same transaction. Stop the server before; it
# would go on with what it remembers.
#
# Needs psql and pg_restore of the version that pg_dump had: docker compose exec postgres restore.sh /backups/<file>
set -eu
# shellcheck source-path=SCRIPTDIR source=database-url.sh
. "$(dirname "$0")/database-url.sh"

usage() {
  fail 'Usage: restore.sh [--replace] <file>'
}

# One statement's answer, without decoration.
ask() {
  psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1" "$database_url"
}

replace=''
file=''
while [ $# -gt 0 ]; do
  case $1 in
    --replace) replace=yes ;;
    -*) usage ;;
    *)
      [ -z "$file" ] || usage
      file=$1
      ;;
  esac
  shift
done
[ -n "$file" ] || usage
[ -f "$file" ] || fail "there is no file $file"
pg_restore --file=/dev/null "$file" || fail "$file cannot be read: nothing was changed"

sessions=$(ask "
  select count(*) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() 
    and coalesce(backend_type, 'client backend') = 'client backend'")
[ "$sessions" = 0 ] || fail "$sessions sessions are connected to the database: stop the server first"

tables=$(ask "
  select count(*) from pg_class c join pg_namespace s on s.oid = c.relnamespace
  where c.relkind in ('r', 'p') and s.nspname !~ '^pg_' and s.nspname <> 'information_schema'")
[ "$tables" = 0 ] || [ -n "$replace" ] ||
  fail "the database has $tables tables: give --replace to drop them, or DATABASE_URL of an empty database"

# Schemas beside public go whole; public stays, since it need not be ours to drop. Tables take what belongs to them along.
drop_everything="
  do \$\$
  declare
    statement text;
  begin
    for statement in select drops.statement from (
      select format('drop schema %I cascade', nspname), 0 as place from pg_namespace
      where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')
      union all
      select format('drop %s if exists public.%I cascade', kind, relname), place
      from (values (1, 'r', 'table'), (1, 'p', 'table'), (2, 'v', 'view'), (2, 'm', 'materialized view'), (2, 'S', 'sequence'))
        as kinds (place, letter, kind)
        join pg_class on relkind = letter::\"char\" and relnamespace = 'public'::regnamespace
        -- What belongs to an extension stays with it.
        where not exists (
          select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
    ) as drops (statement, place) order by place
    loop
      execute statement;
    end loop;
  end
  \$\$;"

# Without the last line, which only a whole script has, psql ends without a commit.
answer=$(
  {
    # Whoever connects now and holds something must not keep it waiting.
    printf 'begin;\nset local client_min_messages = warning;\nset local lock_timeout = 10000;\n'
    [ -z "$replace" ] || printf '%s\n' "$drop_everything"
    pg_restore --no-owner --no-privileges --file=- "$file" && printf 'commit;\nselect %s;\n' "'restored'"
  } | psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$database_url"
) || true
case $answer in
  *restored) ;;
  *) fail 'the restore failed: the database is as it was' ;;
esac
ask analyze
printf '%s\n' 'Restored. Check it before the server starts again: npm run verify, or in its image' \
  'docker compose run --rm --entrypoint node mls-server packages/api/src/cli/verify.ts'
