//! The words for what can happen to a request, and for what has happened.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is done to a request or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens, connections that are open are cut. Knows no requests, so that it lasts until healed
    /// whatever [`Times`] says.
    Refuse,
    /// The connection is cut after the request was read; the target hears nothing.
    DropBefore,
    /// The target carries the request out; the connection is cut instead of the answer.
    DropAfter,
    /// The target gets the request twice, one after the other; the client gets the second answer.
    Duplicate,
    /// The client gets the first answer; a copy of the request reaches the target this much later.
    LateCopy(Duration),
    /// The request is held back this long before it is forwarded, also when the client has given up by then.
    Delay(Duration),
    /// The target carries the request out; half of the answer's body is sent, then the connection is cut.
    /// An answer without a body is lost whole.
    HalfAnswer,
    /// The target carries the request out; the client gets nonsense instead of the answer.
    Rubbish(Rubbish),
    /// The client gets this status with a short text; the target hears nothing.
    Error(u16),
}

/// Sorts of nonsense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rubbish {
    /// 200 and a body that is not JSON.
    Junk,
    /// 200 and JSON of another shape.
    OtherShape,
    /// The target's own answer with another `id` in it ([`Rubbish::OtherShape`] where it has none).
    WrongId,
    /// 502 and a page of HTML, as a load balancer would say.
    Html,
}

/// How long an injected fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// For this many requests.
    Next(u32),
    /// For every request until [`super::FaultProxy::heal`].
    UntilHealed,
}

impl Fault {
    /// Its name in [`Counts`], logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::DropBefore => "drop before",
            Self::DropAfter => "drop after",
            Self::Duplicate => "duplicate",
            Self::LateCopy(_) => "late copy",
            Self::Delay(_) => "delay",
            Self::HalfAnswer => "half answer",
            Self::Rubbish(_) => "rubbish",
            Self::Error(_) => "error",
        }
    }
}

/// What a proxy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests read in full.
    pub received: u64,
    /// Requests the target was given, copies included.
    pub forwarded: u64,
    /// Requests the target did not answer.
    pub unanswered: u64,
    /// How often each fault, by [`Fault::name`], was done to a request; [`Fault::Refuse`]: how often it was injected.
    pub faults: BTreeMap<&'static str, u64>,
}

/// A request that was sent twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
}

impl Copied {
    /// The last piece of the path: in the agents' protocol, the operation.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}
