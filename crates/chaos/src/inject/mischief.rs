//! From the schedule's words to those of the proxy.

use std::time::Duration;

use crate::proxy::{self, Rubbish};
use crate::schedule::{Fault, Kind, Parameter};

/// What a proxy does for this fault; none when it is nothing for a proxy.
pub(super) fn of(fault: &Fault) -> Option<proxy::Fault> {
    let held_back = match fault.parameter {
        Parameter::HeldBackMs(ms) => Duration::from_millis(ms),
        _ => Duration::from_secs(1),
    };
    let status = match fault.parameter {
        Parameter::Status(status) => status,
        _ => 500,
    };
    let rubbish = match fault.parameter {
        Parameter::Rubbish(0) => Rubbish::Junk,
        Parameter::Rubbish(1) => Rubbish::OtherShape,
        Parameter::Rubbish(2) => Rubbish::WrongId,
        _ => Rubbish::Html,
    };
    Some(match fault.kind {
        Kind::AgentRefuses => proxy::Fault::Refuse,
        Kind::AgentDropBefore | Kind::ApiDropBefore => proxy::Fault::DropBefore,
        Kind::AgentDropAfter | Kind::ApiDropAfter => proxy::Fault::DropAfter,
        Kind::AgentDuplicate | Kind::ApiDuplicate => proxy::Fault::Duplicate,
        Kind::AgentLateCopy => proxy::Fault::LateCopy(held_back),
        Kind::AgentDelay | Kind::ApiDelay => proxy::Fault::Delay(held_back),
        Kind::AgentHalfAnswer | Kind::ApiHalfAnswer => proxy::Fault::HalfAnswer,
        Kind::AgentRubbish => proxy::Fault::Rubbish(rubbish),
        Kind::AgentError | Kind::ApiError => proxy::Fault::Error(status),
        _ => return None,
    })
}
