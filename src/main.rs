//! The binary: all of it is in the library.

/// Many short-lived allocations on several threads: what general allocators are slowest at.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    requite::cli::main()
}
