//! What `fuzz/mutants` plants has its place in the core: it takes too long to be run with every change.

use std::fs;

use windhover_fuzz::{TARGETS, corpus};

#[test]
fn every_bug_has_one_place_and_a_target() {
    let list = corpus::corpora().with_file_name("mutants.txt");
    let bugs = fs::read_to_string(list).expect("the list is there");
    let core = corpus::corpora().with_file_name("../core/src");
    let (mut file, mut planted) = (String::new(), 0);
    for line in bugs.lines() {
        if let Some(bug) = line.strip_prefix("== ") {
            let (place, name) = bug.split_once(": ").expect("it has a name");
            let (path, target) = place.split_once(' ').expect("it has a target");
            assert!(TARGETS.iter().any(|known| known.name == target), "{name}: {target}");
            file = fs::read_to_string(core.join(path)).unwrap_or_else(|error| {
                panic!("{name}: {path}: {error}");
            });
        } else if let Some(sound) = line.strip_prefix("- ") {
            assert_eq!(file.matches(sound).count(), 1, "not there once: {sound}");
            planted += 1;
        }
    }
    assert!(planted > 50, "{planted}");
}
