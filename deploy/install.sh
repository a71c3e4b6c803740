#!/bin/sh
# Makes the environment of one image: exactly what its lock file names, every file checked by its hash.
#
#     install.sh LOCK FOLDER
set -eu
lock=$1
folder=$2
# Without pip: nothing can be installed in a running container.
python3 -m venv --without-pip "$folder"
python3 -m pip --python "$folder/bin/python" --disable-pip-version-check --quiet \
    install --require-hashes --only-binary :all: --no-cache-dir --requirement "$lock"
