//! The threads of all work that no caller waits for: loading policies, watching them, keeping them
//! on the disk. They give way to the threads that answer.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// How far they stand behind (`nice`), where threads have a priority of their own. A step is a quarter more
/// or less of a busy processor (sched(7)), so beside one thread that answers these get about a tenth of it: enough
/// for a reload to get through. Where a processor is free, they get all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A runtime of such threads.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .on_thread_start(give_way)
        .enable_all()
        .build()
}

#[cfg(target_os = "linux")]
fn give_way() {
    // Here, it is the priority of the thread, not that of the process.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "background work does not give way to callers");
    }
}

#[cfg(not(target_os = "linux"))]
const fn give_way() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn tasks_and_blocking_work_stand_behind_whoever_began_them() {
        let niceness = || getpriority_process(None).unwrap();
        let behind = (niceness() + NICENESS).min(19);
        let runtime = runtime().unwrap();
        let task = async move { (niceness(), tokio::task::spawn_blocking(niceness).await.unwrap()) };
        let both = runtime.block_on(runtime.spawn(task)).unwrap();
        assert_eq!(both, (behind, behind));
        assert_eq!((niceness() + NICENESS).min(19), behind, "who began them stays where it was");
    }
}
