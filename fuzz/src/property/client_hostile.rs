//! A client and servers that mean it ill.

use super::cluster::{draw, world::World};
use crate::generate::{calls, replies};
use crate::reference::replies::Asked;
use crate::{Script, Source};

/// Whatever servers say, and when: what is delivered as a success is what was answered to that very
/// request, on its connection and in its turn; everything else is told as what it is.
pub fn client_hostile(input: &[u8]) {
    let script = Script::read(input);
    let Some((first, steps)) = script.steps.split_first() else {
        return;
    };
    let mut world = draw::world(&mut Source::new(first));
    world.prompt = true;
    world.settle();
    for bytes in steps {
        let mut source = Source::new(bytes);
        match source.below(8) {
            0..=2 => {
                for _ in 0..source.between(1, 4) {
                    draw::submit(&mut world, &mut source);
                }
            }
            3 => world.wait(&mut source),
            4 if source.chance(1, 3) => world.cancel(source.below(8)),
            _ => say(&mut world, &mut source),
        }
        world.settle();
    }
    world.finish(false);
}

/// A server says something on one of its connections.
fn say(world: &mut World, source: &mut Source<'_>) {
    let open = world.some(|socket| socket.is_connected);
    if open.is_empty() {
        return;
    }
    let id = source.pick_of(&open);
    let due = world.unanswered(id);
    let count = source.between(1, 4);
    let mut said = Vec::new();
    match source.below(11) {
        // Right, now and then before all that was asked is there.
        0..=2 => return tell(world, id, count, source),
        // Late.
        3 => {
            let until = world.now + draw::pause(source);
            world.wait_until(until);
            if world.some(|socket| socket.is_connected).contains(&id) {
                tell(world, id, count, source);
            }
            return;
        }
        // Twice.
        4 => {
            if let Some(asked) = due.first() {
                let answer = calls::answer(asked, source);
                said = answer.repeat(2);
            }
        }
        // The answer to another request, of this connection or of any.
        5 => {
            if let Some(asked) = due.last() {
                said = calls::answer(asked, source);
            }
        }
        6 => {
            let other = source.pick_of(&open);
            if let Some(asked) = world.unanswered(other).first() {
                said = calls::answer(asked, source);
            }
        }
        // Cut: in its bytes, or for good.
        7 => {
            if let Some(asked) = due.first() {
                let answer = calls::answer(asked, source);
                said = answer[..source.below(answer.len().min(60_000))].to_vec();
            }
        }
        // Nearly right: the answer to a request that is like it, or to it with one byte changed.
        8 if source.chance(1, 2) => {
            if let Some(asked) = due.first() {
                let mut other = Asked::clone(asked);
                match &mut other.opaque {
                    Some(opaque) => opaque.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
                    None => other.keys.iter_mut().for_each(|key| *key = b"other".to_vec()),
                }
                said = calls::answer(&other, source);
            }
        }
        8 => {
            if let Some(asked) = due.first() {
                said = calls::answer(asked, source);
                let line = said.iter().position(|&byte| byte == b'\n').unwrap_or(0);
                if let Some(byte) = said.get_mut(source.below(line.max(1))) {
                    *byte = source.byte();
                }
            }
        }
        9 => {
            let broken = source.chance(1, 2);
            world.end(id, broken);
            return;
        }
        _ => {
            said = match source.below(3) {
                0 => replies::text(source),
                1 => source.pick_of(replies::DICTIONARY).to_vec(),
                _ => source.rest().to_vec(),
            };
        }
    }
    world.say(id, &said);
}

fn tell(
    world: &mut World,
    id: windhover_core::client::ConnectionId,
    count: usize,
    source: &mut Source<'_>,
) {
    world.answer(id, count, source);
    let most = if source.chance(1, 4) { source.below(40) } else { usize::MAX };
    world.deliver(id, most);
}
