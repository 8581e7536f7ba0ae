#!/bin/sh
# Starts the server of the image. Settings may be set here too:
# export LOG_LEVEL=debug
set -eu
cd "$(dirname "$0")/.."

# Without them the server would start a database of its own, which the image does not have, or accept nobody's tokens.
missing=''
require() {
  case $2 in
    *[![:space:]]*) ;;
    *) missing="$missing
  $1: $3" ;;
  esac
}
require DATABASE_URL "${DATABASE_URL:-}" 'PostgreSQL 14 or later, as postgres://user:password@host:port/database'
require SERVICE_DID "${SERVICE_DID:-}" 'the DID that tokens for this service have as audience, like did:web:mls.example.com'
if [ -n "$missing" ]; then
  printf 'Missing environment variables:%s\n' "$missing" >&2
  exit 1
fi

exec node packages/api/src/main.ts
