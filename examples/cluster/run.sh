#!/bin/sh
# Two gateways on one NATS, on this machine, until Ctrl-C: see README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
nats=$(command -v nats-server || echo /usr/sbin/nats-server)
tokenway=${TOKENWAY:-$root/target/release/tokenway}

[ -x "$nats" ] || {
    echo "there is no nats-server on this machine: install Debian's package nats-server, or put it on the PATH" >&2
    exit 1
}
[ -x "$tokenway" ] || {
    echo "$tokenway is not there: run 'cargo build --release', or say where it is in TOKENWAY" >&2
    exit 1
}

state=$(mktemp -d)
pids=
end() {
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || :; done
    for pid in $pids; do wait "$pid" 2>/dev/null || :; done
    rm -rf "$state"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port=${NATS_PORT:-4222}
export NATS_URL="nats://127.0.0.1:$port"
"$nats" -js -a 127.0.0.1 -p "$port" -sd "$state/nats" -l "$state/nats.log" &
pids="$!"
tries=0
until grep -q "Server is ready" "$state/nats.log" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || {
        cat "$state/nats.log" >&2
        exit 1
    }
    sleep 0.1
done

node() {
    "$tokenway" serve --config "$here/tokenway.yaml" --state-dir "$state/$1" --http "127.0.0.1:$2" --webtransport "127.0.0.1:$3" &
    pids="$pids $!"
}
node a "${HTTP_A:-8080}" "${WEBTRANSPORT_A:-4433}"
node b "${HTTP_B:-8081}" "${WEBTRANSPORT_B:-4434}"
echo "two gateways on $NATS_URL; Ctrl-C ends all of it"
wait
