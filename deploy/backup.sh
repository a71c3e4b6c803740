#!/usr/bin/env bash
# Writes the data of all services to a file in FOLDER: one snapshot, complete or not there at all. Prints its name.
#
#     deploy/backup.sh FOLDER
#
# Exchange keys in it stay encrypted; it does not hold ENCRYPTION_KEY. On a database of your own set POSTGRES_TOOLS to
# nothing: then this machine's programs are used, with libpq's PGHOST, PGUSER, PGDATABASE and PGPASSFILE.
set -euo pipefail
umask 077

folder=${1:?usage: deploy/backup.sh FOLDER}
read -ra tools <<<"${POSTGRES_TOOLS-docker compose exec -T --env PGUSER=tradingbot --env PGDATABASE=tradingbot postgres}"

mkdir -p "$folder"
file=$folder/tradingbot-$(date -u +%Y%m%dT%H%M%SZ).sql.gz
trap 'rm -f "$file.partial"' EXIT
# SQL, because pg_restore takes a dump in its own format for whole when its end is missing; gzip does not.
${tools[@]+"${tools[@]}"} pg_dump --no-owner \
    --schema=gateway --schema=vault --schema=execution --schema=strategy | gzip >"$file.partial"
sync "$file.partial"
mv "$file.partial" "$file"
echo "$file"
