//! An engine and its journal, driven step by step as the journal's thread would.

use windhover_core::queue::{
    Action, AppendError, Config, ConnId, Engine, EngineOutput, Fsync, OpId, OpOutcome, Put,
    PutBuilder,
};
use windhover_core::{Instant, Now, UnixTime};
use windhover_server::journal::{self, Directory, Journal, OpenError};

pub(crate) fn now() -> Now {
    Now { instant: Instant::default(), unix: UnixTime::from_secs(1_000) }
}

/// A put of one item.
pub(crate) fn item(queue: &[u8], data: &str) -> Put {
    let mut put = PutBuilder::new(queue, now().unix).unwrap();
    put.item(None, data.as_bytes());
    put.finish()
}

/// Reads of the journal what the engine asks for; what else it had to say.
pub(crate) fn serve<D: Directory>(
    engine: &mut Engine,
    journal: &Journal<D>,
) -> Vec<(OpId, OpOutcome)> {
    let mut done = vec![];
    loop {
        match engine.poll_output(now()) {
            EngineOutput::Done { op, outcome } => done.push((op, outcome)),
            EngineOutput::Read(read) => {
                let found =
                    journal.reader().read(&read).unwrap_or_else(|e| panic!("{read:?}: {e}"));
                engine.read_back(&read, Ok(found), now());
            }
            _ => return done,
        }
    }
}

/// Reads from a queue, with what must be read back for it. Nothing else may be waiting to be told.
pub(crate) fn get<D: Directory>(
    engine: &mut Engine,
    journal: &Journal<D>,
    op: OpId,
    conn: ConnId,
    queue: &[u8],
    action: Action,
) -> OpOutcome {
    let outcome = engine.get(op, conn, queue, action.into(), now());
    let waited = serve(engine, journal).into_iter().find(|done| done.0 == op);
    engine.collect(op);
    outcome.or(waited.map(|done| done.1)).unwrap()
}

#[derive(Debug)]
pub(crate) struct Journaled<D: Directory> {
    pub(crate) journal: Journal<D>,
    pub(crate) engine: Engine,
    op: u64,
}

impl<D: Directory + Clone> Journaled<D> {
    pub(crate) fn open(
        directory: &D,
        fsync: Fsync,
        segment_bytes: u64,
        mut config: Config,
    ) -> Result<Self, OpenError> {
        config.queue.fsync = fsync;
        let keep = |_: &str, _: &[u8]| Ok(());
        journal::open(directory.clone(), &keep, segment_bytes, config, now().unix)
            .map(|opened| Self { journal: opened.journal, engine: opened.engine, op: 0 })
    }

    fn op(&mut self) -> OpId {
        self.op += 1;
        OpId(self.op)
    }

    /// Puts one item on `q`; returns whether the journal took it.
    pub(crate) fn put(&mut self, data: &str) -> bool {
        self.put_on(b"q", data)
    }

    pub(crate) fn put_on(&mut self, queue: &[u8], data: &str) -> bool {
        let op = self.op();
        self.engine.put(op, item(queue, data), now()).unwrap();
        self.commit()
    }

    /// Puts one item on `q`: `None` when it is refused, else whether the journal took it.
    pub(crate) fn try_put(&mut self, data: &str) -> Option<bool> {
        let op = self.op();
        self.engine.put(op, item(b"q", data), now()).ok()?;
        Some(self.commit())
    }

    /// Tells the engine how long the journal is, as its thread does.
    pub(crate) fn compact(&mut self) {
        self.engine.compact(self.journal.len(), self.journal.active_number());
        serve(&mut self.engine, &self.journal);
    }

    pub(crate) fn get(&mut self, conn: u64, action: Action) -> Option<String> {
        self.get_from(b"q", conn, action)
    }

    pub(crate) fn get_from(&mut self, queue: &[u8], conn: u64, action: Action) -> Option<String> {
        let op = self.op();
        match get(&mut self.engine, &self.journal, op, ConnId(conn), queue, action) {
            OpOutcome::Item(item) => Some(String::from_utf8(item.to_vec()).unwrap()),
            _ => None,
        }
    }

    /// A clean stop.
    pub(crate) fn close(mut self) {
        self.journal.close(|at, salt| self.engine.index(at, salt)).unwrap();
    }

    /// Writes what waits; returns whether the journal took it.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(batch) = self.engine.begin_append() else { return true };
        let result = self.journal.append(&batch, now().unix);
        let taken = result.is_ok();
        self.engine.journaled(batch, result.map_err(|_| AppendError), now());
        serve(&mut self.engine, &self.journal);
        if taken {
            self.journal.note_index(|at, salt| self.engine.index(at, salt));
        }
        taken
    }

    pub(crate) fn reclaim(&mut self) {
        let oldest = self.engine.oldest_needed(self.journal.active_number());
        self.journal.reclaim(oldest).unwrap();
    }

    pub(crate) fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.get(1, Action::Take)).collect()
    }
}
