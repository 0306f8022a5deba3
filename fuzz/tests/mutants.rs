//! What `fuzz/mutants` plants has its place: it takes too long to be run with every change.

use std::fs;

use windhover_fuzz::{TARGETS, corpus};

#[test]
fn every_bug_has_one_place_and_a_target() {
    let list = corpus::corpora().with_file_name("mutants.txt");
    let bugs = fs::read_to_string(list).expect("the list is there");
    let root = corpus::corpora().with_file_name("..");
    let (mut file, mut planted, mut sound) = (String::new(), 0, String::new());
    for line in bugs.lines().chain([""]) {
        if let Some(bug) = line.strip_prefix("== ") {
            let (place, name) = bug.split_once(": ").expect("it has a name");
            let (path, target) = place.split_once(' ').expect("it has a target");
            assert!(TARGETS.iter().any(|known| known.name == target), "{name}: {target}");
            let folder =
                if path.starts_with("server/") { root.clone() } else { root.join("core/src") };
            file = fs::read_to_string(folder.join(path)).unwrap_or_else(|error| {
                panic!("{name}: {path}: {error}");
            });
        } else if let Some(line) = line.strip_prefix("- ") {
            sound = if sound.is_empty() { line.to_owned() } else { format!("{sound}\n{line}") };
        } else if !sound.is_empty() {
            assert_eq!(file.matches(&sound).count(), 1, "not there once: {sound}");
            sound.clear();
            planted += 1;
        }
    }
    assert!(planted > 90, "{planted}");
}
