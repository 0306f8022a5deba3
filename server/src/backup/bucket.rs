//! A destination that is a bucket of an S3-compatible store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use super::destination::{Destination, DestinationError, Listed, PutResult};
use super::throttle::Throttle;

/// How long a store may be silent in the middle of a request, and take to be connected with, and a whole request may
/// take: each of them unless the environment says otherwise (`AWS_READ_TIMEOUT`, …).
const TIMEOUTS: [(ClientConfigKey, &str, &str); 3] = [
    (ClientConfigKey::ReadTimeout, "AWS_READ_TIMEOUT", "30 seconds"),
    (ClientConfigKey::ConnectTimeout, "AWS_CONNECT_TIMEOUT", "10 seconds"),
    (ClientConfigKey::Timeout, "AWS_TIMEOUT", "600 seconds"),
];
/// How often a request is tried again.
const RETRIES: usize = 4;
/// After that, none is.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// A bucket, or what is below a prefix in it.
#[derive(Debug)]
pub struct BucketDestination {
    store: AmazonS3,
    prefix: String,
    /// The client's. Its own thread waits for the sockets, so that it does not matter who calls.
    runtime: Runtime,
    throttle: Arc<Throttle>,
}

impl BucketDestination {
    /// That bucket. Credentials, the region and all else that AWS's own tools take from the environment are taken from
    /// there; `endpoint` is another store's URL.
    ///
    /// # Errors
    /// [`DestinationError`] when what the environment says makes no client.
    pub fn new(
        bucket: &str,
        prefix: &str,
        endpoint: Option<&str>,
        throttle: Arc<Throttle>,
    ) -> Result<Self, DestinationError> {
        // The one provider of the tree. It fails when there is one already, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error| DestinationError::failed(format!("use the bucket {bucket}"), error);
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRY_FOR,
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            // The store refuses what was changed on its way.
            .with_checksum_algorithm(Checksum::SHA256);
        for (key, name, value) in TIMEOUTS {
            if std::env::var_os(name).is_none() {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
        }
        if let Some(endpoint) = endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder.build().map_err(failed)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bucket")
            .enable_all()
            .build();
        let runtime =
            runtime.map_err(|error| DestinationError::failed("start a thread for it", error))?;
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self { store, prefix, runtime, throttle })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }
}

impl Destination for BucketDestination {
    fn list(&self, prefix: &str) -> Result<Vec<Listed>, DestinationError> {
        let failed = |error| DestinationError::failed(format!("list {prefix}"), error);
        let path = self.path(prefix);
        let found: Vec<_> =
            self.runtime.block_on(self.store.list(Some(&path)).try_collect()).map_err(failed)?;
        let own = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let listed = found.into_iter().filter_map(|object| {
            let name = object.location.as_ref().strip_prefix(&own)?.to_owned();
            Some(Listed { name, len: object.size })
        });
        let mut listed: Vec<Listed> = listed.collect();
        listed.sort_unstable();
        Ok(listed)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, DestinationError> {
        let path = self.path(name);
        let got = self.runtime.block_on(async {
            let found = self.store.get(&path).await?;
            found.bytes().await
        });
        match got {
            Ok(bytes) => Ok(bytes.into()),
            Err(Error::NotFound { .. }) => {
                Err(DestinationError::NotFound { name: name.to_owned() })
            }
            Err(error) => Err(DestinationError::failed(format!("get {name}"), error)),
        }
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutResult, DestinationError> {
        self.throttle.pass(bytes.len());
        let (path, options) = (self.path(name), PutOptions::from(PutMode::Create));
        let payload = PutPayload::from(bytes.to_vec());
        match self.runtime.block_on(self.store.put_opts(&path, payload, options)) {
            Ok(_) => Ok(PutResult::Stored),
            // Also when it is this very one: an answer that was lost has the client put it again.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(PutResult::Exists),
            Err(error) => Err(DestinationError::failed(format!("put {name}"), error)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), DestinationError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(DestinationError::failed(format!("delete {name}"), error)),
        }
    }
}
