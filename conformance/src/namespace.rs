//! A small file system that only a test sees.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::geteuid;

use crate::process::{Outcome, run};

/// A private mount namespace with a tmpfs in it, held by a shell that waits on a pipe: when the
/// test ends, however it ends, the pipe closes and the namespace is gone.
#[derive(Debug)]
pub struct MountNamespace {
    holder: Child,
    directory: PathBuf,
    own_user: bool,
}

impl MountNamespace {
    /// Mounts a tmpfs of `size` (as `mount` reads it: `8m`) on `directory`. Without root, the
    /// namespace has a user namespace of its own.
    #[track_caller]
    pub fn with_tmpfs(directory: &Path, size: &str) -> Self {
        let own_user = !geteuid().is_root();
        let mut command = Command::new("unshare");
        if own_user {
            command.arg("--map-root-user");
        }
        let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && read -r _"#;
        let mut holder = command
            .args(["--mount", "--propagation", "private"])
            .args(["sh", "-c", script, "sh", size])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run `unshare` (Debian's package util-linux): {error}")
            });
        let stdout = holder.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        assert_eq!(
            line, "mounted\n",
            "no tmpfs in a mount namespace of its own: run the tests as root, or where users may \
             make namespaces (the message of `unshare` or `mount` is above)"
        );
        Self { holder, directory: directory.to_owned(), own_user }
    }

    /// What to put in front of a command so that it runs inside.
    pub fn enter(&self) -> Vec<String> {
        let mut prefix = vec!["nsenter".to_owned()];
        if self.own_user {
            prefix.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        prefix.push("--mount".to_owned());
        prefix.push(format!("--target={}", self.holder.id()));
        prefix.push("--".to_owned());
        prefix
    }

    /// Runs a line of shell inside, in which `$dir` is where the tmpfs is mounted.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Outcome {
        let prefix = self.enter();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).args(["sh", "-c", line]).env("dir", &self.directory);
        run(&mut command, Duration::from_secs(20))
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
