//! Everything that was kept is replayed: the corpora, and the finds of old.

use std::fs;

use windhover_fuzz::minimise::run;
use windhover_fuzz::{TARGETS, corpus};

#[test]
fn every_input_of_every_corpus_holds() {
    for target in TARGETS {
        let inputs = corpus::of_target(target.name).expect("the corpus can be read");
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (path, input) in inputs {
            if let Err(failure) = run(target, &input) {
                panic!("{}: {} at {}", path.display(), failure.message, failure.place);
            }
        }
    }
}

#[test]
fn every_find_has_its_story_and_every_story_its_find() {
    let folder = corpus::regressions();
    let stories = fs::read_to_string(folder.join("stories.txt")).expect("the stories are there");
    let mut told: Vec<&str> =
        stories.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    let mut kept: Vec<String> = Vec::new();
    for target in TARGETS {
        for (path, _) in corpus::read(&folder.join(target.name)).expect("finds can be read") {
            let name = path.strip_prefix(&folder).expect("it lies below").display().to_string();
            kept.push(name);
        }
    }
    told.sort_unstable();
    kept.sort_unstable();
    assert_eq!(told, kept);
}
