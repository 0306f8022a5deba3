//! A model of all that queues do, and the configurations that it is tried with. The fuzzer's property
//! `queue_service` has it too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use windhover_core::queue::{
    Action, Config, Engine, Fsync, OpOutcome, PutError, QueueConfig, ReadError,
};

pub(crate) type Name = &'static str;

/// What can be named in a put or a read; the last ones are aliases.
pub(crate) const NAMES: [Name; 13] =
    ["a", "b", "p", "p+x", "p+y", "p+z", "e", "late", "hub", "hub+c", "both", "child", "none"];
pub(crate) const PARENTS: [Name; 2] = ["p", "hub"];
/// What reads are tried, the plain one twice as often as others.
pub(crate) const ACTIONS: [Action; 8] = [
    Action::Take,
    Action::Take,
    Action::Open,
    Action::Close,
    Action::CloseOpen,
    Action::Monitor,
    Action::Abort,
    Action::Peek,
];

pub(crate) fn config(variant: u64) -> Config {
    let mut config = Config::default();
    config.queue.max_items = 6;
    config.queue.fsync = if variant == 2 { Fsync::Never } else { Fsync::Always };
    config.max_children = 2;
    let mut add = |name: Name, set: &dyn Fn(&mut QueueConfig)| {
        let mut bounds = config.queue.clone();
        set(&mut bounds);
        config.queues.insert(name.into(), bounds);
    };
    let every = |millis| Fsync::Interval(Duration::from_millis(millis));
    add("b", &|b| (b.discard_old, b.max_items, b.fsync) = (true, 3, Fsync::Never));
    add("p", &|p| (p.open_timeout, p.fsync) = (Some(Duration::from_millis(200)), every(5)));
    add("p+y", &|y| {
        y.max_items = 2;
        y.fsync = if variant == 0 { Fsync::Always } else { every(3) };
    });
    add("hub", &|hub| hub.fanout_only = variant != 2);
    add("late", &|late| {
        (late.max_items, late.discard_old) = (4, variant == 1);
        late.fsync = Fsync::Never;
        late.max_age = Some(Duration::from_millis(700));
    });
    add("e", &|e| {
        e.max_age = Some(Duration::from_millis(300));
        e.move_expired_to = Some("late".into()).filter(|_| variant != 1);
        e.max_open_reads = 2;
    });
    if variant == 2 {
        add("a", &|a| a.max_items = 1);
    }
    config.aliases.insert("both".into(), vec!["a".into(), "p".into()]);
    config.aliases.insert("child".into(), vec!["p+x".into()]);
    config.aliases.insert("none".into(), vec![]);
    config
}

fn strictest(all: impl IntoIterator<Item = Fsync>) -> Fsync {
    let rank = |fsync: &Fsync| match fsync {
        Fsync::Always => Duration::ZERO,
        Fsync::Interval(every) => *every,
        Fsync::Never => Duration::MAX,
    };
    all.into_iter().min_by_key(rank).unwrap_or(Fsync::Never)
}

pub(crate) fn parent(name: &str) -> Option<&str> {
    name.split_once('+').map(|(parent, _)| parent)
}

pub(crate) fn named(name: &[u8]) -> Name {
    NAMES.into_iter().find(|known| known.as_bytes() == name).expect("a name of ours")
}

#[derive(Clone, Debug)]
struct Item {
    id: u64,
    data: String,
    expires: Option<u64>,
    added: u64,
}

/// What a batch says, in order.
#[derive(Clone, Debug)]
enum Entry {
    Put {
        op: Option<u64>,
        queue: Name,
        items: Vec<Item>,
        from: Option<(Name, Vec<Item>)>,
    },
    Gone(Name, u64),
    /// The items with smaller ids are gone, but for these: also those whose own removal is not written yet.
    GoneBelow(Name, u64, BTreeSet<u64>),
    Follows(Name, bool),
    /// Items that stand in an old segment too.
    Again,
    /// Queues that follow, which an old segment says too.
    Marks,
}

#[derive(Clone, Debug)]
struct Waiter {
    conn: u64,
    queue: Name,
    action: Action,
    deadline: u64,
}

#[derive(Clone, Debug)]
struct Open {
    conn: u64,
    queue: Name,
    item: Item,
    until: Option<u64>,
}

type Items = BTreeMap<Name, BTreeMap<u64, Item>>;

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    /// Milliseconds since the start.
    pub(crate) now: u64,
    ready: Items,
    following: BTreeSet<Name>,
    open: Vec<Open>,
    handed: BTreeMap<u64, Open>,
    handed_take: BTreeSet<u64>,
    waiters: BTreeMap<u64, Waiter>,
    pub(crate) done: VecDeque<(u64, OpOutcome)>,
    next_id: u64,
    /// What is for the next batch, and what is in the one on its way.
    entries: Vec<(Fsync, Entry)>,
    in_flight: Option<(Fsync, Vec<Entry>)>,
    /// All that waits is to be one batch.
    pub(crate) is_joined: bool,
    /// What is left of one that is being settled.
    settling: VecDeque<Entry>,
    put_off: BTreeSet<Name>,
    /// What the journal holds.
    disk: Items,
    disk_following: BTreeSet<Name>,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            now: 0,
            ready: Items::new(),
            following: BTreeSet::new(),
            open: Vec::new(),
            handed: BTreeMap::new(),
            handed_take: BTreeSet::new(),
            waiters: BTreeMap::new(),
            done: VecDeque::new(),
            next_id: 1,
            entries: Vec::new(),
            in_flight: None,
            is_joined: false,
            settling: VecDeque::new(),
            put_off: BTreeSet::new(),
            disk: Items::new(),
            disk_following: BTreeSet::new(),
        }
    }

    fn of(&self, name: &str) -> QueueConfig {
        let own = self.config.queues.get(name.as_bytes());
        let own = own.or_else(|| self.config.queues.get(parent(name)?.as_bytes()));
        own.unwrap_or(&self.config.queue).clone()
    }

    fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        let in_flight = self.in_flight.iter().flat_map(|(_, batch)| batch);
        self.settling.iter().chain(in_flight).chain(self.entries.iter().map(|(_, entry)| entry))
    }

    /// Items on their way out of a queue.
    fn moving(&self, queue: Name) -> usize {
        let from = self.unsettled().filter_map(|entry| match entry {
            Entry::Put { from: Some((from, items)), .. } if *from == queue => Some(items.len()),
            _ => None,
        });
        from.sum()
    }

    /// The engine has told all that it has to, and holds what this does.
    pub(crate) fn check(&self, engine: &Engine) {
        assert_eq!(self.done.front(), None, "the engine keeps this to itself");
        for name in NAMES {
            let stats = engine.stats_of(name.as_bytes());
            let ours = (stats.items, stats.open_transactions);
            let theirs = (self.items(name) as u64, self.set_aside(name) as u64);
            assert_eq!(ours, theirs, "readable and set aside in {name}");
        }
        for parent in PARENTS {
            let ours: Vec<Name> =
                engine.children(parent.as_bytes()).map(|name| named(name)).collect();
            assert_eq!(ours, self.children(parent));
        }
    }

    pub(crate) fn set_aside(&self, queue: Name) -> usize {
        let open = self.open.iter().chain(self.handed.values());
        open.filter(|open| open.queue == queue).count() + self.moving(queue)
    }

    pub(crate) fn pending(&self, queue: Name) -> usize {
        let pending = self.unsettled().filter_map(|entry| match entry {
            Entry::Put { queue: to, items, .. } if *to == queue => Some(items.len()),
            _ => None,
        });
        pending.sum()
    }

    pub(crate) fn items(&self, queue: Name) -> usize {
        self.ready.get(queue).map_or(0, BTreeMap::len)
    }

    pub(crate) fn children(&self, of: &str) -> Vec<Name> {
        self.following.iter().copied().filter(|name| parent(name) == Some(of)).collect()
    }

    pub(crate) fn follow(&mut self, name: Name) -> bool {
        let Some(parent) = parent(name) else { return true };
        if self.following.contains(name) {
            return true;
        }
        if self.children(parent).len() >= self.config.max_children {
            return false;
        }
        self.following.insert(name);
        self.entries.push((self.of(name).fsync, Entry::Follows(name, true)));
        true
    }

    fn check_room(&mut self, queue: Name, items: usize) -> Result<(), PutError> {
        if !self.follow(queue) {
            return Err(PutError::TooManyQueues);
        }
        let bounds = self.of(queue);
        let held = self.items(queue) + self.set_aside(queue) + self.pending(queue);
        let held = if bounds.discard_old { 0 } else { held };
        if (held + items) as u64 > bounds.max_items {
            return Err(PutError::Full);
        }
        Ok(())
    }

    fn enlist(
        &mut self,
        op: Option<u64>,
        queue: Name,
        items: &[(String, Option<u64>)],
        fsync: Fsync,
    ) {
        let (first, added) = (self.next_id, self.now);
        self.next_id += items.len() as u64;
        let items = (first..).zip(items).map(|(id, (data, expires))| Item {
            id,
            data: data.clone(),
            expires: *expires,
            added,
        });
        let items = items.collect();
        self.entries.push((fsync, Entry::Put { op, queue, items, from: None }));
    }

    pub(crate) fn put(
        &mut self,
        op: u64,
        name: Name,
        items: &[(String, Option<u64>)],
    ) -> Result<(), PutError> {
        if items.is_empty() {
            self.done.push_back((op, OpOutcome::Stored));
            return Ok(());
        }
        let aliased = self.config.aliases.get(name.as_bytes());
        let names: Vec<Name> = match aliased {
            Some(names) => names.iter().map(|name| named(name)).collect(),
            None => vec![name],
        };
        let keeps = |name: &&Name| parent(name).is_some() || !self.of(name).fanout_only;
        let takers: BTreeSet<Name> = names.iter().copied().filter(|name| keeps(&name)).collect();
        let followers: BTreeSet<Name> = names.iter().flat_map(|name| self.children(name)).collect();
        let followers: Vec<Name> = followers.difference(&takers).copied().collect();
        for name in &takers {
            self.check_room(name, items.len())?;
        }
        let mut takers: Vec<Name> = takers.into_iter().collect();
        for name in &followers {
            if self.check_room(name, items.len()).is_ok() {
                takers.push(name);
            }
        }
        let Some(last) = takers.last().copied() else {
            if followers.is_empty() {
                self.done.push_back((op, OpOutcome::Stored));
                return Ok(());
            }
            return Err(PutError::Full);
        };
        let fsync = strictest(takers.iter().map(|name| self.of(name).fsync));
        for name in &takers {
            self.enlist((*name == last).then_some(op), name, items, fsync);
        }
        Ok(())
    }

    fn gone(&mut self, queue: Name, id: u64) {
        self.entries.push((self.of(queue).fsync, Entry::Gone(queue, id)));
    }

    /// Writes down that items are gone that were popped from a queue's head, the last with that id.
    fn gone_below(&mut self, queue: Name, last: u64) {
        let kept = self.ids_set_aside(queue);
        self.entries.push((self.of(queue).fsync, Entry::GoneBelow(queue, last + 1, kept)));
    }

    fn ids_set_aside(&self, queue: Name) -> BTreeSet<u64> {
        let open = self.open.iter().chain(self.handed.values());
        let open = open.filter(|open| open.queue == queue).map(|open| open.item.id);
        let moving = self.unsettled().filter_map(|entry| match entry {
            Entry::Put { from: Some((from, items)), .. } if *from == queue => Some(items),
            _ => None,
        });
        open.chain(moving.flatten().map(|item| item.id)).collect()
    }

    /// The same for so many of them: one alone is named by its id.
    fn dropped(&mut self, queue: Name, ids: &[u64]) {
        match *ids {
            [] => {}
            [id] => self.gone(queue, id),
            [.., last] => self.gone_below(queue, last),
        }
    }

    /// Drops or moves the expired items at a queue's head; how many.
    fn sweep(&mut self, queue: Name) -> u64 {
        let (bounds, now) = (self.of(queue), self.now);
        let max_age = bounds.max_age.map(|age| u64::try_from(age.as_millis()).unwrap());
        let has_expired = |item: &Item| {
            item.expires.is_some_and(|at| at <= now)
                || max_age.is_some_and(|max| now - item.added > max)
        };
        let mut expired = Vec::new();
        let line = self.ready.entry(queue).or_default();
        while let Some(head) = line.first_entry().filter(|head| has_expired(head.get())) {
            expired.push(head.remove());
        }
        let count = expired.len() as u64;
        match bounds.move_expired_to.as_ref().map(|to| named(to)).filter(|_| count > 0) {
            // They are set aside while it is looked whether there is room elsewhere.
            Some(to) if self.check_room(to, expired.len()).is_ok() => {
                let moved: Vec<_> = expired.iter().map(|item| (item.data.clone(), None)).collect();
                let fsync = strictest([bounds.fsync, self.of(to).fsync]);
                self.enlist(None, to, &moved, fsync);
                let Some((_, Entry::Put { from, .. })) = self.entries.last_mut() else {
                    unreachable!()
                };
                *from = Some((queue, expired));
            }
            // They would have moved one by one.
            Some(_) => expired.iter().for_each(|item| self.gone(queue, item.id)),
            None => {
                let ids: Vec<u64> = expired.iter().map(|item| item.id).collect();
                self.dropped(queue, &ids);
            }
        }
        count
    }

    /// Something is written again, for the sake of old segments.
    #[allow(dead_code, reason = "for the fuzzer's property")]
    pub(crate) fn write_again(&mut self, are_marks: bool) {
        let own = self.config.queues.values().map(|queue| queue.fsync);
        let fsync = strictest(own.chain([self.config.queue.fsync]));
        self.entries.push((fsync, if are_marks { Entry::Marks } else { Entry::Again }));
    }

    pub(crate) fn sweep_all(&mut self, queue: Name) -> u64 {
        let mut all = 0;
        loop {
            match self.sweep(queue) {
                0 => return all,
                dropped => all += dropped,
            }
        }
    }

    pub(crate) fn first_waiter(&self, queue: Name) -> Option<u64> {
        self.waiters.iter().find(|(_, waiter)| waiter.queue == queue).map(|(op, _)| *op)
    }

    fn open_until(&self, queue: Name) -> Option<u64> {
        let timeout = self.of(queue).open_timeout?;
        Some(self.now + u64::try_from(timeout.as_millis()).unwrap())
    }

    /// Whoever has waited longest is first.
    fn serve(&mut self, queue: Name) {
        while let Some(op) = self.first_waiter(queue) {
            self.sweep_all(queue);
            let until = self.open_until(queue);
            let Some(head) = self.ready.get_mut(queue).and_then(BTreeMap::first_entry) else {
                return;
            };
            let waiter = self.waiters.remove(&op).unwrap();
            self.done.push_back((op, OpOutcome::Item(head.get().data.clone().into())));
            if waiter.action != Action::Peek {
                let (conn, item) = (waiter.conn, head.remove());
                self.handed.insert(op, Open { conn, queue, item, until });
                if waiter.action == Action::Take {
                    self.handed_take.insert(op);
                }
            }
        }
    }

    fn put_back(&mut self, open: Open) {
        self.ready.entry(open.queue).or_default().insert(open.item.id, open.item);
        self.serve(open.queue);
    }

    fn take_open(&mut self, conn: u64, queue: Name) -> Option<Open> {
        let at = self.open.iter().position(|open| open.conn == conn && open.queue == queue)?;
        Some(self.open.remove(at))
    }

    pub(crate) fn open_reads(&self, conn: u64, queue: Name) -> usize {
        self.open.iter().filter(|open| open.conn == conn && open.queue == queue).count()
    }

    pub(crate) fn get(
        &mut self,
        op: u64,
        conn: u64,
        queue: Name,
        action: Action,
        wait: u64,
    ) -> Option<OpOutcome> {
        if action == Action::Abort {
            if let Some(open) = self.take_open(conn, queue) {
                self.put_back(open);
            }
            return Some(OpOutcome::Empty);
        }
        if matches!(action, Action::Close | Action::CloseOpen) {
            if let Some(open) = self.take_open(conn, queue) {
                self.gone(queue, open.item.id);
            }
            if action == Action::Close {
                return Some(OpOutcome::Empty);
            }
        }
        if !self.follow(queue) {
            return Some(OpOutcome::Error(ReadError::TooManyQueues));
        }
        let (bounds, open) = (self.of(queue), self.open_reads(conn, queue));
        let may = match action {
            Action::Take => open == 0,
            Action::Monitor if open >= bounds.max_monitored_reads => return Some(OpOutcome::Empty),
            Action::Peek | Action::Monitor => true,
            _ => open < bounds.max_open_reads,
        };
        if !may {
            return Some(OpOutcome::Error(ReadError::AlreadyOpen));
        }
        self.sweep_all(queue);
        let until = self.open_until(queue);
        if let Some(head) = self.ready.get_mut(queue).and_then(BTreeMap::first_entry) {
            let data = head.get().data.clone();
            if action != Action::Peek {
                let item = head.remove();
                if action == Action::Take {
                    self.gone(queue, item.id);
                } else {
                    self.open.push(Open { conn, queue, item, until });
                }
            }
            return Some(OpOutcome::Item(data.into()));
        }
        if wait == 0 {
            return Some(OpOutcome::Empty);
        }
        self.waiters.insert(op, Waiter { conn, queue, action, deadline: self.now + wait });
        None
    }

    pub(crate) fn collect(&mut self, op: u64) {
        if let Some(open) = self.handed.remove(&op) {
            if self.handed_take.remove(&op) {
                self.gone(open.queue, open.item.id);
            } else {
                self.open.push(open);
            }
        }
    }

    pub(crate) fn cancel(&mut self, op: u64) {
        self.waiters.remove(&op);
        self.handed_take.remove(&op);
        if let Some(open) = self.handed.remove(&op) {
            self.put_back(open);
        }
    }

    pub(crate) fn disconnect(&mut self, conn: u64) {
        while let Some(at) = self.open.iter().position(|open| open.conn == conn) {
            let open = self.open.remove(at);
            self.put_back(open);
        }
    }

    pub(crate) fn flush(&mut self, queue: Name) {
        if let Some((last, _)) = self.ready.remove(queue).and_then(|mut line| line.pop_last()) {
            let open = self.ids_set_aside(queue).last().copied();
            self.gone_below(queue, open.map_or(last, |open| open.max(last)));
        }
    }

    pub(crate) fn delete(&mut self, queue: Name) {
        self.flush(queue);
        if self.following.remove(queue) {
            self.entries.push((self.of(queue).fsync, Entry::Follows(queue, false)));
        }
    }

    pub(crate) fn time_out(&mut self) {
        let now = self.now;
        loop {
            let due = self.open.iter().enumerate().filter_map(|(at, open)| {
                Some((open.until.filter(|until| *until <= now)?, open.conn, open.item.id, at))
            });
            let Some((_, _, _, at)) = due.min() else { break };
            let open = self.open.remove(at);
            self.put_back(open);
        }
        let due = self.waiters.iter().filter(|(_, waiter)| waiter.deadline <= now);
        let mut due: Vec<(u64, u64)> = due.map(|(op, waiter)| (waiter.deadline, *op)).collect();
        due.sort_unstable();
        for (_, op) in due {
            self.waiters.remove(&op);
            self.done.push_back((op, OpOutcome::Empty));
        }
    }

    pub(crate) fn end_waits(&mut self) {
        for (op, _) in std::mem::take(&mut self.waiters) {
            self.done.push_back((op, OpOutcome::Empty));
        }
    }

    /// A batch that demands that was begun: it is all that waits, or what need not wait for a sync.
    pub(crate) fn begin_append(&mut self, fsync: Fsync) {
        let first_strict = self.entries.iter().position(|(fsync, _)| *fsync == Fsync::Always);
        // Nobody waits for a removal, and their order does not matter.
        let is_removal =
            |(_, entry): &(Fsync, Entry)| matches!(entry, Entry::Gone(..) | Entry::GoneBelow(..));
        let waits = first_strict
            .is_some_and(|first| self.is_joined || self.entries.iter().take(first).all(is_removal));
        assert!(fsync != Fsync::Always || waits, "a batch that need not wait for a sync does");
        let len = first_strict.filter(|_| fsync != Fsync::Always).unwrap_or(self.entries.len());
        let batch: Vec<(Fsync, Entry)> = self.entries.drain(..len).collect();
        assert_eq!(strictest(batch.iter().map(|(fsync, _)| *fsync)), fsync);
        self.in_flight = Some((fsync, batch.into_iter().map(|(_, entry)| entry).collect()));
        self.is_joined = false;
    }

    pub(crate) fn journaled(&mut self, safe: bool) {
        let Some((fsync, batch)) = self.in_flight.take() else { return };
        if safe {
            self.write(&batch);
        } else {
            let gone = |entry: &&Entry| matches!(entry, Entry::Gone(..) | Entry::GoneBelow(..));
            let gone = batch.iter().filter(gone);
            self.entries.extend(gone.map(|entry| (fsync, entry.clone())));
        }
        self.settling = batch.iter().cloned().collect();
        while let Some(entry) = self.settling.pop_front() {
            let Entry::Put { op, queue, items, from } = entry else { continue };
            if let Some((from, moved)) = from {
                if !safe {
                    let line = self.ready.entry(from).or_default();
                    line.extend(moved.into_iter().map(|item| (item.id, item)));
                }
                self.put_off.insert(from);
            }
            if !safe {
                self.done.extend(op.map(|op| (op, OpOutcome::NotJournaled)));
                continue;
            }
            let line = self.ready.entry(queue).or_default();
            line.extend(items.into_iter().map(|item| (item.id, item)));
            self.discard_old(queue);
            self.done.extend(op.map(|op| (op, OpOutcome::Stored)));
            self.serve(queue);
        }
        for entry in batch.iter().filter(|_| !safe) {
            match *entry {
                // What is true by now.
                Entry::Follows(name, _) => {
                    let follows = Entry::Follows(name, self.following.contains(name));
                    self.entries.push((self.of(name).fsync, follows));
                }
                Entry::Marks => self.write_again(true),
                _ => {}
            }
        }
        for queue in std::mem::take(&mut self.put_off) {
            self.sweep(queue);
            self.serve(queue);
        }
    }

    fn discard_old(&mut self, queue: Name) {
        let bounds = self.of(queue);
        let mut ids = Vec::new();
        while bounds.discard_old
            && (self.items(queue) + self.set_aside(queue)) as u64 > bounds.max_items
            && let Some((id, _)) = self.ready.get_mut(queue).and_then(BTreeMap::pop_first)
        {
            ids.push(id);
        }
        self.dropped(queue, &ids);
    }

    /// Whether the journal has all that was done.
    #[allow(dead_code, reason = "for the fuzzer's property")]
    pub(crate) fn is_written(&self) -> bool {
        self.unsettled().next().is_none()
    }

    /// Whether the time of any readable item has come.
    #[allow(dead_code, reason = "for the fuzzer's property")]
    pub(crate) fn has_expired(&self, queue: Name) -> bool {
        let max_age = self.of(queue).max_age.map(|age| u64::try_from(age.as_millis()).unwrap());
        self.ready.get(queue).into_iter().flat_map(BTreeMap::values).any(|item| {
            item.expires.is_some_and(|at| at <= self.now)
                || max_age.is_some_and(|max| self.now - item.added > max)
        })
    }

    /// The queues from which items move by the batch that is on its way.
    #[allow(dead_code, reason = "for the fuzzer's property")]
    pub(crate) fn moved_from(&self) -> BTreeSet<Name> {
        let in_flight = self.in_flight.iter().flat_map(|(_, batch)| batch);
        let from = in_flight.filter_map(|entry| match entry {
            Entry::Put { from: Some((from, _)), .. } => Some(*from),
            _ => None,
        });
        from.collect()
    }

    /// What a batch makes of what the journal holds.
    fn write(&mut self, batch: &[Entry]) {
        for entry in batch {
            match entry {
                Entry::Put { queue, items, from, .. } => {
                    let line = self.disk.entry(queue).or_default();
                    line.extend(items.iter().map(|item| (item.id, item.clone())));
                    for (from, item) in from
                        .iter()
                        .flat_map(|(from, items)| items.iter().map(move |item| (from, item)))
                    {
                        self.disk.entry(from).or_default().remove(&item.id);
                    }
                }
                Entry::Gone(queue, id) => {
                    self.disk.entry(queue).or_default().remove(id);
                }
                Entry::GoneBelow(queue, below, kept) => {
                    let line = self.disk.entry(queue).or_default();
                    line.retain(|id, _| id >= below || kept.contains(id));
                }
                Entry::Follows(name, true) => {
                    self.disk_following.insert(name);
                }
                Entry::Follows(name, false) => {
                    self.disk_following.remove(name);
                }
                Entry::Again | Entry::Marks => {}
            }
        }
    }

    /// The process is killed, with what was on its way written or not.
    pub(crate) fn crash(&mut self, is_written: bool) {
        if let Some((_, batch)) = self.in_flight.take().filter(|_| is_written) {
            self.write(&batch);
        }
        let mut fresh = Self::new(self.config.clone());
        (fresh.now, fresh.next_id) = (self.now, self.next_id);
        (fresh.ready, fresh.following) = (self.disk.clone(), self.disk_following.clone());
        (fresh.disk, fresh.disk_following) =
            (std::mem::take(&mut self.disk), std::mem::take(&mut self.disk_following));
        *self = fresh;
    }
}
