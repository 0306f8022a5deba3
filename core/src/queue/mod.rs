//! The queue engine and the format of its journal.
//!
//! The [`Engine`] holds kestrel-like queues: items go in with [`put`](Engine::put), come out with
//! [`get`](Engine::get) (at once, reliably with open, close and abort, or after a wait). It does no
//! I/O: the bytes to append to a journal come out of it ([`Engine::begin_append`]), and it is told
//! what became of them ([`Engine::journaled`]). An item can be read, and its sender is told
//! "stored", only after its bytes were reported safe.
//!
//! The journal is a chain of segments ([`segment`]) of checksummed records ([`record`]);
//! [`Recovery`] turns it back into an engine and reports every damage that it sees.
//!
//! ```
//! use windhover_core::Now;
//! use windhover_core::queue::{
//!     Config, ConnId, Engine, EngineOutput, OpId, OpOutcome, PutBuilder, Read, Written,
//! };
//!
//! let mut engine = Engine::new(Config::default());
//! let now = Now::default();
//! let mut put = PutBuilder::new(b"events", now.unix)?;
//! put.item(None, b"hello");
//! engine.put(OpId(1), put.finish(), now)?;
//!
//! // The caller writes this batch to its journal, syncs it, and says so.
//! let batch = engine.begin_append().expect("a put leaves bytes to append");
//! let written = Written { segment: 1, offset: 64 };
//! engine.journaled(batch, Ok(written), now);
//! assert_eq!(
//!     engine.poll_output(now),
//!     EngineOutput::Done { op: OpId(1), outcome: OpOutcome::Stored }
//! );
//!
//! let got = engine.get(OpId(2), ConnId(1), b"events", Read::default(), now);
//! assert_eq!(got, Some(OpOutcome::Item(b"hello".as_slice().into())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod engine;
mod extents;
mod fsync;
mod index;
mod items;
mod line;
mod name;
mod outcome;
mod put;
mod read;
mod read_back;
pub mod record;
mod recovery;
pub mod segment;
pub mod state;
mod stats;
mod usage;
mod waiters;

pub use config::{Config, QueueConfig};
pub use engine::{AppendError, Engine, EngineOutput, JournalBatch, Written};
pub use fsync::{Fsync, FsyncError};
pub use index::{Index, IndexError};
pub use name::{NameError, check_name, parent_of};
pub use outcome::{ConnId, OpId, OpOutcome, PutError, ReadError};
pub use put::{Put, PutBuilder};
pub use read::{Action, Read};
pub use read_back::{JournalRead, ReadBack, ReadBackError};
pub use recovery::{Place, Recovered, Recovery, SegmentReport};
pub use stats::{EngineStats, QueueStats};
