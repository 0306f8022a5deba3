//! What the program says of itself, and of an environment that is not what it seems.
// Clippy's leave for tests covers test functions, not what they call.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::{env, fs, process};

fn windhover(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_windhover"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn the_version_names_commit_and_features() {
    let version = windhover(&["--version"], &[]);
    let version = text(&version.stdout);
    let (number, rest) = version.split_once(" (commit ").unwrap();
    assert_eq!(number, concat!("windhover ", env!("CARGO_PKG_VERSION")));
    let (commit, features) = rest.split_once(", features ").unwrap();
    assert!(commit == "unknown" || commit.len() == 12, "{commit}");
    let built = [
        ("async-std", cfg!(feature = "async-std")),
        ("load", cfg!(feature = "load")),
        ("mio", cfg!(feature = "mio")),
        ("nats", cfg!(feature = "nats")),
        ("s3", cfg!(feature = "s3")),
        ("tokio", cfg!(feature = "tokio")),
    ];
    for (feature, is_built) in built {
        assert_eq!(features.contains(feature), is_built, "{features}");
    }
    assert_eq!(text(&windhover(&["-V"], &[]).stdout).trim_end(), number);
}

#[test]
fn shells_are_told_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = windhover(&["completions", shell], &[]);
        assert!(script.status.success());
        for word in ["serve", "cache", "check-config", "fsync"] {
            assert!(text(&script.stdout).contains(word), "{shell} is not told of {word}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let first = windhover(&["man"], &[]);
    assert!(text(&first.stdout).contains(".TH windhover 1"));
    let folder = env::temp_dir().join(format!("windhover-man-{}", process::id()));
    assert!(windhover(&["man", "--out", folder.to_str().unwrap()], &[]).status.success());
    let help = windhover(&["--help"], &[]);
    let commands = text(&help.stdout).split_once("Commands:\n").unwrap().1;
    let commands = commands.lines().map_while(|line| line.strip_prefix("  "));
    let names: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"serve"), "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let page = fs::read_to_string(folder.join(format!("windhover-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let serve = fs::read_to_string(folder.join("windhover-serve.1")).unwrap();
    assert!(serve.contains("WINDHOVER\\_FSYNC") || serve.contains("WINDHOVER_FSYNC"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_log_filter_that_is_none_is_an_error() {
    let refused = windhover(&["check-config", "/nowhere"], &[("RUST_LOG", "inof")]);
    assert_eq!(refused.status.code(), Some(2));
    let words = "windhover: RUST_LOG has `inof`, which is no level: did you mean `info`?\n";
    assert_eq!(text(&refused.stderr), words);
}

#[test]
fn a_variable_that_nearly_is_a_setting_is_warned_about() {
    let variables = [("WINDHOVER_FSYNCH", "never"), ("WINDHOVER_SERVICE_HOST", "10.0.0.1")];
    let checked = windhover(&["check-config", "/nowhere"], &variables);
    let log = text(&checked.stderr);
    assert!(
        log.contains("WINDHOVER_FSYNCH is set, which is no setting: did you mean WINDHOVER_FSYNC?"),
        "{log}"
    );
    assert!(!log.contains("SERVICE_HOST"), "{log}");
    // Standard error is no terminal here.
    assert!(!log.contains('\u{1b}'), "{log}");
}
