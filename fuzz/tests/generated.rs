//! The same properties over generated input, with proptest: no corpus and no nightly compiler.

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};
use windhover_fuzz::{Shape, Source, TARGETS, Target, mutate};

/// The input that some choices make, changed so often.
fn input(target: &Target, choices: &[u8], seed: u64, changes: usize) -> Vec<u8> {
    let mut input = match target.shape {
        Shape::Text { generate, .. } => generate(&mut Source::new(choices)),
        Shape::Script => choices.to_vec(),
    };
    let mut random = Rng::with_seed(seed);
    for _ in 0..changes {
        mutate::mutate(&mut input, choices, &target.shape, &mut random);
    }
    input
}

#[test]
fn every_property_holds_for_generated_input() {
    for target in TARGETS {
        let mut runner = TestRunner::new(Config::with_cases(100));
        let strategy = (vec(any::<u8>(), 0..160), any::<u64>(), 0..4_usize);
        let outcome = runner.run(&strategy, |(choices, seed, changes)| {
            (target.check)(&input(target, &choices, seed, changes));
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{}: {failure}", target.name);
        }
    }
}

#[test]
fn the_same_choices_make_the_same_input() {
    for target in TARGETS {
        let make = || input(target, b"some choices and more", 7, 3);
        assert_eq!(make(), make(), "{}", target.name);
    }
}
