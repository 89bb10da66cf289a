//! Bare socketioxide with the system's allocator.

fn main() {
    game_realtime_bench::bare::main();
}
