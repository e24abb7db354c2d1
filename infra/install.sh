#!/bin/sh
# Install daycast, from the clone that this file lies in, into a virtual environment of its own:
#   infra/install.sh VENV [INDEX]
# INDEX is where torch comes from instead of the usual place, and nothing else does; the Dockerfile names the one without CUDA.
# On a machine without containers, run it by hand.
set -eu
venv=$1
index=${2:-}
cd "$(dirname "$0")/.."
python3 -m venv "$venv"
install() {
    "$venv/bin/python" -m pip install --no-cache-dir --disable-pip-version-check --quiet --constraint infra/constraints.txt "$@"
}
if [ -n "$index" ]; then
    install --no-deps --index-url "$index" torch
fi
install --editable .
"$venv/bin/daycast" --version
