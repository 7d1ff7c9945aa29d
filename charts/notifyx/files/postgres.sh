#!/bin/bash
# Starts the built-in PostgreSQL with any image that has its programs: the data folder is made once, the databases and
# their roles at each start, so that a changed password takes effect.
set -euo pipefail
export PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
export PGDATA=/data/pg

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Made beside and renamed: a start that was interrupted leaves nothing that looks complete.
    rm -rf /data/pg.new
    initdb --pgdata=/data/pg.new --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions
    echo 'host all all all scram-sha-256' >> /data/pg.new/pg_hba.conf
    mv /data/pg.new "$PGDATA"
fi

make_databases() {
    until pg_isready -q -h /tmp; do sleep 0.2; done
    ask() { psql --quiet --no-psqlrc -h /tmp -U postgres -v ON_ERROR_STOP=1 "$@"; }
    ask -v password="$POSTGRES_PASSWORD" <<< "ALTER ROLE postgres PASSWORD :'password'"
    for part in auth store; do
        name="notifyx_$part" variable="${part^^}_PASSWORD"
        ask -Atc "SELECT 1 FROM pg_roles WHERE rolname = '$name'" | grep -q 1 || ask -c "CREATE ROLE $name LOGIN"
        ask -v password="${!variable}" <<< "ALTER ROLE $name PASSWORD :'password'"
        ask -Atc "SELECT 1 FROM pg_database WHERE datname = '$name'" | grep -q 1 || ask -c "CREATE DATABASE $name OWNER $name"
        ask -c "REVOKE CONNECT ON DATABASE $name FROM PUBLIC"
    done
    touch /tmp/databases-made
}
make_databases &

exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=200 -c shared_buffers=128MB
