//! Why a provider refused or failed, told apart by what it said: words for people, advice, and whether another try can
//! help. The library gives a chain of errors with the answer's body in it; nothing of a request is ever shown, because an
//! address may carry a signature.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};
use rustls::{AlertDescription, CertificateError, Error as TlsError};

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
            return Self::of_transport(transport);
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
        if matches!(answer.status, 403 | 409) && speaks_of_a_lock(&answer.message) {
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

    /// Reads what lies below the request itself, whose text holds the address; a bucket may be called anything.
    fn of_transport(error: &HttpError) -> Self {
        let below = below(error);
        let said = || innermost(&below);
        // A break is a break, whatever was spoken on the connection: rustls reports one as an end of the file.
        if below.iter().filter_map(|error| error.downcast_ref::<io::Error>()).any(is_break) {
            return Self::Broken(said());
        }
        if let Some(error) = below.iter().find_map(|error| error.downcast_ref::<TlsError>()) {
            return Self::of_tls(error);
        }
        let refuses = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if below.iter().filter_map(|error| error.downcast_ref::<io::Error>()).any(refuses) {
            return Self::Refused;
        }
        let is_unknown_host = |text: &str| {
            text.starts_with("dns error")
                || text.starts_with("failed to lookup address")
                || text == "No such host"
        };
        if below.iter().any(|error| is_unknown_host(&error.to_string())) {
            return Self::UnknownHost;
        }
        match error.kind() {
            HttpErrorKind::Timeout => Self::TimedOut,
            _ => Self::Broken(said()),
        }
    }

    fn of_tls(error: &TlsError) -> Self {
        use CertificateError::{BadSignature, UnknownIssuer};
        match error {
            TlsError::InvalidCertificate(UnknownIssuer | BadSignature) => Self::UnknownAuthority,
            // Bytes that were damaged on their way, or a server that has a trouble of its own.
            TlsError::DecryptError
            | TlsError::AlertReceived(
                AlertDescription::BadRecordMac
                | AlertDescription::DecryptError
                | AlertDescription::InternalError
                | AlertDescription::UserCanceled,
            ) => Self::Broken(cut(&error.to_string())),
            _ => Self::Tls(cut(&error.to_string())),
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

/// Whether a refusal gives a lock as its reason. Names of users and objects do not count: a role may be called
/// `retention-job`.
fn speaks_of_a_lock(message: &str) -> bool {
    let is_name = |word: &&str| word.contains([':', '/', '"']);
    let words: Vec<String> = message
        .split_whitespace()
        .filter(|word| !is_name(word))
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .collect();
    let text = format!(" {} ", words.join(" "));
    if text.contains(" not authorized to ") {
        return false;
    }
    [" object lock ", " object-lock ", " worm ", " worm-", " retention ", " legal hold ", " immutable "]
        .iter()
        .any(|lock| text.contains(lock))
}

/// Whether a connection that stood came to an end that nobody wanted.
fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected)
}

type Link<'a> = &'a (dyn Error + 'static);

fn chain<'a>(error: Link<'a>) -> Vec<Link<'a>> {
    std::iter::successors(Some(error), |error| next(*error)).collect()
}

fn below(error: &HttpError) -> Vec<Link<'_>> {
    error.source().map(chain).unwrap_or_default()
}

/// An I/O error says it has the source of the error in it, and leaves that one out.
fn next<'a>(error: Link<'a>) -> Option<Link<'a>> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| -> Link<'a> { inner }),
        None => error.source(),
    }
}

fn innermost(chain: &[Link<'_>]) -> String {
    cut(&chain.last().map(|error| error.to_string()).unwrap_or_default())
}

/// What fits into a log line and a table.
fn cut(text: &str) -> String {
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

    #[test]
    fn a_name_that_speaks_of_retention_is_no_lock() {
        let said = "User: arn:aws:iam::1:user/retention-job is not authorized to perform: s3:PutObject on resource: \
                    \"arn:aws:s3:::worm/retention\" because no policy allows it";
        let denied = |said: &str| {
            let body = format!("<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>");
            matches!(answer("403 Forbidden", &body), Cause::Denied(_))
        };
        assert!(denied(said));
        assert!(denied("The role legal-hold-retention may not do this in worm/objects."));
        assert!(!denied("Object 'a/b' is subject to bucket's retention policy and cannot be deleted"));
        assert!(!denied("Object, 'x' is WORM protected and cannot be overwritten"));
    }

    /// As the library reports what went wrong on the way to a bucket with an unlucky name.
    fn transport(kind: HttpErrorKind, error: impl Error + Send + Sync + 'static) -> Cause {
        #[derive(Debug, thiserror::Error)]
        #[error("Error performing GET https://host/tls-certificate-dns error/x: {source}")]
        struct Request {
            source: HttpError,
        }
        let source = Box::new(Request { source: HttpError::new(kind, error) });
        Cause::of(&object_store::Error::Generic { store: "S3", source })
    }

    /// As tokio-rustls and hyper-rustls wrap what rustls says.
    fn wrapped(error: TlsError) -> io::Error {
        io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn a_connection_that_breaks_is_tried_again_whatever_its_words_are() {
        let end = |text: &str| io::Error::new(io::ErrorKind::UnexpectedEof, text);
        for error in [
            end("peer closed connection without sending TLS close_notify"),
            io::Error::other(end("tls handshake eof")),
            io::Error::other(io::Error::from(io::ErrorKind::ConnectionReset)),
            wrapped(TlsError::AlertReceived(AlertDescription::InternalError)),
            io::Error::other("something with a certificate"),
        ] {
            let cause = transport(HttpErrorKind::Connect, error);
            assert!(matches!(cause, Cause::Broken(_)) && cause.is_passing(), "{cause:?}");
        }
        let late = io::Error::other("operation timed out");
        assert_eq!(transport(HttpErrorKind::Timeout, late), Cause::TimedOut);
        let refused = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(transport(HttpErrorKind::Connect, refused), Cause::Refused);
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(transport(HttpErrorKind::Connect, lookup), Cause::UnknownHost);
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_final() {
        let certificate = |error| wrapped(TlsError::InvalidCertificate(error));
        let unknown = transport(HttpErrorKind::Connect, certificate(CertificateError::UnknownIssuer));
        assert_eq!(unknown, Cause::UnknownAuthority);
        for error in [
            certificate(CertificateError::Expired),
            wrapped(TlsError::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
        ] {
            let cause = transport(HttpErrorKind::Connect, error);
            assert!(matches!(cause, Cause::Tls(_)) && !cause.is_passing(), "{cause:?}");
        }
    }
}
