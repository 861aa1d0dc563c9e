#!/usr/bin/env bash
# Serves the standard policy and has a caller of another language hold it to its answers.
# Takes the program as its argument, or builds it. Needs Python with pip; says so where there is none.
set -euo pipefail
cd "$(dirname "$0")/../.."

requite=${1:-}
if [ -z "$requite" ]; then
    cargo build --quiet
    requite=target/debug/requite
fi

left_out() {
    echo "acceptance: LEFT OUT, the client of another language did not run: $1"
    exit 0
}

command -v python3 >/dev/null || left_out "there is no python3"
venv=target/acceptance-venv
if ! cmp -s tests/acceptance/requirements.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null 2>&1 || left_out "python3 cannot make a virtual environment with pip"
    timeout 300 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement tests/acceptance/requirements.txt || left_out "its packages cannot be installed"
    cp tests/acceptance/requirements.txt "$venv/installed.txt"
fi

scratch=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap stop EXIT

"$requite" serve --listen 127.0.0.1:0 >"$scratch/out" 2>"$scratch/log" &
server=$!
address=
for _ in $(seq 100); do
    address=$(sed -n 's/^serving on \([^ ]*\): .*/\1/p' "$scratch/out")
    [ -z "$address" ] || break
    sleep 0.1
done
if [ -z "$address" ]; then
    echo "acceptance: the server does not say where it serves:"
    cat "$scratch/log"
    exit 1
fi

# The client's own bound on a call is shorter; this is for what it does not foresee.
timeout 120 "$venv/bin/python" tests/acceptance/client.py "$address" proto

kill -TERM "$server"
ended=0
wait "$server" || ended=$?
server=
if [ "$ended" -ne 0 ]; then
    echo "acceptance: the server ended with $ended:"
    cat "$scratch/log"
    exit 1
fi
echo "acceptance: every answer is as published"
