//! Our mutations as fuzzcheck wants them.

use std::any::{Any, TypeId};
use std::cell::RefCell;

use fastrand::Rng;
use fuzzcheck::{Mutator, SubValueProvider};
use windhover_fuzz::{Shape, mutate};

/// Changes inputs in ways that fit their shape. An input's complexity is its length.
pub(crate) struct InputMutator {
    shape: Shape,
    random: RefCell<Rng>,
}

impl InputMutator {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        Self { shape, random: RefCell::new(Rng::with_seed(seed)) }
    }

    #[expect(clippy::cast_precision_loss, reason = "no input comes near 2^52 bytes")]
    fn complexity_of(input: &[u8]) -> f64 {
        input.len() as f64 + 1.0
    }
}

impl Mutator<Vec<u8>> for InputMutator {
    type Cache = ();
    type MutationStep = ();
    type ArbitraryStep = ();
    type UnmutateToken = Vec<u8>;

    fn initialize(&self) {}

    fn default_arbitrary_step(&self) {}

    fn is_valid(&self, _: &Vec<u8>) -> bool {
        true
    }

    fn validate_value(&self, _: &Vec<u8>) -> Option<()> {
        Some(())
    }

    fn default_mutation_step(&self, _: &Vec<u8>, (): &()) {}

    fn global_search_space_complexity(&self) -> f64 {
        f64::INFINITY
    }

    fn max_complexity(&self) -> f64 {
        f64::INFINITY
    }

    fn min_complexity(&self) -> f64 {
        1.0
    }

    fn complexity(&self, input: &Vec<u8>, (): &()) -> f64 {
        Self::complexity_of(input)
    }

    fn ordered_arbitrary(&self, (): &mut (), most: f64) -> Option<(Vec<u8>, f64)> {
        Some(self.random_arbitrary(most))
    }

    fn random_arbitrary(&self, _: f64) -> (Vec<u8>, f64) {
        let input = mutate::create(&self.shape, &mut self.random.borrow_mut());
        let complexity = Self::complexity_of(&input);
        (input, complexity)
    }

    fn ordered_mutate(
        &self,
        input: &mut Vec<u8>,
        (): &mut (),
        (): &mut (),
        others: &dyn SubValueProvider,
        most: f64,
    ) -> Option<(Vec<u8>, f64)> {
        let before = input.clone();
        let other = others
            .get_random_subvalue(TypeId::of::<Vec<u8>>(), most)
            .and_then(|(other, _)| other.downcast_ref::<Vec<u8>>())
            .map(Vec::as_slice)
            .unwrap_or_default();
        mutate::mutate(input, other, &self.shape, &mut self.random.borrow_mut());
        Some((before, Self::complexity_of(input)))
    }

    fn random_mutate(&self, input: &mut Vec<u8>, (): &mut (), _: f64) -> (Vec<u8>, f64) {
        let before = input.clone();
        mutate::mutate(input, &[], &self.shape, &mut self.random.borrow_mut());
        (before, Self::complexity_of(input))
    }

    fn unmutate(&self, input: &mut Vec<u8>, (): &mut (), before: Vec<u8>) {
        *input = before;
    }

    fn visit_subvalues<'a>(
        &self,
        input: &'a Vec<u8>,
        (): &'a (),
        visit: &mut dyn FnMut(&'a dyn Any, f64),
    ) {
        visit(input, Self::complexity_of(input));
    }
}
