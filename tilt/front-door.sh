#!/bin/sh
# Runs the chart's own test in a gateway of a Tilt session. Usage: front-door.sh NAMESPACE
set -eu
exec kubectl --namespace "$1" exec --stdin deployment/notifyx-gateway -- \
    env API=http://127.0.0.1:4000 SOCKET=ws://127.0.0.1:4001/socket \
    ADMIN_EMAIL=admin@example.com ADMIN_PASSWORD=tilt-admin-password \
    python3 - <charts/notifyx/files/helm-test.py
