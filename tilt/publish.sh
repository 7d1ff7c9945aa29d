#!/bin/sh
# Publishes what an Alertmanager and a few services would say, as the administrator of a Tilt session.
set -eu
url=${1:-http://localhost:4000}
NOTIFYX_TOKEN=$(
    curl --silent --show-error --fail --max-time 20 "$url/api/v1/token" \
        --data grant_type=password --data username=admin@example.com --data password=tilt-admin-password |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
)
export NOTIFYX_TOKEN
exec python3 examples/feed.py --url "$url" --rounds 1
