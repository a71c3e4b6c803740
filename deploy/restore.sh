#!/usr/bin/env bash
# Puts a backup in the place of all data: everything or, on any error, nothing. Stop the services first.
#
#     deploy/restore.sh FILE
#
# The roles must exist (`tradingbot migrate` makes them). POSTGRES_TOOLS: as in backup.sh.
set -euo pipefail

file=${1:?usage: deploy/restore.sh FILE}
read -ra tools <<<"${POSTGRES_TOOLS-docker compose exec -T --env PGUSER=tradingbot --env PGDATABASE=tradingbot postgres}"
[[ -r $file ]] || { echo "restore.sh: $file cannot be read" >&2; exit 2; }

run() { ${tools[@]+"${tools[@]}"} "$@"; }

services=$(run psql --no-psqlrc --tuples-only --no-align --command \
    "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tradingbot\\_%' AND datname = current_database()")
if [[ $services != 0 ]]; then
    echo "restore.sh: services are connected to the database: stop them first" >&2
    exit 1
fi

# One transaction. A backup that cannot be read to its end becomes a line that is no SQL, so that nothing is committed.
{
    echo "DROP SCHEMA IF EXISTS gateway, vault, execution, strategy CASCADE;"
    run pg_restore --no-owner --file=- <"$file" || echo "the backup cannot be read to its end;"
} | run psql --no-psqlrc --quiet --output=/dev/null --single-transaction --set=ON_ERROR_STOP=1
echo "restored $file; now run the migrations"
