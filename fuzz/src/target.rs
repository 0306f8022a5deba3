//! The list of targets.

use crate::property;
use crate::{Source, generate};

/// How the inputs of a target are built, which decides how they are changed.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Protocol text: changed by bytes, by tokens of `dictionary`, by its lines, and by what
    /// `generate` makes.
    Text {
        /// Makes some whole messages.
        generate: fn(&mut Source<'_>) -> Vec<u8>,
        /// The protocol's tokens.
        dictionary: &'static [&'static [u8]],
    },
    /// A [`Script`](crate::Script): changed step by step.
    Script,
}

impl Shape {
    /// A word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Script => "script",
        }
    }
}

/// A property of every input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What holds, in one sentence.
    pub holds: &'static str,
    /// How its inputs are built.
    pub shape: Shape,
    /// Panics where it does not hold.
    pub check: fn(&[u8]),
}

/// Every target.
pub static TARGETS: &[Target] = &[
    Target {
        name: "memcache_requests",
        holds: "any bytes are read as the same requests in every split, within their limits, and \
                what can be read can be written again",
        shape: MEMCACHE,
        check: property::memcache_requests,
    },
    Target {
        name: "memcache_commands",
        holds: "every command is written as protocol.txt has it, and read as it was written",
        shape: Shape::Script,
        check: property::memcache_commands,
    },
    Target {
        name: "memcache_responses",
        holds: "any bytes are read as the same frames of replies in every split, within their \
                limits",
        shape: Shape::Text {
            generate: generate::replies::text,
            dictionary: generate::replies::DICTIONARY,
        },
        check: property::memcache_responses,
    },
    Target {
        name: "memcache_replies",
        holds: "every frame is written as protocol.txt has it, read as it was written, and never \
                becomes two",
        shape: Shape::Script,
        check: property::memcache_replies,
    },
    Target {
        name: "memcache_users",
        holds: "a file of users has the users that a simple, slow reader finds, and each can send the \
                credentials that are its own",
        shape: Shape::Text {
            generate: generate::listen::users,
            dictionary: generate::listen::USERS,
        },
        check: property::memcache_users,
    },
    Target {
        name: "listen_address",
        holds: "a text is one kind of address to listen on or refused with a reason, and what is \
                printed means the same",
        shape: Shape::Text {
            generate: generate::listen::address,
            dictionary: generate::listen::ADDRESSES,
        },
        check: property::listen_address,
    },
    Target {
        name: "nats_url",
        holds: "a text is a place to publish to or refused with a reason, and written otherwise it is the \
                same place",
        shape: Shape::Text {
            generate: generate::nats::url,
            dictionary: generate::nats::DICTIONARY,
        },
        check: property::nats_url,
    },
    #[cfg(feature = "server")]
    Target {
        name: "config_file",
        holds: "a configuration file is taken, and what is printed of it says the same; or it is refused with \
                faults that name what nothing is called or is of another type",
        shape: Shape::Text {
            generate: generate::server::config,
            dictionary: generate::server::CONFIG,
        },
        check: property::config_file,
    },
    #[cfg(feature = "server")]
    Target {
        name: "backup_manifest",
        holds: "an entry of a backup's log is refused, or says what fits together and is written again as it was \
                read",
        shape: Shape::Text {
            generate: generate::server::manifest,
            dictionary: generate::server::MANIFEST,
        },
        check: property::backup_manifest,
    },
    #[cfg(feature = "server")]
    Target {
        name: "dead_letters",
        holds: "an item of the dead-letter queue is refused, or can be sent again without becoming another \
                request, and is written again as it was read",
        shape: Shape::Text {
            generate: generate::server::dead_letter,
            dictionary: generate::server::DEAD_LETTER,
        },
        check: property::dead_letters,
    },
    #[cfg(feature = "server")]
    Target {
        name: "forward_window",
        holds: "whatever a queue elsewhere answers, each record arrives once or is given up, and given up is \
                none but one that will not be taken",
        shape: Shape::Script,
        check: property::forward_window,
    },
    Target {
        name: "memcache_server",
        holds: "under any interleaving of bytes, time, answers, writes and ends, every request \
                comes out and every answer goes out, in order and once",
        shape: Shape::Script,
        check: property::memcache_server,
    },
    Target {
        name: "memcache_handler",
        holds: "whenever a handler replies, and whether it does, replies leave in the order of the \
                requests, each once",
        shape: Shape::Script,
        check: property::memcache_handler,
    },
    Target {
        name: "client_connection",
        holds: "under any interleaving of requests, bytes, time, cancels, writes and ends, every \
                request ends once and in time, with its own answer or with what is known of it",
        shape: Shape::Script,
        check: property::client_connection,
    },
    Target {
        name: "client_hostile",
        holds: "whatever servers say and when, what is delivered as a success was answered to that \
                very request, on its connection and in its turn",
        shape: Shape::Script,
        check: property::client_hostile,
    },
    Target {
        name: "client_health",
        holds: "a server is in use, out of use and asked whether it is back as a simple model says, \
                and calls are sent again as often as an account allows",
        shape: Shape::Script,
        check: property::client_health,
    },
    Target {
        name: "cluster",
        holds: "under any interleaving of calls, connections, bytes, time, cancels and changes of \
                the servers, every call ends once and in time, with an answer that a server gave \
                to it or with what is known of its effect",
        shape: Shape::Script,
        check: property::cluster,
    },
    Target {
        name: "ring",
        holds: "a key's servers are those of a simple, slow reckoning, and one that goes takes \
                along no key but its own",
        shape: Shape::Script,
        check: property::ring,
    },
    Target {
        name: "http_requests",
        holds: "any bytes are the same HTTP requests in every split, and those that a simple, slow \
                reader finds",
        shape: HTTP,
        check: property::http_requests,
    },
    Target {
        name: "http_smuggling",
        holds: "what we take for HTTP requests, hyper takes for the same ones",
        shape: HTTP,
        check: property::http_smuggling,
    },
    Target {
        name: "http_connection",
        holds: "under any interleaving of bytes, time, answers, writes and ends, HTTP requests come \
                out and answers go out, in order and once",
        shape: Shape::Script,
        check: property::http_connection,
    },
    Target {
        name: "proxy_protocol",
        holds: "a header of the PROXY protocol is found where a simple, slow reader finds one, as soon \
                as it is whole, and what is none stays none",
        shape: Shape::Text {
            generate: generate::proxy_protocol::header,
            dictionary: generate::proxy_protocol::DICTIONARY,
        },
        check: property::proxy_protocol,
    },
    Target {
        name: "journal",
        holds: "every whole record of a damaged segment is found, and every other byte is told as \
                damage",
        shape: Shape::Script,
        check: property::journal,
    },
    Target {
        name: "queue_engine",
        holds: "the queue engine does what a `VecDeque` does, and what it called stored is found \
                again after any crash",
        shape: Shape::Script,
        check: property::queue_engine,
    },
    Target {
        name: "queue_service",
        holds: "queues that follow others, aliases, items that move and bounds that change do what a model \
                does, whatever of the journal is in memory, fails or comes late",
        shape: Shape::Script,
        check: property::queue_service,
    },
    Target {
        name: "tracking",
        holds: "what is recorded of a tracking request, and what is answered, is what a simple, \
                slow reader says",
        shape: Shape::Text {
            generate: generate::tracking::request,
            dictionary: generate::tracking::DICTIONARY,
        },
        check: property::tracking,
    },
    Target {
        name: "deduplication",
        holds: "what was put into a window of digests of late is found in it and nothing else, and one \
                event has one digest however it is spelled",
        shape: Shape::Script,
        check: property::deduplication,
    },
];

const HTTP: Shape =
    Shape::Text { generate: generate::http::requests, dictionary: generate::http::DICTIONARY };

const MEMCACHE: Shape =
    Shape::Text { generate: generate::memcache::text, dictionary: generate::memcache::DICTIONARY };

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The target of that name.
///
/// # Errors
/// A sentence that names those there are.
pub fn target(name: &str) -> Result<&'static Target, String> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        format!("there is no target {name}; there are: {}", names.join(", "))
    })
}
