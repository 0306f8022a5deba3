//! Drivers that speak through other people's client libraries.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::target_dir;

/// Where `conformance/install` puts the libraries.
///
/// That they are not installed is a panic, never a test left out.
#[track_caller]
pub fn peers() -> PathBuf {
    let path = std::env::var_os("WINDHOVER_PEERS")
        .map_or_else(|| target_dir().join("peers"), PathBuf::from);
    assert!(
        path.is_dir(),
        "the client libraries are not in {}: run `conformance/run`, which installs them",
        path.display()
    );
    path
}

/// The path of a driver in `conformance/peers`.
pub fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// The driver `script`, in the Python that has the client libraries.
#[track_caller]
pub fn python(script: &str) -> Command {
    let mut command = Command::new(peers().join("venv/bin/python"));
    command
        .env("NO_PROXY", "*")
        // What it compiles would lie among the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(driver(script));
    command
}
