//! Files and directories that are the server's own user's: events are other people's data.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// What group and others may not have.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Makes a directory, and those above it, for this user alone (0700); one that is there stays as it is. Its name is
/// on the disk then, as are those of the directories above it that were made: what is synced in it is lost without.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.is_dir())
        .collect();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    for made in &missing {
        sync_above(made)?;
    }
    if missing.is_empty() {
        // Whoever made it may have been killed before its name was on the disk; or it is somebody else's, who lets
        // nobody look.
        match sync_above(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Makes sure that the name of a directory is on the disk.
fn sync_above(path: &Path) -> io::Result<()> {
    let Some(above) = path.parent() else { return Ok(()) };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    File::open(above)?.sync_all()
}

/// How a file is opened that is made for this user alone (0600) if it is not there.
pub(crate) fn options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Warns when others than this user have access to a file with a secret in it.
pub(crate) fn warn_of_readers(path: &Path, warning: &'static str) {
    #[cfg(unix)]
    if let Some(mode) = mode(path).filter(|mode| mode & OTHERS != 0) {
        tracing::warn!(path = %path.display(), mode = %format_args!("{mode:04o}"), "{warning}");
    }
    #[cfg(not(unix))]
    let _ = (path, warning);
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    Some(std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777)
}

/// Warns when others than this user may look into a directory, or change it.
pub(crate) fn warn_of_others(path: &Path) {
    warn_of_readers(
        path,
        "other users have access to the data directory, in which events are kept; it is left as it is: \
         `chmod 700` it unless that is meant",
    );
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use windhover_core::UnixTime;
    use windhover_core::queue::Config;

    use super::*;
    use crate::data::DataDirectory;

    fn mode(path: &Path) -> u32 {
        super::mode(path).unwrap() & 0o777
    }

    fn open(path: &Path) {
        let data = DataDirectory::lock(path).unwrap();
        let now = UnixTime::from_secs(1);
        drop(data.open(1 << 20, Config::default(), now).unwrap());
    }

    #[test]
    fn what_is_made_is_this_users_and_what_was_there_stays_as_it_was() {
        let root = std::env::temp_dir().join(format!("windhover-private-{}", std::process::id()));
        let (new, old) = (root.join("above/new"), root.join("old"));
        open(&new);
        assert_eq!([mode(&root.join("above")), mode(&new), mode(&new.join("journal"))], [0o700; 3]);
        assert_eq!(mode(&new.join("lock")), 0o600);
        for entry in fs::read_dir(new.join("journal")).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }

        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(old.join("lock"), "").unwrap();
        fs::set_permissions(old.join("lock"), fs::Permissions::from_mode(0o644)).unwrap();
        open(&old);
        assert_eq!([mode(&old), mode(&old.join("lock"))], [0o755, 0o644]);
        fs::remove_dir_all(&root).unwrap();
    }
}
