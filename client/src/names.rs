//! Servers by a name that has several addresses, which change.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use windhover_core::client::Server;

use crate::client::set_servers;
use crate::hub::Handle;
use crate::{Client, Error, ErrorKind, server_address};

/// What looks a name up: `HOST:PORT` comes in, its addresses go out. It may block.
type Lookup = Box<dyn FnMut(&str) -> io::Result<Vec<SocketAddr>> + Send>;
/// Is told what came of each look-up that changed something, or failed.
type Hook = Box<dyn FnMut(&NamesEvent) + Send>;

/// What came of looking names up.
///
/// ```
/// use windhover_client::{Client, Error, FollowedNames, Names, NamesEvent};
///
/// /// Follows a headless service, and says what comes of it.
/// fn follow(client: &Client) -> Result<FollowedNames, Error> {
///     let names = Names::new(["cache.default.svc:11211"])?.on_event(|event| match event {
///         NamesEvent::Changed(addresses) => eprintln!("{} servers", addresses.len()),
///         // The servers stay as they were.
///         NamesEvent::Failed { name, why, .. } => eprintln!("{name}: {why}"),
///         other => eprintln!("{other}"),
///     });
///     // Until what is returned is dropped.
///     Ok(names.follow(client))
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NamesEvent {
    /// The client has these servers from now on.
    Changed(Vec<SocketAddr>),
    /// A name could not be looked up, or has no address: the servers stay as they were.
    Failed {
        /// The name.
        name: String,
        /// What the operating system says.
        why: Arc<io::Error>,
    },
    /// The client did not take the servers.
    Refused(Error),
}

impl fmt::Display for NamesEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(addresses) => write!(f, "the servers are {addresses:?} from now on"),
            Self::Failed { name, why } => write!(
                f,
                "the addresses of {name} cannot be looked up, the servers stay as they were: {why}"
            ),
            Self::Refused(error) => write!(f, "the servers stay as they were: {error:#}"),
        }
    }
}

/// Has a client's servers be all addresses of some names, and looks these up again: for a name that stands
/// for a whole group, such as a headless service of Kubernetes. Without it, a server's name is looked up at
/// each connect, and the server is one.
///
/// It is a thread of its own, whatever runs the client, until this is dropped or the client is gone. Each
/// address is a server that is named after it, of weight 1. While a name cannot be looked up, the servers
/// stay as they were: a name server that fails takes no cache down.
///
/// ```no_run
/// # fn example() -> Result<(), windhover_client::Error> {
/// use std::time::Duration;
/// use windhover_client::{Client, Names};
///
/// // The name itself is a server until it was looked up first.
/// let (client, driver) = Client::builder().server("cache.internal:11211").build()?;
/// let names = Names::new(["cache.internal:11211"])?
///     .every(Duration::from_secs(10))
///     .on_event(|event| eprintln!("{event}"))
///     .follow(&client);
/// # drop((driver, names));
/// # Ok(())
/// # }
/// ```
pub struct Names {
    looked_up: Vec<String>,
    every: Duration,
    lookup: Lookup,
    on_event: Hook,
}

impl Names {
    /// Follows these names: `HOST:PORT`, or without a port for memcached's own.
    ///
    /// # Errors
    /// [`ErrorKind::Address`] for one that cannot be understood, [`ErrorKind::NoServer`] without any.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, Error> {
        let read = |name: N| server_address(name.as_ref(), 11211);
        let names = names.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            return Err(ErrorKind::NoServer.into());
        }
        Ok(Self {
            looked_up: names,
            every: Duration::from_secs(30),
            lookup: Box::new(|name| Ok(name.to_socket_addrs()?.collect())),
            on_event: Box::new(|_| ()),
        })
    }

    /// How often they are looked up: every thirty seconds, unless said otherwise; at most once a
    /// millisecond.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(1));
        self
    }

    /// Looks names up by `lookup` instead of the operating system. It is called on the thread, and may
    /// block.
    #[must_use]
    pub fn with_lookup(
        mut self,
        lookup: impl FnMut(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Self {
        self.lookup = Box::new(lookup);
        self
    }

    /// Is told what has changed, and what failed.
    #[must_use]
    pub fn on_event(mut self, hook: impl FnMut(&NamesEvent) + Send + 'static) -> Self {
        self.on_event = Box::new(hook);
        self
    }

    /// Begins, on a thread of its own: at once, and then again and again.
    pub fn follow(mut self, client: &Client) -> FollowedNames {
        let stopped = Arc::new(Stopped::default());
        let (watched, hub) = (Arc::clone(&stopped), client.hub.hub());
        thread::spawn(move || {
            let mut known = BTreeSet::new();
            loop {
                let Some(client) = Handle::of_living(&hub) else {
                    return;
                };
                self.look_up(&client, &mut known);
                drop(client);
                if watched.within(self.every) {
                    return;
                }
            }
        });
        FollowedNames { stopped: Some(stopped) }
    }

    /// Looks all of them up, and changes the servers where the addresses are others.
    fn look_up(&mut self, client: &Handle, known: &mut BTreeSet<SocketAddr>) {
        let mut found = BTreeSet::new();
        for name in &self.looked_up {
            let looked_up = (self.lookup)(name).and_then(|addresses| {
                let none = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
                if addresses.is_empty() { Err(none()) } else { Ok(addresses) }
            });
            match looked_up {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    let (name, why) = (name.clone(), Arc::new(error));
                    return (self.on_event)(&NamesEvent::Failed { name, why });
                }
            }
        }
        if found == *known {
            return;
        }
        // In the same order, whatever order they are told in: others agree on the ring.
        let servers: Vec<Server> =
            found.iter().map(|address| Server::new(&address.to_string())).collect();
        match set_servers(client, &servers) {
            Ok(()) => {
                (self.on_event)(&NamesEvent::Changed(found.iter().copied().collect()));
                *known = found;
            }
            Err(error) => (self.on_event)(&NamesEvent::Refused(error)),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("names", &self.looked_up).finish_non_exhaustive()
    }
}

/// Names that are being followed, until this is dropped. A look-up that is under way then ends by itself.
///
/// ```
/// use std::net::SocketAddr;
/// use windhover_client::{Client, FollowedNames, Names};
///
/// let (client, driver) = Client::builder().server("cache:11211").build()?;
/// let one = |_: &str| Ok(vec![SocketAddr::from(([10, 0, 0, 1], 11211))]);
/// let followed: FollowedNames = Names::new(["cache:11211"])?.with_lookup(one).follow(&client);
/// // From now on nobody looks; the servers stay what they are.
/// drop(followed);
/// # drop(driver);
/// # Ok::<(), windhover_client::Error>(())
/// ```
#[must_use = "names are followed until it is dropped"]
pub struct FollowedNames {
    stopped: Option<Arc<Stopped>>,
}

impl FollowedNames {
    /// Goes on until the client is gone.
    pub fn detach(mut self) {
        self.stopped = None;
    }
}

impl Drop for FollowedNames {
    fn drop(&mut self) {
        if let Some(stopped) = &self.stopped {
            stopped.stop();
        }
    }
}

impl fmt::Debug for FollowedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowedNames").finish_non_exhaustive()
    }
}

/// Whether a thread is to end.
#[derive(Default)]
struct Stopped {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopped {
    fn lock(&self) -> MutexGuard<'_, bool> {
        // It is one word, whole whatever panics.
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Waits, and tells whether it was stopped meanwhile.
    fn within(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 11211))
    }

    fn names(client: &Client) -> Vec<String> {
        client.servers().into_iter().map(|(_, server)| server.name.into()).collect()
    }

    #[test]
    fn the_servers_are_what_a_name_stands_for_and_stay_so_while_it_cannot_be_looked_up() {
        let (client, _driver) = Client::builder().server("cache:11211").build().unwrap();
        let failed = || io::Error::other("SERVFAIL");
        let mut answers = vec![
            Ok(vec![address(2), address(1)]),
            Err(failed()),
            Ok(vec![]),
            // The same in another order is no change.
            Ok(vec![address(1), address(2)]),
            Ok(vec![address(2), address(3)]),
        ]
        .into_iter();
        let (told, events) = mpsc::channel();
        let _followed = Names::new(["cache"])
            .unwrap()
            .every(Duration::from_millis(1))
            .with_lookup(move |name| {
                assert_eq!(name, "cache:11211");
                answers.next().unwrap_or_else(|| Ok(vec![address(2), address(3)]))
            })
            .on_event(move |event| drop(told.send(event.to_string())))
            .follow(&client);
        let next = || events.recv_timeout(LONG).unwrap();
        assert!(next().contains("[10.0.0.1:11211, 10.0.0.2:11211]"));
        assert!(next().contains("SERVFAIL"));
        assert!(next().contains("it has no address"));
        assert!(next().contains("[10.0.0.2:11211, 10.0.0.3:11211]"));
        assert_eq!(names(&client), ["10.0.0.2:11211", "10.0.0.3:11211"]);
        // Nothing more changes, and nothing is told.
        assert!(events.recv_timeout(Duration::from_millis(20)).is_err());
    }

    #[test]
    fn it_ends_with_the_client_or_before_it() {
        for before in [true, false] {
            let (client, _driver) = Client::builder().server("cache:11211").build().unwrap();
            let (looked_up, lookups) = mpsc::channel();
            let followed = Names::new(["cache"])
                .unwrap()
                .every(Duration::from_millis(1))
                .with_lookup(move |_| {
                    let _ = looked_up.send(());
                    Ok(vec![address(1)])
                })
                .follow(&client);
            lookups.recv_timeout(LONG).unwrap();
            if before {
                drop(followed);
            } else {
                drop(client);
            }
            // The sender is dropped with its thread.
            while lookups.recv_timeout(LONG) != Err(mpsc::RecvTimeoutError::Disconnected) {}
        }
    }

    #[test]
    fn a_name_that_cannot_be_meant_is_refused() {
        assert!(
            matches!(Names::new(["a b"]), Err(error) if matches!(error.kind(), ErrorKind::Address(_)))
        );
        assert!(
            matches!(Names::new::<&str>([]), Err(error) if matches!(error.kind(), ErrorKind::NoServer))
        );
    }
}
