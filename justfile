# Recipes for people who work on game-realtime. First: tools/setup.

export PATH := justfile_directory() / ".tools/bin" + ":" + env("PATH")

# List the recipes.
default:
    @just --list --unsorted

# Run one node on this machine: http://127.0.0.1:8080, embedded store, development secret.
[no-exit-message]
run *arguments:
    cargo run -q -p game-realtime -- --config config/dev.toml {{ arguments }}

# Run a real etcd and three nodes on this machine: http://127.0.0.1:8081 to 8083.
[no-exit-message]
run-cluster:
    tools/run-cluster

# Print a development token of a player, e.g. `just token alice`.
token user:
    @cargo run -q -p game-realtime -- --config config/dev.toml token --user {{ user }}

# Play a short scene between two stock JavaScript clients on a running node.
demo url="http://127.0.0.1:8080":
    @node tests/e2e/clients/node/demo.mjs {{ url }}

# Run every test. The last line is the summary.
test:
    cargo build -p game-realtime --features panic-points
    tools/test-summary --workspace

# Run the tests of one crate, e.g. `just test-crate etcd-adapter` (the binary is `server`).
test-crate name *arguments:
    tools/test-summary -p {{ if name == "server" { "game-realtime" } else { "game-realtime-" + name } }} {{ arguments }}

# Compile, lint and test one crate alone, e.g. `just check-crate domain`.
check-crate name:
    cargo clippy -p {{ if name == "server" { "game-realtime" } else { "game-realtime-" + name } }} --all-targets -- -D warnings
    just test-crate {{ name }}

# Run the end-to-end tests: the real binary, real etcd, real Socket.IO clients.
test-e2e *arguments:
    cargo build -p game-realtime --features panic-points
    tools/test-summary -p game-realtime-e2e {{ arguments }}

# Break nodes and etcd for real under live traffic, in the long form (`just test` runs a short one).
test-faults *arguments:
    cargo build -p game-realtime --features panic-points
    GAME_REALTIME_FAULTS=long tools/test-summary -p game-realtime-e2e --test faults {{ arguments }} -- --nocapture

# Break a cluster in random ways under live traffic for some minutes, e.g. `just soak 15 42` (a seed).
[no-exit-message]
soak minutes="15" seed="" fault="":
    cargo build -p game-realtime
    cargo run -q -p game-realtime-e2e --bin soak -- {{ minutes }} "{{ seed }}" "{{ fault }}"

# Run flat out for minutes or hours, with restarts and kills in between, and say whether it could go on for
# ever, e.g. `just endure 60 etcd`, `ENDURE_BUDGET=64MiB just endure 10 embedded` (docs/endurance.md).
[no-exit-message]
endure minutes="60" store="etcd":
    cargo build --release -p game-realtime
    cargo run --release -q -p game-realtime-e2e --bin endure -- {{ minutes }} {{ store }}

# Attack a node with its default limits, and say what it cost: handshakes, slow-loris, slow-consumers,
# flood, upgrade [attempts] [seed], fuzz [inputs] [seed].
[no-exit-message]
hostile *scenarios:
    cargo run --release -q -p game-realtime-e2e --bin hostile -- {{ scenarios }}

# Give every decoder so many inputs that are nearly right, and list how many got through.
fuzz inputs="1000000" *targets:
    FUZZ_INPUTS={{ inputs }} cargo test --profile fuzz --lib \
        -p game-realtime-domain -p game-realtime-application -p game-realtime-socketio-adapter \
        -p game-realtime-etcd-adapter \
        -p game-realtime-embedded-adapter -p game-realtime-identity-adapter -p game-realtime --bins \
        -- fuzz:: --nocapture --test-threads 2 {{ targets }}

# Measure the speed goals, each in one run beside what it is compared with, e.g. `just bench fan-out`.
bench *names:
    @tests/bench/run {{ names }}

# Put load on a running server and account for every event, e.g. `just load broadcast --guest` (`--help`).
[no-exit-message]
load *arguments:
    cargo run -q --release -p game-realtime-loadgen -- {{ arguments }}

# Measure the gateway beside its peers and write docs/benchmarks.md, e.g. `just bench-peers fan-out`.
bench-peers *arguments:
    tools/setup bench
    tests/bench/peers/run {{ arguments }}

# Check format, lints, layers, licences, sources and documentation.
lint:
    tools/setup lint
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy -p game-realtime -p game-realtime-application --features game-realtime/panic-points -- -D warnings
    cargo deny --log-level error check --hide-inclusion-graph bans licenses sources
    just layers
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Check the files in config/deploy with the tools of those who read them.
lint-deploy:
    tools/setup deploy
    tools/lint-deploy

# Check that dependencies point inward.
layers:
    tools/layers

# Format the code.
fmt:
    cargo fmt --all
