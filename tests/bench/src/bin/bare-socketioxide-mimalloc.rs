//! Bare socketioxide with mimalloc.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    game_realtime_bench::bare::main();
}
