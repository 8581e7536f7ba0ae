#!/bin/sh
# Usage: backup.sh [--keep <n>] [<directory>]
#
# Writes all of the database at DATABASE_URL, as of one moment, to <directory>/catbird-<UTC time>.dump (pg_dump's custom
# format; /backups unless given), and prints that path. The server may go on serving. A file of that name is complete and has
# been read back; what was interrupted or fails leaves none. --keep removes all but the n newest afterwards.
#
# Needs pg_dump of the database's version or later, on a machine or in the container: docker compose exec postgres backup.sh
set -eu
umask 077
# shellcheck source-path=SCRIPTDIR source=database-url.sh
. "$(dirname "$0")/database-url.sh"

usage() {
  fail 'Usage: backup.sh [--keep <n>] [<directory>]'
}

keep=''
directory=''
while [ $# -gt 0 ]; do
  case $1 in
    --keep)
      [ $# -ge 2 ] || usage
      keep=$2
      case $keep in '' | *[!0-9]* | 0*) fail '--keep takes a number of backups, 1 or more' ;; esac
      shift
      ;;
    -*) usage ;;
    *)
      [ -z "$directory" ] || usage
      directory=$1
      ;;
  esac
  shift
done
directory=${directory:-/backups}
[ -d "$directory" ] || fail "there is no directory $directory"

file=$directory/catbird-$(date -u +%Y%m%dT%H%M%SZ).dump
[ ! -e "$file" ] || fail "$file is there already"
partial=$file.partial-$$
trap 'rm -f -- "$partial"' EXIT
trap 'exit 1' HUP INT TERM

pg_dump --no-password --format=custom --file="$partial" --dbname="$database_url"
# Not the list of contents alone: a row that cannot be read is noticed now, not when it is needed.
pg_restore --file=/dev/null "$partial"
# Without these it is a backup of something else.
contents=$(pg_restore --list "$partial")
for table in conversations log members welcomes; do
  case $contents in
    *" TABLE DATA "*" $table "*) ;;
    *) fail "the database has no table $table: is DATABASE_URL that of the server?" ;;
  esac
done
mv -- "$partial" "$file"
printf '%s\n' "$file"

if [ -n "$keep" ]; then
  # The names sort by time.
  for old in "$directory"/catbird-*.dump; do printf '%s\n' "$old"; done | sort -r | tail -n "+$((keep + 1))" |
    while IFS= read -r old; do rm -f -- "$old"; done
fi
