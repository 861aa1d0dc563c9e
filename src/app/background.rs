//! The threads of all work that no caller waits for: loading policies, watching them, keeping them
//! on the disk. They give way to the threads that answer.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Steps of `nice` below the threads that answer, where threads have a priority of their own. A step is a quarter more
/// or less of a busy processor (sched(7)), so beside one thread that answers these get about a tenth of it: enough for
/// a reload to get through. Where a processor is free, they get all of it.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Largest `nice` value of a thread.
#[cfg(target_os = "linux")]
const NICENESS_MAX: i32 = 19;

/// A runtime of such threads.
pub(super) fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("background").enable_all();
    give_way(&mut builder)?;
    builder.build()
}

/// Gives the threads of a runtime a lower priority than the thread that makes it. A thread inherits the priority of the
/// thread that started it, which may be one of these: so the value set is absolute, not relative.
#[cfg(target_os = "linux")]
fn give_way(builder: &mut Builder) -> io::Result<()> {
    // Here, both are about the thread, not about the process.
    use rustix::process::{getpriority_process, setpriority_process};

    let behind = getpriority_process(None)?.saturating_add(NICENESS).min(NICENESS_MAX);
    builder.on_thread_start(move || {
        if let Err(error) = setpriority_process(None, behind) {
            tracing::warn!(%error, "background work does not give way to callers");
        }
    });
    Ok(())
}

#[cfg(not(target_os = "linux"))]
const fn give_way(_: &mut Builder) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn tasks_and_blocking_work_stand_behind_whoever_began_them() {
        let niceness = || getpriority_process(None).unwrap();
        let behind = (niceness() + NICENESS).min(NICENESS_MAX);
        let runtime = runtime().unwrap();
        let task = async move { (niceness(), tokio::task::spawn_blocking(niceness).await.unwrap()) };
        let both = runtime.block_on(runtime.spawn(task)).unwrap();
        assert_eq!(both, (behind, behind));
        assert_eq!((niceness() + NICENESS).min(NICENESS_MAX), behind, "who began them stays where it was");
    }
}
