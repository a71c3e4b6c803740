#!/usr/bin/env bash
# Makes every secret that docker-compose.yml names, once; what is there stays as it is, also when it is empty.
#
#     deploy/make-secrets.sh HOST          HOST is the one of PUBLIC_URL
#
# SECRETS_DIR is the folder (default: deploy/secrets). It is closed to others; the files in it are readable, because in a
# container each is seen by its own service alone, whose user the host does not know. Values are never printed.
set -euo pipefail
umask 022

host=${1:?usage: deploy/make-secrets.sh HOST}
folder=${SECRETS_DIR:-$(cd "$(dirname "$0")" && pwd)/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

# Stores standard input as NAME: whole, or not at all.
store() {
    cat >".$1.new"
    chmod 0444 ".$1.new"
    mv ".$1.new" "$1"
    echo "made $folder/$1"
}

# 256 random bits, urlsafe base64.
key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }
token() { key | tr -d '='; }

for name in postgres gateway_database vault_database execution_database strategy_database; do
    [[ -e ${name}_password ]] || token | store "${name}_password"
done
[[ -e administrator_database_url ]] ||
    echo "postgresql://tradingbot:$(<postgres_password)@postgres:5432/tradingbot" | store administrator_database_url
for service in gateway vault execution strategy; do
    [[ -e ${service}_database_url ]] ||
        echo "postgresql://tradingbot_$service:$(<${service}_database_password)@postgres:5432/tradingbot" |
        store "${service}_database_url"
done
[[ -e encryption_key ]] || key | store encryption_key
[[ -e secret_key ]] || token | store secret_key
# Empty: there is none.
for name in encryption_keys_retired secret_keys_retired webhook_secret; do
    [[ -e $name ]] || store "$name" </dev/null
done

# A certificate to start with; put one of a public authority in its place: TradingView trusts no other.
mkdir -p public-tls/acme
if [[ -e public-tls/tls.crt ]]; then
    :
elif ! command -v openssl >/dev/null; then
    echo "openssl is not here: put a certificate into $folder/public-tls/tls.crt and its key into tls.key" >&2
else
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host" -keyout public-tls/.tls.key.new -out public-tls/.tls.crt.new 2>/dev/null
    chmod 0444 public-tls/.tls.key.new public-tls/.tls.crt.new
    mv public-tls/.tls.key.new public-tls/tls.key
    mv public-tls/.tls.crt.new public-tls/tls.crt
    echo "made $folder/public-tls/tls.crt (self-signed, for 30 days)"
fi
