#!/bin/sh
# Installs one service into /opt/notifyx: first what it depends on, then its own code.
# Usage: install.sh dependencies|code SERVICE [OPTIONS OF uv...]
set -eu
step=$1 part=$2
shift 2
sync="/opt/uv/bin/uv sync --quiet --frozen --no-dev --python /usr/local/bin/python3 --package notifyx-$part $*"

case $step in
dependencies)
    $sync --no-install-workspace
    # What scanners of images look for: a list of what is installed, from the lock file.
    mkdir /opt/notifyx/sbom
    /opt/uv/bin/uv export --quiet --frozen --no-dev --package "notifyx-$part" "$@" --format cyclonedx1.5 \
        --preview-features sbom-export --output-file "/opt/notifyx/sbom/notifyx-$part.cdx.json" >/dev/null
    ;;
code)
    $sync --no-editable
    # What this added is the image's last layer.
    mkdir /code
    cd /opt/notifyx
    cp -r --parents lib/python3*/site-packages/notifyx* "bin/notifyx-$part" /code/
    ;;
esac
