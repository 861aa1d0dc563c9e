# Short names for commands of CONTRIBUTING.md and docs/. Nothing here needs `just`: each line can be typed.

# The recipes.
default:
    @just --list

# Compile everything, without running it.
check:
    cargo check --all-targets

# Run all tests.
test:
    cargo test

# Run one test program, or those of its tests whose names hold FILTER.
test-one NAME FILTER="":
    cargo test --test {{NAME}} {{FILTER}}

# Hold format and lints.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Write the generated parts of pages anew.
docs:
    REQUITE_UPDATE_DOCS=1 cargo test --test docs

# Write the expected reports of broken policies and requests anew; read the difference before it is committed.
reports:
    REQUITE_UPDATE_REPORTS=1 cargo test --test policies --test requests -- broken_policies request_json

# Run what must hold before a change is taken.
gate:
    .ci/run

# Attack a release build, the small version.
attack:
    cargo build --release
    cargo bench --bench attack -- --quick

# Measure a server with more calls than it can answer.
overload:
    scripts/overload

# Count instructions against the baseline.
instructions:
    scripts/instructions

# Change the code that decides money and count which changes the tests notice.
mutants *OPTIONS:
    scripts/mutants {{OPTIONS}}

# Fuzz one target for five minutes.
fuzz TARGET:
    cargo +nightly fuzz run {{TARGET}} -- -max_total_time=300
