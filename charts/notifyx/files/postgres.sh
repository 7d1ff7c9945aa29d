#!/bin/bash
# Starts the built-in PostgreSQL with any image that has its programs: the data folder is made once, the databases and
# their roles at each start, so that a changed password takes effect.
#
#   postgres.sh          run it
#   postgres.sh ready    whether it answers
#   postgres.sh made     whether it answers, and the databases are there
set -euo pipefail
for folder in /usr/lib/postgresql/*/bin; do
    PATH="$PATH:$folder"
done
# PGHOST is where the socket is, for those within the pod, who need no password.
export PGDATA=${DATA:-/data}/pg PGHOST=${PGHOST:-/tmp} PGPORT=${PGPORT:-5432}
made=$PGHOST/databases-made

# As a role and a database that exist: the server logs each question that names others.
is_up() { pg_isready --quiet --username=postgres --dbname=postgres; }

case "${1:-}" in
    ready) is_up; exit ;;
    made) test -e "$made" && is_up; exit ;;
esac

rm -f "$made"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Made beside and renamed: a start that was interrupted leaves nothing that looks complete.
    rm -rf "$PGDATA.new"
    initdb --pgdata="$PGDATA.new" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions
    echo 'host all all all scram-sha-256' >> "$PGDATA.new/pg_hba.conf"
    mv "$PGDATA.new" "$PGDATA"
fi

postgres -c listen_addresses='*' -c unix_socket_directories="$PGHOST" -c max_connections=300 -c shared_buffers=128MB &
server=$!
# Kubernetes ends a pod with SIGTERM, at which PostgreSQL waits until every client has gone; at SIGINT it ends them.
trap 'kill -INT "$server" || true; wait "$server" || true' EXIT
trap 'exit 0' TERM INT

ask() { psql --quiet --no-psqlrc --username=postgres --set=ON_ERROR_STOP=1 "$@"; }
is_there() { ask --tuples-only --command "SELECT 'yes' FROM $1" | grep --quiet yes; }
set_password() { ask --set=password="$2" <<< "ALTER ROLE $1 PASSWORD :'password'"; }

until is_up; do
    kill -0 "$server"
    sleep 0.2
done
set_password postgres "$POSTGRES_PASSWORD"
for part in auth store; do
    name="notifyx_$part" password="${part^^}_PASSWORD"
    is_there "pg_roles WHERE rolname = '$name'" || ask --command "CREATE ROLE $name LOGIN"
    set_password "$name" "${!password}"
    is_there "pg_database WHERE datname = '$name'" || ask --command "CREATE DATABASE $name OWNER $name"
    ask --command "REVOKE CONNECT ON DATABASE $name FROM PUBLIC"
done
touch "$made"
wait "$server"
