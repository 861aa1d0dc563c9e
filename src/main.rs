//! The binary: all of it is in the library, but for the allocator.

/// Gives back what a burst took, which the allocator of the system keeps (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    requite::cli::main()
}
