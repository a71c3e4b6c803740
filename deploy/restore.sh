#!/usr/bin/env bash
# Puts a backup in the place of all data: everything or, on any error, nothing. Stop the services first.
#
#     deploy/restore.sh FILE
#
# The roles must exist (`tradingbot migrate` makes them). POSTGRES_TOOLS: as in backup.sh.
set -euo pipefail

file=${1:?usage: deploy/restore.sh FILE}
read -ra tools <<<"${POSTGRES_TOOLS-docker compose exec -T --env PGUSER=tradingbot --env PGDATABASE=tradingbot postgres}"

run_psql() { ${tools[@]+"${tools[@]}"} psql --no-psqlrc --quiet "$@"; }

# Length and checksum of the whole file, before anything is touched.
gzip --test "$file" || { echo "restore.sh: $file is not a whole backup" >&2; exit 1; }

services=$(run_psql --tuples-only --no-align --command \
    "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tradingbot\\_%' AND datname = current_database()")
if [[ $services != 0 ]]; then
    echo "restore.sh: services are connected to the database: stop them first" >&2
    exit 1
fi

{
    echo "SET client_min_messages = warning;"
    echo "DROP SCHEMA IF EXISTS gateway, vault, execution, strategy CASCADE;"
    gzip --decompress --stdout "$file"
} | run_psql --output=/dev/null --single-transaction --set=ON_ERROR_STOP=1
echo "restored $file; now run the migrations"
