# shellcheck shell=sh
# For backup.sh and restore.sh: takes the password of DATABASE_URL into PGPASSWORD, and leaves the rest in database_url.
# On a command line the whole machine could read it.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

case ${DATABASE_URL:-} in
  postgres://* | postgresql://*) ;;
  '') fail 'DATABASE_URL is not set' ;;
  *) fail 'DATABASE_URL must be a URL like postgres://user:password@host:5432/database' ;;
esac
case $DATABASE_URL in
  *[?\&]search_path=*)
    fail 'DATABASE_URL has a search_path: leave it out, a backup is of the whole database'
    ;;
esac

# Decodes the %XX of a URL.
decode() {
  printf '%s' "$1" | LC_ALL=C awk '
    BEGIN { for (i = 1; i < 256; i++) character[sprintf("%02X", i)] = sprintf("%c", i) }
    {
      text = $0
      while (match(text, /%[0-9a-fA-F][0-9a-fA-F]/)) {
        printf "%s%s", substr(text, 1, RSTART - 1), character[toupper(substr(text, RSTART + 1, 2))]
        text = substr(text, RSTART + 3)
      }
      printf "%s", text
    }'
}

split_url() {
  scheme=${DATABASE_URL%%://*}
  rest=${DATABASE_URL#*://}
  authority=${rest%%[/?]*}
  path=${rest#"$authority"}
  database_url=$DATABASE_URL
  case $authority in
    *:*@*)
      userinfo=${authority%@*}
      PGPASSWORD=$(decode "${userinfo#*:}")
      export PGPASSWORD
      # shellcheck disable=SC2034 # It is for the scripts that read this one.
      database_url=$scheme://${userinfo%%:*}@${authority##*@}$path
      ;;
  esac
}
split_url
# The programs ask no questions, and wait for no server that is not there.
export PGCONNECT_TIMEOUT="${PGCONNECT_TIMEOUT:-10}"
