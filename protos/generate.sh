#!/usr/bin/env bash
# Writes protos/gen from the .proto files: the one protoc command.
# With --check: writes elsewhere, and fails when the committed code differs.
set -euo pipefail
cd "$(dirname "$0")"
out=gen
if [[ "${1:-}" == "--check" ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
else
  rm -rf gen/tradingbot
fi
mkdir -p "$out"
mapfile -t files < <(find tradingbot -name '*.proto' | sort)
python -m grpc_tools.protoc --proto_path=. --python_out="$out" --grpc_python_out="$out" \
  --mypy_out="$out" --mypy_grpc_out="$out" "${files[@]}" 2> >(grep -v '^Writing ' >&2)
# Packages of their own, so that the installed project finds them.
find "$out/tradingbot" -type d -exec touch '{}/__init__.py' ';' -exec touch '{}/py.typed' ';'
if [[ "$out" != gen ]] && ! diff -r --exclude=__pycache__ gen "$out" > /dev/null; then
  echo "protos/gen is stale: run 'make protos' and commit the result" >&2
  diff -rq --exclude=__pycache__ gen "$out" >&2 || true
  exit 1
fi
