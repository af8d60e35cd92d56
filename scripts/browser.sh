#!/bin/sh
# A headless Chromium for the tests of pages: the system's, or (as root) that of Debian, or that of playwright.
# If none can be installed, the tests skip and say so: this never fails.
for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium-headless-shell && exit 0
fi
"${VENV:-.venv}/bin/python" -m playwright install chromium-headless-shell && exit 0
echo "no Chromium could be installed: tests of pages in a browser will skip" >&2
exit 0
