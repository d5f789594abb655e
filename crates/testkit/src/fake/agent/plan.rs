//! What an operation on the fake agent comes to.

/// The fate of an operation, decided when it starts (and changed by [`super::FakeAgent::replan`]).
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many questions are answered `running` before the end; none means it runs for ever.
    pub(super) polls: Option<u32>,
    pub(super) end: End,
    /// Stored bytes of a backup.
    pub(super) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// Of a rehearsal; everything else is done.
    FailedCheck,
    Failed {
        code: String,
        message: String,
    },
    Lie(Lie),
}

/// Ways to say `done` that are not true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    NothingStored,
    ShorterThanClaimed,
    NoChecksum,
    Empty,
    NoMetadata,
}

impl Default for Plan {
    /// Done at the second question.
    fn default() -> Self {
        Self::done().after(1)
    }
}

impl Plan {
    /// Done at the first question.
    #[must_use]
    pub fn done() -> Self {
        Self { polls: Some(0), end: End::Done, size: 1000 }
    }

    /// Runs until it is replanned or cancelled.
    #[must_use]
    pub fn running() -> Self {
        Self { polls: None, ..Self::done() }
    }

    /// Failed at the first question with this code of the protocol.
    #[must_use]
    pub fn failed(code: &str, message: &str) -> Self {
        Self { end: End::Failed { code: code.into(), message: message.into() }, ..Self::done() }
    }

    /// A rehearsal is failed at the first question, with a report in which a check has failed.
    #[must_use]
    pub fn failed_check() -> Self {
        Self { end: End::FailedCheck, ..Self::done() }
    }

    /// Says `done`, and the store holds nothing.
    #[must_use]
    pub fn done_without_objects() -> Self {
        Self { end: End::Lie(Lie::NothingStored), ..Self::done() }
    }

    /// Says `done`, and the stored part is one byte shorter than claimed.
    #[must_use]
    pub fn done_with_short_object() -> Self {
        Self { end: End::Lie(Lie::ShorterThanClaimed), ..Self::done() }
    }

    /// Says `done` without a checksum.
    #[must_use]
    pub fn done_without_checksum() -> Self {
        Self { end: End::Lie(Lie::NoChecksum), ..Self::done() }
    }

    /// Says `done` with no parts at all.
    #[must_use]
    pub fn done_empty() -> Self {
        Self { end: End::Lie(Lie::Empty), ..Self::done() }
    }

    /// Says `done`, and the parts are there, but no `metadata.json`.
    #[must_use]
    pub fn done_without_metadata() -> Self {
        Self { end: End::Lie(Lie::NoMetadata), ..Self::done() }
    }

    /// Answers `running` to this many questions first.
    #[must_use]
    pub fn after(mut self, polls: u32) -> Self {
        self.polls = Some(polls);
        self
    }

    /// Stores this many bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    pub(super) fn lie(&self) -> Option<Lie> {
        match self.end {
            End::Lie(lie) => Some(lie),
            End::Done | End::FailedCheck | End::Failed { .. } => None,
        }
    }
}
