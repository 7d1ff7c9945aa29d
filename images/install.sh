#!/bin/sh
# Installs one service into /opt/notifyx: first what it depends on, then its own code.
# Usage: install.sh dependencies|code SERVICE
set -eu
sync="/opt/uv/bin/uv sync --quiet --frozen --no-dev --python /usr/local/bin/python3 --package notifyx-$2"

case $1 in
dependencies)
    $sync --no-install-workspace
    ;;
code)
    $sync --no-editable
    # What this added is the image's last layer.
    mkdir /code
    cd /opt/notifyx
    cp -r --parents lib/python3*/site-packages/notifyx* "bin/notifyx-$2" /code/
    ;;
esac
