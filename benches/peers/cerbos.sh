#!/usr/bin/env bash
# Requite against Cerbos, both as servers on this machine: processor time for each request.
#
# Fetches Cerbos with npm into this crate's target directory, once; builds both programs; measures;
# stops what it started. Takes about a minute after the builds. Arguments go to `policy-server`:
# `benches/peers/cerbos.sh --seconds 10`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
version=0.51.0

case $(uname -m) in
    x86_64) platform=linux-x64 ;;
    aarch64) platform=linux-arm64 ;;
    *) echo "error: npm has no Cerbos for $(uname -m)" >&2; exit 2 ;;
esac
fetched=$here/target/cerbos
program=$fetched/node_modules/@cerbos/cerbos-$platform/cerbos-$platform
if [ ! -x "$program" ]; then
    mkdir -p "$fetched"
    timeout 300 npm install --prefix "$fetched" --no-save --no-audit --no-fund "cerbos@$version"
fi
cargo build --release --locked --manifest-path "$root/Cargo.toml" --bin requite
cargo build --release --locked --manifest-path "$here/Cargo.toml" --no-default-features --bin policy-server
"$program" --version | head -n 1
timeout 600 "$here/target/release/policy-server" --cerbos "$program" --requite "$root/target/release/requite" "$@"
