//! Backups let the server's threads go first.

use std::ffi::OsString;

/// Whether these arguments of the program, its name among them, ask for work on backups that nobody waits for: anything
/// but a restore.
pub fn gives_way(args: &[OsString]) -> bool {
    // Options may stand before it; what is called so, such as a folder, makes a backup that does not give way.
    args.get(1).is_some_and(|it| it == "backup") && args.iter().skip(2).all(|it| it != "restore")
}

/// Lowers the priority of this thread, and of those that it starts, by 10: a tenth of a processor's time is left where
/// others want all of it.
///
/// Not further, and not to Linux's `SCHED_IDLE`: beside a machine's full load that stops a backup for good, and whoever
/// waits for a lock of the file system that it has.
pub fn give_way() {
    #[cfg(unix)]
    match rustix::process::nice(10) {
        Ok(nice) => let_in_at_once(nice),
        Err(error) => {
            tracing::debug!(%error, "backups are made at the same priority as all else");
        }
    }
}

/// Lets whoever wakes on this processor run at once. Linux lets a thread run on to the end of its slice, some
/// milliseconds, though another has more right to the processor; but not where the other's slice is the shorter one. This
/// is the longest there is (since Linux 6.12; others take no notice).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate has a safe form of it")]
fn let_in_at_once(nice: i32) {
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
        sched_policy: libc::SCHED_OTHER.unsigned_abs(),
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: 100_000_000,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads that structure, whose size it is told, and nothing of this program changes but how
    // this thread is scheduled.
    let failed = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if failed != 0 {
        tracing::debug!("backups keep the processor for as long at a time as all else");
    }
}

/// Others have their own ways.
#[cfg(all(unix, not(all(target_os = "linux", target_env = "gnu"))))]
fn let_in_at_once(_: i32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_a_restore_gives_way() {
        for (line, expected) in [
            ("windhover backup --data d --to b", true),
            ("windhover backup", true),
            ("windhover backup drill --from b", true),
            ("windhover backup restore --from b --data d", false),
            ("windhover backup --quiet restore --from b --data d", false),
            ("windhover serve", false),
            ("windhover", false),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(gives_way(&args), expected, "{line}");
        }
    }
}
