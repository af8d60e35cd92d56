#!/bin/sh
# Make .venv with the given Python. Debian splits venv off into a package of its own: as root, install that first.
set -eu
python=$1
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in 3.1[0-9]) ;; *) echo "error: Python $version is too old; give a newer one: make PYTHON=python3.11" >&2; exit 2 ;; esac
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qq -y "python$version-venv"
  else
    echo "error: $python has no venv module; install it (Debian: apt-get install python$version-venv)" >&2
    exit 2
  fi
fi
"$python" -m venv .venv
