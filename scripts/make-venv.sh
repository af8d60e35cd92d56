#!/bin/sh
# Make the environment $VENV with the given Python. Debian packages venv separately: as root, install it first.
set -eu
python=$1
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
  3.11 | 3.12 | 3.13) ;;
  *) echo "error: expected Python 3.11, 3.12 or 3.13 but $python is $version: make PYTHON=python3.11" >&2; exit 2 ;;
esac
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qq -y "python$version-venv"
  else
    echo "error: $python has no venv module; install it (Debian: apt-get install python$version-venv)" >&2
    exit 2
  fi
fi
"$python" -m venv "${VENV:-.venv}"
