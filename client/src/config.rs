//! A client's options as they stand in a configuration file.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use windhover_core::client::ring::{HashTag, KeyHash, Naming};
use windhover_core::client::{
    Backoff, ClusterOptions, RetryLimit, Rotation, Server, ServerSelection,
};

use crate::{Builder, Client, Compression, CompressionFlags, MetaCommands};

/// All that there is to choose of a client, for files and environments: the feature `serde`.
///
/// What is left out is as with [`Client::builder`], or [`Client::queue_builder`] where `kind` says so. A name
/// that is not known is an error, so that a slip of the pen does not become a default. Times are written as
/// `250ms`, `1s`, `5m`, `1h 30m`; `off` where there may be none. Sizes are bytes.
///
/// | name | what | default |
/// |---|---|---|
/// | `kind` | `cache`, `queue` | `cache` |
/// | `servers` | addresses, or tables of `address`, `name`, `weight` | none: [`build`](Builder::build) refuses that |
/// | `timeout` | [`Builder::timeout`] | `1s` |
/// | `connect_timeout`, `attempt_timeout`, `slow` | as in [`ClusterOptions`] | `500ms`, `250ms`, `50ms` |
/// | `stall_timeout`, `write_timeout`, `idle_timeout` | [`ClientTimeouts`](windhover_core::memcache::ClientTimeouts) | `2s`, `2s`, `5m` |
/// | `attempts`, `connections`, `opened_in_advance`, `exclusive`, `waiting` | as in [`ClusterOptions`] | 3, 1, 0, 64, 65536 |
/// | `hedge`, `max_age` | as in [`ClusterOptions`] | `off`, `off` |
/// | `retries` | `percent`, `per_second` | 20, 10 |
/// | `health` | `failures`, `backoff`, `longest_backoff`, `keep_last` | 3, `100ms`, `5s`, `false` (queues: `true`) |
/// | `selection` | `ketama`, `rendezvous` | `ketama` |
/// | `ketama` | `naming` (`libmemcached`, `twemproxy-address`, `as-is`), `hash` (`md5`, `fnv1a-64`), `tag` (two characters) | `libmemcached`, `md5`, none |
/// | `rotation` | `round-robin`, `random` | `round-robin` |
/// | `key_prefix` | [`Builder::key_prefix`] | none |
/// | `credentials` | `user`, `password` | none |
/// | `compression` | `none`, `read-only`, `zlib`, `zstd` | `none` |
/// | `compress_from` | the shortest value that is compressed | 1024 |
/// | `compression_flags` | `zlib`, `zstd`: the bits | 8, 1048576 |
/// | `largest_decompressed` | [`Builder::largest_decompressed`] | 256 MiB |
/// | `meta` | `detect`, `always`, `never` | `detect` |
/// | `limits` | `key`, `value`, `line`, `get_line`, `pipeline` ([`Limits`](windhover_core::memcache::Limits)) | memcached's |
/// | `tls` (feature `tls`) | `authorities`, `certificate`, `key`: paths of PEM; `server_name` | none |
///
/// ```
/// # #[cfg(feature = "serde")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use windhover_client::ClientConfig;
///
/// let config: ClientConfig = toml::from_str(
///     r#"
///     servers = ["10.0.0.1", { address = "10.0.0.2:11300", weight = 2 }]
///     timeout = "250ms"
///     key_prefix = "shop:"
///
///     [health]
///     failures = 5
///     backoff = "200ms"
///     "#,
/// )?;
/// let (client, driver) = config.builder()?.build()?;
/// assert_eq!(client.servers().len(), 2);
/// # drop(driver);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "serde"))]
/// # fn main() {}
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    kind: Kind,
    servers: Vec<ServerConfig>,
    timeout: Option<Time>,
    connect_timeout: Option<Time>,
    attempt_timeout: Option<Time>,
    slow: Option<Time>,
    stall_timeout: Option<Time>,
    write_timeout: Option<Time>,
    idle_timeout: Option<Time>,
    attempts: Option<u32>,
    connections: Option<usize>,
    opened_in_advance: Option<usize>,
    exclusive: Option<usize>,
    waiting: Option<usize>,
    hedge: Option<TimeOrOff>,
    max_age: Option<TimeOrOff>,
    retries: RetryConfig,
    health: HealthConfig,
    selection: Option<SelectionConfig>,
    ketama: Option<KetamaConfig>,
    rotation: Option<RotationConfig>,
    key_prefix: Option<String>,
    credentials: Option<CredentialsConfig>,
    compression: CompressionConfig,
    compress_from: Option<usize>,
    compression_flags: CompressionFlagsConfig,
    largest_decompressed: Option<usize>,
    meta: MetaConfig,
    limits: LimitsConfig,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

/// A time in words.
#[derive(Clone, Copy)]
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|why| {
            de::Error::custom(format_args!("`{text}` is no time such as `250ms` or `1s`: {why}"))
        })
    }
}

/// A time in words, or `off`.
#[derive(Clone, Copy)]
struct TimeOrOff(Option<Duration>);

impl<'de> Deserialize<'de> for TimeOrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        let time = Time::deserialize(de::value::StringDeserializer::new(text))?;
        Ok(Self(Some(time.0)))
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Cache,
    Queue,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected an address, or a table of `address`, `name`, `weight`")]
enum ServerConfig {
    Address(String),
    Whole(WholeServer),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeServer {
    address: String,
    name: Option<String>,
    weight: Option<u32>,
}

impl ServerConfig {
    fn server(&self) -> Server {
        match self {
            Self::Address(address) => Server::new(address),
            Self::Whole(WholeServer { address, name, weight }) => {
                let server = Server::new(address).weight(weight.unwrap_or(1));
                match name {
                    Some(name) => server.named(name),
                    None => server,
                }
            }
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RetryConfig {
    percent: Option<u32>,
    per_second: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HealthConfig {
    failures: Option<u32>,
    backoff: Option<Time>,
    longest_backoff: Option<Time>,
    keep_last: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SelectionConfig {
    Ketama,
    Rendezvous,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KetamaConfig {
    naming: Option<NamingConfig>,
    hash: Option<HashConfig>,
    tag: Option<Tag>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NamingConfig {
    Libmemcached,
    TwemproxyAddress,
    AsIs,
}

#[derive(Clone, Copy, Deserialize)]
enum HashConfig {
    #[serde(rename = "md5")]
    Md5,
    #[serde(rename = "fnv1a-64")]
    Fnv1a64,
}

/// The two characters around the part of a key that counts.
#[derive(Clone, Copy)]
struct Tag(HashTag);

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match *text.as_bytes() {
            [open, close] => Ok(Self(HashTag { open, close })),
            _ => Err(de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"two characters, such as `{}`",
            )),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RotationConfig {
    RoundRobin,
    Random,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsConfig {
    user: String,
    password: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CompressionConfig {
    #[default]
    None,
    ReadOnly,
    Zlib,
    Zstd,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CompressionFlagsConfig {
    zlib: Option<u32>,
    zstd: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MetaConfig {
    #[default]
    Detect,
    Always,
    Never,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsConfig {
    key: Option<usize>,
    value: Option<usize>,
    line: Option<usize>,
    get_line: Option<usize>,
    pipeline: Option<usize>,
}

#[cfg(feature = "tls")]
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsConfig {
    authorities: std::path::PathBuf,
    certificate: Option<std::path::PathBuf>,
    key: Option<std::path::PathBuf>,
    server_name: Option<String>,
}

/// Why a configuration that can be read cannot be used.
///
/// ```
/// use windhover_client::{ClientConfig, ConfigError};
///
/// let config: ClientConfig = toml::from_str(
///     r#"
///     selection = "rendezvous"
///     ketama = { hash = "md5" }
///     "#,
/// )?;
/// assert!(matches!(config.builder(), Err(ConfigError::NotKetama)));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// This build cannot compress so.
    NotBuiltIn {
        /// The cargo feature that can.
        feature: &'static str,
    },
    /// `ketama` is there, and keys are placed otherwise.
    NotKetama,
    /// A file cannot be read.
    #[cfg(feature = "tls")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate without its key, or a key without its certificate.
    #[cfg(feature = "tls")]
    HalfCertificate,
    /// TLS cannot be used as asked.
    #[cfg(feature = "tls")]
    Tls(crate::TlsError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuiltIn { feature } => {
                write!(f, "values cannot be compressed so: build with the feature `{feature}`")
            }
            Self::NotKetama => {
                f.write_str("`ketama` is for `selection = \"ketama\"`: leave one of them out")
            }
            #[cfg(feature = "tls")]
            Self::File { path, .. } => write!(f, "cannot read {}", path.display()),
            #[cfg(feature = "tls")]
            Self::HalfCertificate => {
                f.write_str("`certificate` and `key` belong together: name both or none")
            }
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            #[cfg(feature = "tls")]
            Self::File { source, .. } => Some(source),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.source(),
            _ => None,
        }
    }
}

/// Puts what was given in the place of a default.
fn put<T>(place: &mut T, given: Option<impl Into<T>>) {
    if let Some(given) = given {
        *place = given.into();
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl From<TimeOrOff> for Option<Duration> {
    fn from(time: TimeOrOff) -> Self {
        time.0
    }
}

impl ClientConfig {
    /// A builder with these options, for what a file cannot say, and to be built. The files of `tls` are read
    /// now.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn builder(&self) -> Result<Builder, ConfigError> {
        let selection = self.selection()?;
        let builder = match self.kind {
            Kind::Cache => Client::builder(),
            Kind::Queue => Client::queue_builder(),
        };
        let mut builder = builder
            .servers(self.servers.iter().map(ServerConfig::server))
            .options(|options| self.change(options, selection))
            .meta(match self.meta {
                MetaConfig::Detect => MetaCommands::Detect,
                MetaConfig::Always => MetaCommands::Always,
                MetaConfig::Never => MetaCommands::Never,
            })
            .compression(self.compression()?);
        let mut flags = CompressionFlags::default();
        put(&mut flags.zlib, self.compression_flags.zlib);
        put(&mut flags.zstd, self.compression_flags.zstd);
        builder = builder.compression_flags(flags);
        if let Some(Time(timeout)) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(prefix) = &self.key_prefix {
            builder = builder.key_prefix(prefix);
        }
        if let Some(CredentialsConfig { user, password }) = &self.credentials {
            builder = builder.credentials(user, password);
        }
        if let Some(bytes) = self.largest_decompressed {
            builder = builder.largest_decompressed(bytes);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.tls()?);
        }
        Ok(builder)
    }

    fn change(&self, options: &mut ClusterOptions, selection: Option<ServerSelection>) {
        put(&mut options.connect_timeout, self.connect_timeout);
        put(&mut options.attempt_timeout, self.attempt_timeout);
        put(&mut options.slow, self.slow);
        put(&mut options.timeouts.stall, self.stall_timeout);
        put(&mut options.timeouts.write, self.write_timeout);
        put(&mut options.timeouts.idle, self.idle_timeout);
        put(&mut options.attempts, self.attempts);
        put(&mut options.connections, self.connections);
        put(&mut options.opened_in_advance, self.opened_in_advance);
        put(&mut options.exclusive, self.exclusive);
        put(&mut options.waiting, self.waiting);
        put(&mut options.hedge, self.hedge);
        put(&mut options.max_age, self.max_age);
        let RetryConfig { percent, per_second } = self.retries;
        let RetryLimit { percent: usual, per_second: usually, .. } = options.retries;
        options.retries = RetryLimit::new(percent.unwrap_or(usual), per_second.unwrap_or(usually));
        let HealthConfig { failures, backoff, longest_backoff, keep_last } = self.health;
        put(&mut options.health.failures, failures);
        put(&mut options.health.keep_last, keep_last);
        let mut usual = Backoff::default();
        put(&mut usual.first, backoff);
        put(&mut usual.most, longest_backoff);
        options.health.backoff = usual;
        put(&mut options.selection, selection);
        let rotation = self.rotation.map(|rotation| match rotation {
            RotationConfig::RoundRobin => Rotation::RoundRobin,
            RotationConfig::Random => Rotation::Random,
        });
        put(&mut options.rotation, rotation);
        let LimitsConfig { key, value, line, get_line, pipeline } = self.limits;
        put(&mut options.limits.key, key);
        put(&mut options.limits.value, value);
        put(&mut options.limits.line, line);
        put(&mut options.limits.get_line, get_line);
        put(&mut options.limits.pipeline, pipeline);
    }

    fn selection(&self) -> Result<Option<ServerSelection>, ConfigError> {
        match (self.selection, self.ketama) {
            (Some(SelectionConfig::Rendezvous), Some(_)) => Err(ConfigError::NotKetama),
            (Some(SelectionConfig::Rendezvous), None) => Ok(Some(ServerSelection::Rendezvous)),
            (_, None) => Ok(None),
            (_, Some(KetamaConfig { naming, hash, tag })) => {
                let naming = match naming {
                    None | Some(NamingConfig::Libmemcached) => Naming::Libmemcached,
                    Some(NamingConfig::TwemproxyAddress) => Naming::TwemproxyAddress,
                    Some(NamingConfig::AsIs) => Naming::AsIs,
                };
                let hash = match hash {
                    None | Some(HashConfig::Md5) => KeyHash::Md5,
                    Some(HashConfig::Fnv1a64) => KeyHash::Fnv1a64,
                };
                let tag = tag.map(|Tag(tag)| tag);
                Ok(Some(ServerSelection::Ketama { naming, hash, tag }))
            }
        }
    }

    #[cfg_attr(
        all(feature = "zlib", feature = "zstd"),
        expect(clippy::unnecessary_wraps, reason = "it fails without one of the features")
    )]
    fn compression(&self) -> Result<Compression, ConfigError> {
        #[cfg(any(feature = "zlib", feature = "zstd"))]
        let from = self.compress_from.unwrap_or(1024);
        match self.compression {
            CompressionConfig::None => Ok(Compression::None),
            CompressionConfig::ReadOnly => Ok(Compression::ReadOnly),
            #[cfg(feature = "zlib")]
            CompressionConfig::Zlib => Ok(Compression::Zlib { from }),
            #[cfg(not(feature = "zlib"))]
            CompressionConfig::Zlib => Err(ConfigError::NotBuiltIn { feature: "zlib" }),
            #[cfg(feature = "zstd")]
            CompressionConfig::Zstd => Ok(Compression::Zstd { from }),
            #[cfg(not(feature = "zstd"))]
            CompressionConfig::Zstd => Err(ConfigError::NotBuiltIn { feature: "zstd" }),
        }
    }
}

#[cfg(feature = "tls")]
impl TlsConfig {
    fn tls(&self) -> Result<crate::Tls, ConfigError> {
        let read = |path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|source| ConfigError::File { path: path.clone(), source })
        };
        let authorities = read(&self.authorities)?;
        let tls = match (&self.certificate, &self.key) {
            (None, None) => crate::Tls::trusting(&authorities),
            (Some(chain), Some(key)) => {
                crate::Tls::trusting_as(&authorities, &read(chain)?, &read(key)?)
            }
            _ => return Err(ConfigError::HalfCertificate),
        };
        let tls = tls.map_err(ConfigError::Tls)?;
        match &self.server_name {
            Some(name) => tls.server_name(name).map_err(ConfigError::Tls),
            None => Ok(tls),
        }
    }
}

impl fmt::Debug for ClientConfig {
    /// Passwords are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<Server> = self.servers.iter().map(ServerConfig::server).collect();
        f.debug_struct("ClientConfig").field("servers", &servers).finish_non_exhaustive()
    }
}
