#!/bin/sh
# Issues the certificates of the services and gives each service its own and no other's key.
#
# /tls/authority belongs to this container alone; /tls/NAME is the volume that the service NAME mounts read-only.
# A certificate that has more than half of its life left stays; the others are issued anew.
set -eu
umask 077
tls=${1:-/tls}
python -P -m cli.main certificates "$tls/authority"
for service in gateway vault execution strategy; do
    for pair in "ca.crt ca.crt" "$service.crt service.crt" "$service.key service.key"; do
        # Renamed into place: a service that starts meanwhile reads an old or a new file, never half of one.
        cp "$tls/authority/${pair% *}" "$tls/$service/.new"
        mv "$tls/$service/.new" "$tls/$service/${pair#* }"
    done
done
