//! Waits of calls: the driver's timer is theirs too, since the client has none of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use windhover_core::Instant;

use super::Hub;
use crate::sync::{Mutex, MutexGuard};

/// Who waits for which instant.
#[derive(Default)]
pub(super) struct Sleepers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// By their ends; a number tells those with the same end apart.
    wakers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    /// No driver will wake anybody any more.
    is_over: bool,
}

impl Sleepers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What a panic leaves is a map that is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose time has come, to be woken; and when the next one's does.
    pub(super) fn due(
        &self,
        now: Instant,
    ) -> (impl Iterator<Item = Waker> + use<>, Option<Instant>) {
        let mut waiting = self.lock();
        let later = waiting.wakers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut waiting.wakers, later);
        let next = waiting.wakers.first_key_value().map(|((until, _), _)| *until);
        (due.into_values(), next)
    }

    /// Wakes all of them, now and in future: there is no driver any more.
    pub(super) fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        let due = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        due.into_values().for_each(Waker::wake);
    }
}

/// Ends at an instant, or when there is no driver any more.
pub(crate) struct Sleep {
    hub: Arc<Hub>,
    until: Instant,
    number: Option<u64>,
}

impl Sleep {
    pub(crate) fn new(hub: Arc<Hub>, until: Instant) -> Self {
        Self { hub, until, number: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.hub.now() >= this.until {
            return Poll::Ready(());
        }
        let mut waiting = this.hub.sleepers.lock();
        if waiting.is_over {
            return Poll::Ready(());
        }
        let number = *this.number.get_or_insert_with(|| {
            waiting.last += 1;
            waiting.last
        });
        let key = (this.until, number);
        let is_known = waiting.wakers.insert(key, cx.waker().clone()).is_some();
        let is_first = waiting.wakers.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(waiting);
        if is_first && !is_known {
            // The driver waits for something later.
            this.hub.lock().wake_driver();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.hub.sleepers.lock().wakers.remove(&(self.until, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;
    use crate::hub::DriverStep;
    use crate::{Client, Driver};

    fn client() -> (Client, Driver) {
        Client::builder().server("127.0.0.1:1").build().unwrap()
    }

    #[test]
    fn the_driver_waits_no_longer_than_the_first_who_sleeps() {
        let (client, driver) = client();
        let hub = client.hub.hub();
        let sleep = |time| Sleep::new(Arc::clone(&hub), hub.now() + time);
        let mut long = pin!(sleep(Duration::from_secs(9)));
        let mut short = pin!(sleep(Duration::from_millis(20)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(long.as_mut().poll(&mut cx).is_pending());
        assert!(short.as_mut().poll(&mut cx).is_pending());
        let DriverStep::Wait(time) = driver.next(Waker::noop()) else {
            panic!("nothing to connect")
        };
        assert!(time <= Duration::from_millis(20), "{time:?}");
        std::thread::sleep(Duration::from_millis(20));
        let DriverStep::Wait(time) = driver.next(Waker::noop()) else {
            panic!("nothing to connect")
        };
        assert!(time > Duration::from_secs(5), "{time:?}");
        assert!(short.as_mut().poll(&mut cx).is_ready());
        assert!(long.as_mut().poll(&mut cx).is_pending());
    }

    #[test]
    fn nobody_sleeps_on_when_the_driver_is_gone() {
        let (client, driver) = client();
        let hub = client.hub.hub();
        let mut sleep = pin!(Sleep::new(Arc::clone(&hub), hub.now() + Duration::from_secs(9)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        drop(driver);
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
    }
}
