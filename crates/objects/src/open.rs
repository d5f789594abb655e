//! From a store's configuration to a connection of the library. Nothing is contacted here, except that a local directory
//! must exist. The library's own retries are off, see [`crate::Retry`].

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::{MicrosoftAzureBuilder, split_sas};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use secrecy::ExposeSecret;
use url::Url;

use crate::cause::Cause;
use crate::config::{AzureConfig, Connection, GcsConfig, S3Config, StoreConfig};
use crate::error::StoreError;

const CONNECT: Duration = Duration::from_secs(10);
/// Without a byte from the store. Sending a chunk counts as waiting for its answer, so chunks add what [`SLOWEST`] takes.
const SILENCE: Duration = Duration::from_secs(120);
/// Bytes per second of a network that is still of use.
const SLOWEST: u64 = 256 * 1024;
const WHOLE_REQUEST: Duration = Duration::from_secs(1800);
/// S3 and Google take no more pieces per object, Azure takes more.
const MOST_CHUNKS: u64 = 10_000;

/// A connection that is ready for use. Without `Debug`, because the library may show more than we want.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) inner: Arc<dyn ObjectStore>,
    /// Set for a local directory: its absolute path.
    pub(crate) directory: Option<Arc<FilePath>>,
    /// Set for a provider across the network.
    pub(crate) multipart: Option<Multipart>,
}

/// Uploads in pieces that can be sent again one by one.
#[derive(Clone)]
pub(crate) struct Multipart {
    pub(crate) inner: Arc<dyn MultipartStore>,
    prefix: Option<Path>,
    /// Most pieces of one object.
    pub(crate) most_chunks: u64,
}

impl Multipart {
    /// The object's path at the provider.
    pub(crate) fn full(&self, location: &Path) -> Path {
        match &self.prefix {
            Some(prefix) => prefix.parts().chain(location.parts()).collect(),
            None => location.clone(),
        }
    }
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    silence: Duration,
    whole_request: Duration,
}

impl Limits {
    fn of(largest: usize) -> Self {
        let seconds = u64::try_from(largest).unwrap_or(u64::MAX) / SLOWEST;
        let silence = SILENCE.saturating_add(Duration::from_secs(seconds));
        Self { silence, whole_request: WHOLE_REQUEST.max(silence) }
    }
}

/// Builds the connection, for requests of no more than `largest` bytes.
pub(crate) fn connect(name: &str, config: &StoreConfig, largest: usize) -> Result<Connected, StoreError> {
    let limits = Limits::of(largest);
    let built = match config {
        StoreConfig::Local { directory } => return local(name, directory),
        StoreConfig::S3(s3) => s3_builder(name, s3, limits)?.build().map(|s3| remote(s3, config)),
        StoreConfig::Azure(azure) => {
            azure_builder(name, azure, limits)?.build().map(|azure| remote(azure, config))
        }
        StoreConfig::Gcs(gcs) => gcs_builder(name, gcs, limits)?.build().map(|gcs| remote(gcs, config)),
    };
    let said =
        |error: &dyn std::fmt::Display| error.to_string().lines().next().unwrap_or_default().to_owned();
    // What the builder says may quote a key that it could not decode.
    let no_secret = |error: object_store::Error| match config {
        StoreConfig::Azure(azure) if azure.access_key.is_some() => {
            "the access key or an address cannot be used".to_owned()
        }
        _ => said(&error),
    };
    built.map_err(|error| {
        StoreError::because(name, "connect to", config.kind(), Cause::NoCredentials(no_secret(error)))
    })
}

fn local(name: &str, directory: &FilePath) -> Result<Connected, StoreError> {
    let shown = directory.display().to_string();
    let absolute: PathBuf = std::fs::canonicalize(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            StoreError::because(name, "open directory", &shown, Cause::NoDirectory)
        }
        _ => StoreError::from_io(name, "open directory", &shown, error),
    })?;
    // Power may fail after we reported success, so files and directories are synced before.
    let inner = LocalFileSystem::new_with_prefix(&absolute)
        .map_err(|e| StoreError::from_library(name, "open directory", &shown, e))?
        .with_fsync(true)
        .with_automatic_cleanup(true);
    Ok(Connected { inner: Arc::new(inner), directory: Some(Arc::from(absolute.as_path())), multipart: None })
}

fn remote<T: ObjectStore + MultipartStore>(provider: T, config: &StoreConfig) -> Connected {
    let provider = Arc::new(provider);
    let prefix = config.prefix().map(Path::from);
    let inner: Arc<dyn ObjectStore> = match &prefix {
        Some(prefix) => Arc::new(PrefixStore::new(Arc::clone(&provider), prefix.clone())),
        None => Arc::<T>::clone(&provider),
    };
    let multipart = Multipart { inner: provider, prefix, most_chunks: MOST_CHUNKS };
    Connected { inner, directory: None, multipart: Some(multipart) }
}

fn s3_builder(name: &str, config: &S3Config, limits: Limits) -> Result<AmazonS3Builder, StoreError> {
    // Without keys in the file it is done as Amazon's own tools do it: environment, web identity, container, instance.
    let builder = match &config.access_key_id {
        Some(id) => AmazonS3Builder::new().with_access_key_id(id),
        None => AmazonS3Builder::from_env(),
    };
    let mut builder = builder
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_allow_http(config.connection.allow_http)
        .with_checksum_algorithm(Checksum::SHA256)
        // One by one, a refusal says for each object why, and not all servers know the other way.
        .with_disable_bulk_delete(true)
        .with_retry(no_retries())
        .with_client_options(options(name, &config.connection, config.endpoint.as_deref(), limits)?);
    if let Some(secret) = &config.secret_access_key {
        builder = builder.with_secret_access_key(secret.expose_secret());
    }
    if let Some(token) = &config.session_token {
        builder = builder.with_token(token.expose_secret());
    }
    match &config.endpoint {
        Some(endpoint) if config.path_style => Ok(builder.with_endpoint(endpoint)),
        Some(endpoint) => Ok(builder.with_endpoint(with_bucket(endpoint, &config.bucket))),
        None => Ok(builder),
    }
}

/// The library wants the bucket in the host name already.
fn with_bucket(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{bucket}.{rest}"),
        None => endpoint.to_owned(),
    }
}

fn azure_builder(
    name: &str,
    config: &AzureConfig,
    limits: Limits,
) -> Result<MicrosoftAzureBuilder, StoreError> {
    let mut builder = match (&config.access_key, &config.sas_token) {
        (Some(key), _) => MicrosoftAzureBuilder::new().with_access_key(key.expose_secret()),
        (None, Some(token)) => {
            let unreadable = |_| {
                let cause = Cause::NoCredentials("sas_token is no shared access signature".to_owned());
                StoreError::because(name, "connect to", "azure", cause)
            };
            let pairs = split_sas(token.expose_secret()).map_err(unreadable)?;
            MicrosoftAzureBuilder::new().with_sas_authorization(pairs)
        }
        (None, None) => MicrosoftAzureBuilder::from_env(),
    };
    builder = builder
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_allow_http(config.connection.allow_http)
        .with_retry(no_retries())
        .with_client_options(options(name, &config.connection, config.endpoint.as_deref(), limits)?);
    Ok(match &config.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint.clone()),
        None => builder,
    })
}

fn gcs_builder(
    name: &str,
    config: &GcsConfig,
    limits: Limits,
) -> Result<GoogleCloudStorageBuilder, StoreError> {
    let mut builder = match &config.service_account_path {
        Some(path) => {
            let path = path.display().to_string();
            // Read here, because the library would report a missing file as something else.
            let key = std::fs::read_to_string(&path);
            let key = key.map_err(|e| StoreError::from_io(name, "read the service account", &path, e))?;
            GoogleCloudStorageBuilder::new().with_service_account_key(key)
        }
        None => GoogleCloudStorageBuilder::from_env(),
    };
    builder = builder.with_bucket_name(&config.bucket).with_retry(no_retries()).with_client_options(options(
        name,
        &config.connection,
        config.endpoint.as_deref(),
        limits,
    )?);
    Ok(match &config.endpoint {
        Some(endpoint) => builder.with_base_url(endpoint),
        None => builder,
    })
}

fn options(
    name: &str,
    connection: &Connection,
    endpoint: Option<&str>,
    limits: Limits,
) -> Result<ClientOptions, StoreError> {
    let mut options = ClientOptions::new()
        .with_allow_http(connection.allow_http)
        .with_connect_timeout(CONNECT)
        .with_read_timeout(limits.silence)
        .with_timeout(limits.whole_request);
    if let Some(path) = &connection.ca_path {
        let shown = path.display().to_string();
        let pem = std::fs::read(path);
        let pem = pem.map_err(|e| StoreError::from_io(name, "read the authorities in", &shown, e))?;
        let unusable =
            |said: String| StoreError::because(name, "read the authorities in", &shown, Cause::Tls(said));
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|e| unusable(e.to_string()))?;
        if authorities.is_empty() {
            return Err(unusable("the file holds no certificate".to_owned()));
        }
        options = options.with_no_system_certificates(true);
        options = authorities.into_iter().fold(options, ClientOptions::with_root_certificate);
    } else if endpoint.and_then(|e| Url::parse(e).ok()).is_some_and(|url| url.scheme() == "http") {
        // A machine without any authorities can still do without TLS.
        options = options.with_no_system_certificates(true);
    }
    Ok(options)
}

fn no_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_chunk_has_the_time_a_slow_network_needs() {
        let plain = Limits::of(0);
        assert_eq!(plain, Limits { silence: SILENCE, whole_request: WHOLE_REQUEST });
        let large = Limits::of(512 * 1024 * 1024);
        assert_eq!(large.silence, Duration::from_secs(120 + 2048));
        assert!(large.whole_request >= large.silence);
    }
}
