//! What every connection of one server shares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum;
use windhover_core::http::{HttpLimits, HttpSettings};
use windhover_core::memcache::Limits;
use windhover_core::tracking::{
    BatchRule, RecordKind, RedirectPolicy, TrackingLimits, TrustedProxies,
};
use windhover_core::{Counters, Timeouts};
use windhover_runtime::{ConnectionMemory, Peer, ProxyProtocol, ServerTls};

use crate::access_log::AccessLog;
use crate::admin::Figures;
use crate::backup::BackupStatus;
use crate::config::ReloadedConfig;
use crate::dead_letters::DeadLetters;
use crate::dedup::Dedup;
use crate::feed::Feed;
use crate::forward::ForwardServers;
use crate::listen::{AuthFile, TrustedProxy, is_trusted};
use crate::metrics::{Metrics, Sources};
use crate::runtime::Runtime;
use crate::status::StatusCell;
use crate::store::Store;
use crate::tokens::{TokenCounts, Tokens};
use crate::workers::Workers;

/// Most bytes that connections hold together, unless it is said otherwise.
const CONNECTION_MEMORY: usize = 256 * 1024 * 1024;

/// What every connection of one server shares.
#[derive(Debug)]
#[non_exhaustive]
pub struct App {
    /// The queues.
    pub store: Store,
    /// Where records go that are refused for good.
    pub dead_letters: DeadLetters,
    /// Which events were accepted already, if that is asked.
    pub dedup: Option<Arc<Dedup>>,
    /// How backups stand, if this server makes any.
    pub backup: Option<BackupStatus>,
    /// What each token may send.
    pub tokens: Arc<Tokens>,
    /// What became of the records of each token.
    pub token_counts: Arc<TokenCounts>,
    /// Records as they are accepted, for whoever looks on.
    pub feed: Feed,
    /// What those are shown who look at the status page.
    pub figures: Figures,
    /// The queue servers that records are sent on to.
    pub forward_servers: ForwardServers,
    /// The counters.
    pub metrics: Metrics,
    /// Where requests are taken note of, if that is asked.
    pub access_log: Option<AccessLog>,
    /// What the operator decided.
    pub settings: Settings,
    /// Of those what the tracker's connections share, as it was when the application was made.
    pub(crate) http: Arc<HttpSettings>,
    /// What its connections may hold together.
    pub connection_memory: ConnectionMemory,
    /// The certificate that its listeners show, if there is one.
    pub tls: Option<ServerTls>,
    /// Whose connections to the HTTP listener begin with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who may use the queue's listener; everybody if there is no file of them.
    pub users: Option<AuthFile>,
    /// The file of settings that is read again when it is asked for, if there is one.
    pub(crate) config: Option<ReloadedConfig>,
    /// The connections of the HTTP listener.
    pub http_connections: Arc<Counters>,
    /// The connections of the operators' listener.
    pub admin_connections: Arc<Counters>,
    /// The connections of the queue's listener.
    pub queue_connections: Arc<Counters>,
    /// What it serves, as its operator says.
    pub status: StatusCell,
    /// The end was asked for; everything is still served.
    pub draining: Arc<AtomicBool>,
    /// Random, new for every process: makes the ids of its events unique.
    pub seed: u64,
    /// What decodes large requests.
    pub(crate) workers: Workers,
}

impl App {
    /// An application on these queues.
    pub fn new(store: Store, settings: Settings, seed: u64) -> Self {
        let token_counts = Arc::<TokenCounts>::default();
        let sources = Sources::new(store.sync_seconds().clone(), Arc::clone(&token_counts));
        let metrics = Metrics::new(settings.max_queues, settings.runtime.to_string(), sources);
        let http = HttpSettings::new(&settings.http_limits, &settings.http_timeouts);
        Self {
            dead_letters: DeadLetters::new(store.clone(), metrics.dead_letters.clone()),
            store,
            dedup: None,
            backup: None,
            tokens: Arc::default(),
            token_counts,
            access_log: None,
            feed: Feed::default(),
            figures: Figures::default(),
            forward_servers: ForwardServers::default(),
            metrics,
            settings,
            http: Arc::new(http),
            connection_memory: ConnectionMemory::new(CONNECTION_MEMORY),
            tls: None,
            proxy_protocol: None,
            users: None,
            config: None,
            http_connections: Arc::default(),
            admin_connections: Arc::default(),
            queue_connections: Arc::default(),
            status: StatusCell::default(),
            draining: Arc::default(),
            seed,
            workers: Workers::new(seed),
        }
    }
}

/// What the reply to a read of a queue names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplyKeys {
    /// the queue, without the options that were asked for: as kestrel does
    #[default]
    Queue,
    /// the key as it was asked for, options and all: for clients of memcached that look for it
    Asked,
}

impl App {
    /// The queues that records go to, each once, those of tokens' own included.
    pub fn record_queues(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> =
            self.settings.record_queues().into_iter().map(<[u8]>::to_vec).collect();
        if let Some(policy) = self.tokens.policy() {
            let of_tokens: BTreeSet<&str> = policy.queues().collect();
            let others = of_tokens.into_iter().map(|name| name.as_bytes().to_vec());
            let others: Vec<Vec<u8>> = others.filter(|name| !names.contains(name)).collect();
            names.extend(others);
        }
        names
    }

    /// Whether so much waits for the journal that nothing further is read, or its operator wants nothing
    /// further.
    pub fn is_overloaded(&self) -> bool {
        self.store.backlog_bytes() > self.settings.overload_bytes
            || !self.status.get().allows_writes()
    }
}

/// What an operator decides about a server's connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// What connections are served on.
    pub runtime: Runtime,
    /// The queue that events go to; must be a name that
    /// [`check_name`](windhover_core::queue::check_name) takes.
    pub queue_name: Vec<u8>,
    /// The queue that updates of users' profiles go to.
    pub engage_queue: Vec<u8>,
    /// The queue that updates of groups' profiles go to.
    pub groups_queue: Vec<u8>,
    /// Most queues beside those: [`Config::max_queues`](windhover_core::queue::Config::max_queues).
    pub max_queues: u32,
    /// The bounds of HTTP peers.
    pub http_limits: HttpLimits,
    /// The bounds of events.
    pub tracking_limits: TrackingLimits,
    /// The bounds of queue clients.
    pub queue_limits: Limits,
    /// How long HTTP peers may take.
    pub http_timeouts: Timeouts,
    /// How long queue clients may take.
    pub queue_timeouts: Timeouts,
    /// Where `redirect=` may lead.
    pub redirects: RedirectPolicy,
    /// What one bad event means for the rest of its batch.
    pub batch_rule: BatchRule,
    /// The proxies in front of the tracker.
    pub proxies: TrustedProxies,
    /// Where those connect from; from other peers no header is believed. From anywhere if there are none.
    pub trusted_proxies: Arc<[TrustedProxy]>,
    /// What the reply to a read of a queue names.
    pub reply_keys: ReplyKeys,
    /// When more bytes than this wait for the journal, requests are answered 503 at once, and
    /// their bodies are not read.
    pub overload_bytes: u64,
    /// How long an event may wait for the journal before its sender is told that it is not
    /// accepted.
    pub answer_timeout: Duration,
}

impl Settings {
    /// The queue that records of a kind go to.
    pub fn queue_of(&self, kind: RecordKind) -> &[u8] {
        match kind {
            RecordKind::UserUpdate => &self.engage_queue,
            RecordKind::GroupUpdate => &self.groups_queue,
            _ => &self.queue_name,
        }
    }

    /// Whether a peer is believed about whom it forwards requests for.
    pub(crate) fn trusts(&self, peer: Peer) -> bool {
        self.trusted_proxies.is_empty() || is_trusted(&self.trusted_proxies, peer)
    }

    /// The proxies that are believed of the requests of a peer that is trusted, or not.
    pub(crate) fn proxies_behind(&self, is_trusted: bool) -> TrustedProxies {
        if is_trusted { self.proxies } else { TrustedProxies::default() }
    }

    /// The queues that records go to, each once.
    pub fn record_queues(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = Vec::new();
        for name in [&self.queue_name, &self.engage_queue, &self.groups_queue] {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        names
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut queue_timeouts = Timeouts::default();
        // Consumers may be quiet for long, but not for ever.
        queue_timeouts.idle = Duration::from_secs(3600);
        Self {
            runtime: Runtime::default(),
            queue_name: b"events".to_vec(),
            engage_queue: b"engage".to_vec(),
            groups_queue: b"groups".to_vec(),
            max_queues: 10_000,
            http_limits: HttpLimits::default(),
            tracking_limits: TrackingLimits::default(),
            queue_limits: Limits::default(),
            http_timeouts: Timeouts::default(),
            queue_timeouts,
            redirects: RedirectPolicy::deny(),
            batch_rule: BatchRule::default(),
            proxies: TrustedProxies::default(),
            trusted_proxies: Arc::default(),
            reply_keys: ReplyKeys::default(),
            overload_bytes: 32 * 1024 * 1024,
            answer_timeout: Duration::from_secs(5),
        }
    }
}
