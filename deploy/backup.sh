#!/usr/bin/env bash
# Writes the data of all services to a file in FOLDER: one snapshot, complete or not there at all. Prints its name.
#
#     deploy/backup.sh FOLDER
#
# Exchange keys in it stay encrypted; it does not hold ENCRYPTION_KEY. On a database of your own set POSTGRES_TOOLS to
# nothing: then this machine's pg_dump is used, with libpq's PGHOST, PGUSER, PGDATABASE and PGPASSFILE.
set -euo pipefail
umask 077

folder=${1:?usage: deploy/backup.sh FOLDER}
read -ra tools <<<"${POSTGRES_TOOLS-docker compose exec -T --env PGUSER=tradingbot --env PGDATABASE=tradingbot postgres}"

mkdir -p "$folder"
file=$folder/tradingbot-$(date -u +%Y%m%dT%H%M%SZ).dump
trap 'rm -f "$file.partial"' EXIT
${tools[@]+"${tools[@]}"} pg_dump --format=custom --no-owner \
    --schema=gateway --schema=vault --schema=execution --schema=strategy >"$file.partial"
# A dump that was cut off has no readable end.
${tools[@]+"${tools[@]}"} pg_restore --file=/dev/null <"$file.partial"
sync "$file.partial"
mv "$file.partial" "$file"
echo "$file"
