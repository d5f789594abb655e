//! A base backup's folder, into which segments go. Pure: what a stored segment and a mark make of the window.

use backup_protocol::{PitrWindow, PitrWindowState};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Base;
use crate::drivers::physical::segment_name;

/// More marks than a day has minutes wait only when nothing can be stored for long.
const MOST_MARKS: usize = 1500;

/// What was committed by `time` is in the segments up to `through`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) time: DateTime<Utc>,
    pub(super) through: u64,
}

/// A folder that takes segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) backup_id: String,
    pub(super) store: String,
    pub(super) object_prefix: String,
    pub(super) owner: String,
    /// The public key segments are encrypted to.
    pub(super) recipient: String,
    /// The next segment to store; all before it, from the first one on, are stored.
    pub(super) next: u64,
    /// The last one to store; none while no newer base takes over.
    pub(super) last: Option<u64>,
    /// The end of the base backup; none while it runs.
    pub(super) start_time: Option<DateTime<Utc>>,
    /// Everything up to here is stored.
    pub(super) reached: Option<Mark>,
    /// What will be reached with segments that are still to be stored.
    pub(super) marks: Vec<Mark>,
}

impl Target {
    /// The folder of a base backup that begins; `first` is the segment being written before it began.
    pub(super) fn begin(base: &Base<'_>, recipient: String, first: u64) -> Self {
        Self {
            backup_id: base.backup_id.to_owned(),
            store: base.store.to_owned(),
            object_prefix: base.object_prefix.to_owned(),
            owner: base.owner.to_owned(),
            recipient,
            next: first,
            last: None,
            start_time: None,
            reached: None,
            marks: Vec::new(),
        }
    }

    /// Remembers a mark; reached at once when its segments are stored.
    pub(super) fn mark(&mut self, mark: Mark) {
        // A later moment with the same segments makes the earlier one useless.
        self.marks.retain(|known| known.through < mark.through);
        if self.marks.len() < MOST_MARKS {
            self.marks.push(mark);
        }
        self.advance();
    }

    /// A segment is stored: the one that was next.
    pub(super) fn stored(&mut self) {
        self.next = self.next.saturating_add(1);
        self.advance();
    }

    /// Whether this segment is to be stored here.
    pub(super) fn wants(&self, number: u64) -> bool {
        number >= self.next && self.last.is_none_or(|last| number <= last)
    }

    /// Everything is stored that ever will be.
    pub(super) fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    fn advance(&mut self) {
        let next = self.next;
        let (reached, open): (Vec<Mark>, Vec<Mark>) =
            self.marks.drain(..).partition(|mark| mark.through < next);
        self.marks = open;
        self.reached = reached.into_iter().chain(self.reached.take()).max_by_key(|mark| mark.time);
    }

    /// The window as it is told; none before there is one.
    pub(super) fn window(
        &self,
        timeline: u32,
        segment_size: u64,
        state: PitrWindowState,
        reason: Option<String>,
    ) -> Option<PitrWindow> {
        let (start_time, reached) = (self.start_time?, self.reached.as_ref()?);
        Some(PitrWindow {
            backup_id: self.backup_id.clone(),
            start_time,
            end_time: reached.time.max(start_time),
            last_segment: segment_name(timeline, reached.through, segment_size),
            state,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn target(next: u64) -> Target {
        Target {
            backup_id: "b".into(),
            store: "main".into(),
            object_prefix: "p".into(),
            owner: "o".into(),
            recipient: "r".into(),
            next,
            last: None,
            start_time: Some(DateTime::UNIX_EPOCH),
            reached: None,
            marks: Vec::new(),
        }
    }

    fn mark(seconds: i64, through: u64) -> Mark {
        Mark { time: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds), through }
    }

    fn end(target: &Target) -> Option<i64> {
        target.reached.as_ref().map(|mark| mark.time.timestamp())
    }

    #[test]
    fn the_end_moves_only_with_stored_segments() {
        let mut target = target(5);
        target.mark(mark(10, 5));
        target.mark(mark(20, 6));
        assert_eq!(end(&target), None);
        target.stored();
        assert_eq!(end(&target), Some(10));
        target.stored();
        assert_eq!(end(&target), Some(20));
        target.mark(mark(30, 6));
        assert_eq!(end(&target), Some(30), "nothing was written since");
    }

    #[test]
    fn a_folder_takes_segments_up_to_the_one_where_the_next_base_took_over() {
        let mut target = target(5);
        target.last = Some(6);
        assert!(target.wants(6) && !target.wants(7) && !target.wants(4));
        target.stored();
        assert!(!target.is_complete());
        target.stored();
        assert!(target.is_complete());
    }

    #[test]
    fn marks_do_not_pile_up_while_the_server_is_idle() {
        let mut target = target(5);
        (0..10_000).for_each(|n| target.mark(mark(n, 5)));
        assert_eq!(target.marks.len(), 1);
        target.stored();
        assert_eq!(end(&target), Some(9_999));
    }
}
