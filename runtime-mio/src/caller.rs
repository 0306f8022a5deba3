//! The waker of one of the things that a loop drives.

use std::sync::Arc;
use std::task::Wake;

use crate::mailbox::{Interrupt, Mailbox};
use crate::sync::atomic::{AtomicBool, Ordering};

/// What a slot's waker calls. It may outlive what is in the slot.
pub(crate) struct Caller<T, K, W = mio::Waker> {
    /// What is told: that the slot of this key was called, or an earlier one of that key.
    key: K,
    /// A message is on its way: further calls add nothing.
    is_called: AtomicBool,
    mailbox: Arc<Mailbox<T, W>>,
}

impl<T, K, W> Caller<T, K, W> {
    pub(crate) fn new(key: K, mailbox: &Arc<Mailbox<T, W>>) -> Arc<Self> {
        let mailbox = Arc::clone(mailbox);
        Arc::new(Self { key, is_called: AtomicBool::new(false), mailbox })
    }

    /// Whether it was called. From now on, another call is a new one.
    ///
    /// A message may mean the slot's earlier owner, whose waker outlived it: the flag of the present
    /// one is then not set.
    pub(crate) fn take_call(&self) -> bool {
        self.is_called.swap(false, Ordering::AcqRel)
    }
}

impl<T, K, W> Wake for Caller<T, K, W>
where
    T: From<K> + Send,
    K: Copy + Send + Sync,
    W: Interrupt + Send + Sync,
{
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_called.swap(true, Ordering::AcqRel) {
            // A loop that is gone has nothing to drive.
            let _ = self.mailbox.send(self.key.into());
        }
    }
}
