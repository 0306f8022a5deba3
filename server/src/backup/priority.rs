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
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "backups are made at the same priority as all else");
    }
}

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
