//! From an input that fails to a smaller one that fails alike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::{Script, Shape, Target};

static FAILURE: Mutex<Option<Failure>> = Mutex::new(None);

/// How a property failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the panic.
    pub place: String,
    /// Its words.
    pub message: String,
}

/// Runs a target on one input; what it panics with is kept from standard error. Not for several
/// threads at a time.
///
/// # Errors
/// How it failed.
pub fn run(target: &Target, input: &[u8]) -> Result<(), Failure> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if let Ok(mut failure) = FAILURE.lock() {
            *failure = Some(Failure { place, message });
        }
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    std::panic::set_hook(hook);
    let failure = FAILURE.lock().ok().and_then(|mut failure| failure.take());
    match outcome {
        Ok(()) => Ok(()),
        Err(_) => {
            Err(failure.unwrap_or_else(|| Failure { place: String::new(), message: String::new() }))
        }
    }
}

/// The smallest input found that fails at the same line.
///
/// # Errors
/// The input does not fail.
pub fn minimise(target: &Target, input: &[u8]) -> Result<(Vec<u8>, Failure), String> {
    let first = run(target, input).err().ok_or("the input does not fail")?;
    let fails =
        |input: &[u8]| run(target, input).is_err_and(|failure| failure.place == first.place);
    let mut least = input.to_vec();
    loop {
        let before = least.clone();
        if matches!(target.shape, Shape::Script) {
            least = without_steps(&least, &fails);
        }
        least = without_pieces(least, &fails);
        least = with_simpler_bytes(least, &fails);
        if least == before {
            break;
        }
    }
    let failure = run(target, &least).err().unwrap_or(first);
    Ok((least, failure))
}

fn without_steps(input: &[u8], fails: &impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut script = Script::read(input);
    if !fails(&script.write()) {
        return input.to_vec();
    }
    let mut at = script.steps.len();
    while at > 0 {
        at -= 1;
        let mut shorter = script.clone();
        shorter.steps.remove(at);
        if fails(&shorter.write()) {
            script = shorter;
            continue;
        }
        // The choices that a step's last bytes made become the first choices.
        while !script.steps[at].is_empty() {
            let mut shorter = script.clone();
            shorter.steps[at].pop();
            if !fails(&shorter.write()) {
                break;
            }
            script = shorter;
        }
    }
    script.write()
}

fn without_pieces(mut input: Vec<u8>, fails: &impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut piece = input.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < input.len() {
            let end = (at + piece).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            if fails(&shorter) {
                input = shorter;
            } else {
                at = end;
            }
        }
        if piece == 1 {
            return input;
        }
        piece /= 2;
    }
}

fn with_simpler_bytes(mut input: Vec<u8>, fails: &impl Fn(&[u8]) -> bool) -> Vec<u8> {
    for at in 0..input.len() {
        for simpler in [0, b'0', b'a', b' '] {
            let before = input[at];
            if before <= simpler {
                continue;
            }
            input[at] = simpler;
            if fails(&input) {
                break;
            }
            input[at] = before;
        }
    }
    input
}
