#!/bin/sh
# Install the project, editable, into .venv: with uv, which is quicker, or with pip where uv is not to be had.
set -eu
what=$1
if .venv/bin/pip install -q uv && .venv/bin/uv pip install --python .venv/bin/python -e "$what"; then
  exit 0
fi
.venv/bin/pip install -e "$what"
