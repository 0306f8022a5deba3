//! What `windhover --version` says of how it was built: the commit and the features.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What `cargo package` writes beside the manifest.
const PACKED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = packed_commit().or_else(git_commit);
    let short = commit.as_deref().and_then(|commit| commit.get(..12)).unwrap_or("unknown");
    println!("cargo::rustc-env=WINDHOVER_COMMIT={short}");
    let features =
        ["async-std", "load", "mio", "nats", "s3", "tokio"].into_iter().filter(|feature| {
            let name = feature.to_uppercase().replace('-', "_");
            env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
        });
    println!("cargo::rustc-env=WINDHOVER_FEATURES={}", features.collect::<Vec<_>>().join(" "));
}

/// The commit that the package was made of.
fn packed_commit() -> Option<String> {
    let info = fs::read_to_string(PACKED).ok()?;
    println!("cargo::rerun-if-changed={PACKED}");
    let (_, behind) = info.split_once("\"sha1\"")?;
    behind.split('"').nth(1).map(str::to_owned)
}

/// The commit that is checked out.
fn git_commit() -> Option<String> {
    // A package that was unpacked inside of another repository is none of it.
    if !Path::new("../core/Cargo.toml").exists() {
        return None;
    }
    if let Some(log) =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|it| Path::new(it).exists())
    {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
