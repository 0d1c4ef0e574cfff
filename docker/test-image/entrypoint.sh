# Creates the cluster on the first start, then becomes the server.
set -eu
: "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:?is required}"
: "${POSTGRES_DB:=$POSTGRES_USER}"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > "$PGDATA.password"
    initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$PGDATA.password" -A scram-sha-256 -E UTF8 \
        --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --no-sync
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    if [ "$POSTGRES_DB" != postgres ]; then
        echo "CREATE DATABASE \"$POSTGRES_DB\";" | postgres --single -D "$PGDATA" postgres
    fi
fi

if [ "$1" = postgres ]; then
    shift
    exec postgres -D "$PGDATA" -c unix_socket_directories= -c listen_addresses='*' -c fsync=off "$@"
fi
exec "$@"
