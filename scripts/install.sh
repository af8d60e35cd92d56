#!/bin/sh
# Install the project, editable, into $VENV: with uv, which is faster, or with pip where uv is not available.
set -eu
what=$1
bin=${VENV:-.venv}/bin
if "$bin/pip" install -q uv && "$bin/uv" pip install --python "$bin/python" -e "$what"; then
  exit 0
fi
"$bin/pip" install -e "$what"
