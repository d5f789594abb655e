//! Why a provider refused or failed, told apart by what it said: words for people, advice, and whether another try can
//! help. The library gives a chain of errors with the answer's body in it; nothing of a request is ever shown, because an
//! address may carry a signature.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

/// What went wrong at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The object does not exist.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// The bucket or container does not exist.
    NoBucket,
    /// The bucket is in another region.
    WrongRegion(Option<String>),
    /// The provider does not know the key.
    UnknownKey,
    /// The signature does not fit the key.
    BadSignature,
    /// The clocks of the two machines differ too much.
    ClockSkew,
    /// A temporary key has expired.
    Expired,
    /// The key is good but may not do this; the provider's words.
    Denied(String),
    /// There are no credentials; the reason.
    NoCredentials(String),
    /// The object is protected against deletion: object lock, retention or legal hold.
    Locked,
    /// The host name is not known.
    UnknownHost,
    /// Nobody listens at the address.
    Refused,
    /// The server's certificate was issued by nobody we trust.
    UnknownAuthority,
    /// Another trouble with TLS.
    Tls(String),
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    Broken(String),
    /// The provider asks for patience or has a trouble of its own: status and code.
    Busy(String),
    /// The provider does not know the request.
    Unsupported(String),
    /// Any other refusal: status, code and words.
    Rejected(String),
    /// A directory of a local store is missing.
    NoDirectory,
    /// The operating system refuses the access.
    Forbidden,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The disk is full, or a quota is used up.
    DiskFull,
    /// Something else.
    Other(String),
}

/// The parts of a provider's answer.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    code: String,
    message: String,
    region: Option<String>,
}

impl Cause {
    /// Reads the cause from an error of the library.
    pub(crate) fn of(error: &object_store::Error) -> Self {
        use object_store::Error as Library;
        let chain = chain(error);
        if let Some(answer) = chain.iter().find_map(|error| Answer::read(&error.to_string())) {
            return Self::of_answer(&answer);
        }
        if let Some(transport) = chain.iter().find_map(|error| error.downcast_ref::<HttpError>()) {
            return Self::of_transport(transport, &chain);
        }
        if let Some(error) = chain.iter().find_map(|error| error.downcast_ref::<io::Error>()) {
            return Self::of_io(error);
        }
        match error {
            Library::NotFound { .. } => Self::NotFound,
            Library::AlreadyExists { .. } | Library::Precondition { .. } => Self::AlreadyExists,
            Library::NotSupported { .. } | Library::NotImplemented { .. } => {
                Self::Unsupported(innermost(&chain))
            }
            Library::PermissionDenied { .. } | Library::Unauthenticated { .. } => {
                Self::Denied(innermost(&chain))
            }
            _ => {
                let text = chain.iter().map(|error| error.to_string()).collect::<Vec<_>>().join(": ");
                match text.contains("redirect without LOCATION") {
                    true => Self::WrongRegion(None),
                    false => Self::Other(innermost(&chain)),
                }
            }
        }
    }

    /// Reads the cause from an error of the operating system.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Other(error.to_string()),
        }
    }

    fn of_answer(answer: &Answer) -> Self {
        let said = || answer.said();
        match answer.code.as_str() {
            "NoSuchBucket" | "ContainerNotFound" => return Self::NoBucket,
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
                return Self::WrongRegion(answer.region.clone());
            }
            "InvalidAccessKeyId" | "NotSignedUp" => return Self::UnknownKey,
            "SignatureDoesNotMatch" => return Self::BadSignature,
            "RequestTimeTooSkewed" => return Self::ClockSkew,
            "ExpiredToken" | "TokenRefreshRequired" => return Self::Expired,
            "InvalidToken" => return Self::UnknownKey,
            "AuthenticationFailed" if answer.message.contains("expired") => return Self::Expired,
            "AuthenticationFailed" => return Self::BadSignature,
            "AuthorizationFailure" if answer.message.contains("signature") => return Self::BadSignature,
            "BlobImmutableDueToPolicy" | "ObjectLocked" => return Self::Locked,
            // Two conditional writes at once: the other one may still fail.
            "ConditionalRequestConflict" | "OperationAborted" => return Self::Busy(said()),
            "RequestTimeout" => return Self::TimedOut,
            "NotImplemented" => return Self::Unsupported(said()),
            _ => {}
        }
        let words = answer.message.to_lowercase();
        if matches!(answer.status, 403 | 409)
            && ["object lock", "worm", "retention", "legal hold", "immutab"].iter().any(|w| words.contains(w))
        {
            return Self::Locked;
        }
        match answer.status {
            301 | 307 => Self::WrongRegion(answer.region.clone()),
            401 | 403 => Self::Denied(said()),
            404 => Self::NotFound,
            409 | 412 => Self::AlreadyExists,
            408 | 429 => Self::Busy(said()),
            501 => Self::Unsupported(said()),
            200..=299 | 500..=599 => Self::Busy(said()),
            _ => Self::Rejected(said()),
        }
    }

    fn of_transport(error: &HttpError, chain: &[&(dyn Error + 'static)]) -> Self {
        let words = chain.iter().map(|error| error.to_string()).collect::<Vec<_>>().join(": ");
        let has = |word: &str| words.contains(word);
        if has("dns error") || has("failed to lookup address") || has("No such host") {
            return Self::UnknownHost;
        }
        if has("UnknownIssuer")
            || has("unknown issuer")
            || has("self-signed")
            || has("certificate: BadSignature")
        {
            return Self::UnknownAuthority;
        }
        if has("certificate") || has("InvalidContentType") || has("tls") || has("TLS") {
            return Self::Tls(innermost(chain));
        }
        if has("Connection refused") {
            return Self::Refused;
        }
        match error.kind() {
            HttpErrorKind::Timeout => Self::TimedOut,
            _ => Self::Broken(innermost(chain)),
        }
    }

    /// Whether the same request may succeed soon although nobody repairs anything.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::TimedOut | Self::Broken(_) | Self::Refused | Self::UnknownHost)
    }

    /// What is wrong, as a clause.
    pub fn sentence(&self) -> String {
        match self {
            Self::NotFound => "it does not exist".to_owned(),
            Self::AlreadyExists => "it exists already".to_owned(),
            Self::NoBucket => "the bucket or container does not exist".to_owned(),
            Self::WrongRegion(Some(region)) => format!("the bucket is in another region: {region}"),
            Self::WrongRegion(None) => "the bucket is in another region".to_owned(),
            Self::UnknownKey => "the store does not know the access key".to_owned(),
            Self::BadSignature => "the signature is wrong: the key does not fit".to_owned(),
            Self::ClockSkew => "the clocks of this machine and of the store differ too much".to_owned(),
            Self::Expired => "the temporary credentials have expired".to_owned(),
            Self::Denied(said) => format!("access denied: {said}"),
            Self::NoCredentials(said) => format!("there are no credentials: {said}"),
            Self::Locked => {
                "the object is protected against deletion (object lock, retention or hold)".to_owned()
            }
            Self::UnknownHost => "the host name of the store is not known".to_owned(),
            Self::Refused => "the store refuses connections".to_owned(),
            Self::UnknownAuthority => {
                "the store's certificate was issued by an authority that is not trusted".to_owned()
            }
            Self::Tls(said) => format!("no secure connection to the store: {said}"),
            Self::TimedOut => "the store did not answer in time".to_owned(),
            Self::Broken(said) => format!("the connection to the store broke: {said}"),
            Self::Busy(said) => format!("the store is in trouble: {said}"),
            Self::Unsupported(said) => format!("the store does not know this request: {said}"),
            Self::Rejected(said) => format!("the store rejects the request: {said}"),
            Self::NoDirectory => "the directory does not exist".to_owned(),
            Self::Forbidden => "access denied by the operating system".to_owned(),
            Self::ReadOnly => "the file system is mounted read-only".to_owned(),
            Self::DiskFull => "the disk is full".to_owned(),
            Self::Other(said) => format!("the store failed: {said}"),
        }
    }
}

impl Answer {
    /// Reads what the library says of an answer that was no success.
    fn read(text: &str) -> Option<Self> {
        let failed = "Server returned non-2xx status code: ";
        let (status, body) = match text.strip_prefix(failed) {
            Some(rest) => (rest.get(..3)?.parse().ok()?, rest.split_once(": ").map_or("", |(_, body)| body)),
            None => (200, text.strip_prefix("Server returned error response: ")?),
        };
        let field = |name| element(body, name).or_else(|| json(body, name));
        Some(Self {
            status,
            code: field("Code").or_else(|| json(body, "error")).unwrap_or_default(),
            message: field("Message").or_else(|| json(body, "error_description")).unwrap_or_default(),
            region: element(body, "Region"),
        })
    }

    fn said(&self) -> String {
        let Self { status, code, message, .. } = self;
        let first = message.lines().next().unwrap_or_default();
        let first: String = first.chars().take(200).collect();
        match (code.is_empty(), first.is_empty()) {
            (true, _) => format!("status {status}"),
            (false, true) => format!("{code} (status {status})"),
            (false, false) => format!("{code} (status {status}): {first}"),
        }
    }
}

/// The text of an XML element.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text.trim().to_owned())
}

/// A text of a JSON object.
fn json(body: &str, name: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(body).ok()?;
    object.get(name)?.as_str().map(str::to_owned)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source()).collect()
}

fn innermost(chain: &[&(dyn Error + 'static)]) -> String {
    let text = chain.last().map(|error| error.to_string()).unwrap_or_default();
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(String);

    fn answer(status: &str, body: &str) -> Cause {
        let said = Said(format!("Server returned non-2xx status code: {status}: {body}"));
        Cause::of(&object_store::Error::Generic { store: "S3", source: Box::new(said) })
    }

    #[test]
    fn an_answer_is_told_apart_by_its_code() {
        let code = |code: &str| {
            format!("<Error><Code>{code}</Code><Message>no</Message><Region>eu</Region></Error>")
        };
        let cases = [
            ("404 Not Found", "NoSuchBucket", Cause::NoBucket),
            ("404 Not Found", "NoSuchKey", Cause::NotFound),
            ("403 Forbidden", "InvalidAccessKeyId", Cause::UnknownKey),
            ("403 Forbidden", "SignatureDoesNotMatch", Cause::BadSignature),
            ("403 Forbidden", "RequestTimeTooSkewed", Cause::ClockSkew),
            ("403 Forbidden", "AccessDenied", Cause::Denied("AccessDenied (status 403): no".to_owned())),
            ("400 Bad Request", "AuthorizationHeaderMalformed", Cause::WrongRegion(Some("eu".to_owned()))),
            ("409 Conflict", "BlobImmutableDueToPolicy", Cause::Locked),
            ("412 Precondition Failed", "PreconditionFailed", Cause::AlreadyExists),
        ];
        for (status, name, cause) in cases {
            let found = answer(status, &code(name));
            assert_eq!(found, cause);
            assert!(!found.is_passing(), "{found:?}");
        }
        for (status, name) in [
            ("503 Slow Down", "SlowDown"),
            ("500 Internal Server Error", "InternalError"),
            ("409 Conflict", "ConditionalRequestConflict"),
            ("400 Bad Request", "RequestTimeout"),
            ("429 Too Many Requests", "Busy"),
        ] {
            assert!(answer(status, &code(name)).is_passing(), "{name}");
        }
        assert!(!answer("501 Not Implemented", &code("NotImplemented")).is_passing());
        assert_eq!(answer("403 Forbidden", ""), Cause::Denied("status 403".to_owned()));
    }

    #[test]
    fn a_refusal_that_speaks_of_object_lock_is_no_mere_denial() {
        let body = "<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by \
                    object lock.</Message></Error>";
        assert_eq!(answer("403 Forbidden", body), Cause::Locked);
    }
}
