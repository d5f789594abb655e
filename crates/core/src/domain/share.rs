//! How much of a worker group's slots one broker, or one agent, may hold at once: the decision. Pure; times are told as
//! durations since some beginning. Who keeps the lines and asks is `crates/core/src/shares.rs`.
//!
//! As long as answers come, nobody is held up. Who has filled its share with calls that hang is *suspect*: from then on it
//! gets no more than its share, until its answers come again. A few slow answers among hundreds are no reason: their jobs
//! step aside, and many may be under way at once where many are asked.

use std::collections::BTreeMap;
use std::time::Duration;

/// A call that has had no answer for so long is slow.
pub const SLOW: Duration = Duration::from_secs(1);
/// Without any news, suspicion ends after so long.
const SUSPICION: Duration = Duration::from_secs(600);
/// Once an answer came in time and nothing hangs, suspicion ends after so long.
const RECOVERY: Duration = Duration::from_secs(10);
/// What is sent away comes back after so long at least, and at most.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The calls of one broker, or one agent, that are under way in a worker group.
#[derive(Debug, Default)]
pub struct Line {
    /// By the number of the call, which grows.
    calls: BTreeMap<u64, Call>,
    /// How many were answered in time.
    answered: u64,
    suspect_until: Option<Duration>,
    /// With one slot, a share of it is a share of its time.
    rests_until: Option<Duration>,
    /// When the last of those that were sent away is to come back.
    next_at: Duration,
    /// How long the last slow call took.
    hold: Duration,
}

#[derive(Debug)]
struct Call {
    since: Duration,
    /// [`Line::answered`] when it began.
    answered_before: u64,
}

impl Line {
    /// Whether a call may begin now; else how long whoever wanted it should stay away. `most`: the share.
    ///
    /// # Errors
    /// The wait. Those that are sent away come back one after the other, as slots of the share are likely to fall free.
    pub fn admit(&mut self, most: usize, now: Duration) -> Result<(), Duration> {
        if self.hangs(most, now) {
            self.suspect_until = Some(now.saturating_add(SUSPICION));
        }
        let has_room = !self.is_suspect(now) || self.calls.len() < most;
        if has_room && self.rests_until.is_none_or(|until| until <= now) {
            return Ok(());
        }
        let oldest = self.calls.values().map(|call| now.saturating_sub(call.since)).max().unwrap_or_default();
        let hold = self.hold.max(oldest).max(SLOW);
        let share = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        self.next_at = self.next_at.max(now).saturating_add(hold / share);
        let wait = self.next_at.saturating_sub(now).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.next_at = self.next_at.min(now.saturating_add(LONGEST_WAIT));
        Err(wait)
    }

    /// Remembers a call that begins.
    pub fn begin(&mut self, call: u64, now: Duration) {
        self.calls.insert(call, Call { since: now, answered_before: self.answered });
    }

    /// Forgets a call that has ended, and remembers what it says of the others. `slots`: all of the group.
    pub fn end(&mut self, call: u64, most: usize, slots: usize, now: Duration) {
        let hung = self.hangs(most, now);
        let Some(Call { since, .. }) = self.calls.remove(&call) else { return };
        let took = now.saturating_sub(since);
        if took < SLOW {
            self.answered = self.answered.saturating_add(1);
            if self.slow(now).next().is_none() {
                let recovered = now.saturating_add(RECOVERY);
                self.suspect_until = self.suspect_until.map(|until| until.min(recovered));
                self.next_at = self.next_at.min(recovered);
            }
            return;
        }
        self.hold = took;
        if hung {
            self.suspect_until = Some(now.saturating_add(SUSPICION));
            if most >= slots {
                self.rests_until = Some(now.saturating_add(took));
            }
        }
    }

    /// Nothing of it needs to be remembered.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.calls.is_empty() && !self.is_suspect(now) && self.rests_until.is_none_or(|until| until <= now)
    }

    fn is_suspect(&self, now: Duration) -> bool {
        self.suspect_until.is_some_and(|until| until > now)
    }

    /// Whether its slow calls fill the share. To become suspect by that, it must have answered fewer in time since the
    /// first of the newest that do: it takes no more than chance for a few of thousands to be slow at the same moment.
    fn hangs(&self, most: usize, now: Duration) -> bool {
        let Some(first) = self.slow(now).nth(most.saturating_sub(1)) else { return false };
        let answered = self.answered.saturating_sub(first.answered_before);
        self.is_suspect(now) || usize::try_from(answered).is_ok_and(|answered| answered < most.max(1))
    }

    /// The newest first.
    fn slow(&self, now: Duration) -> impl Iterator<Item = &Call> {
        self.calls.values().rev().filter(move |call| now.saturating_sub(call.since) >= SLOW)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn who_answers_in_time_is_never_sent_away() {
        let mut line = Line::default();
        for call in 0..1000 {
            line.admit(1, at(call)).unwrap();
            line.begin(call, at(call));
        }
        for call in 0..1000 {
            line.end(call, 1, 4, at(call + 900));
        }
        assert!(line.is_idle(at(2000)));
    }

    #[test]
    fn a_few_slow_answers_among_many_in_time_make_nobody_suspect() {
        let mut line = Line::default();
        for call in 0..2_000 {
            let now = at(call * 20);
            line.admit(4, now).unwrap();
            line.begin(call, now);
            // Two of a hundred take five seconds, so that five are under way at any time; the others are answered in between.
            match call % 50 {
                0 => {}
                _ => line.end(call, 4, 8, now + at(15)),
            }
            if let Some(slow) = call.checked_sub(250).filter(|slow| slow % 50 == 0) {
                line.end(slow, 4, 8, now);
            }
        }
        assert!(line.calls.len() >= 5, "slow ones were under way");
    }

    #[test]
    fn who_begins_to_hang_while_slow_answers_are_under_way_is_suspect_within_a_second() {
        let mut line = Line::default();
        for call in 0..3 {
            line.begin(call, at(0));
        }
        for call in 3..500 {
            line.begin(call, at(call * 20));
            line.end(call, 4, 8, at(call * 20 + 15));
        }
        for call in 500..504 {
            line.admit(4, at(10_000)).unwrap();
            line.begin(call, at(10_000));
        }
        assert!(line.admit(4, at(11_000)).is_err());
    }

    #[test]
    fn who_hangs_gets_its_share_and_no_more_and_those_sent_away_do_not_come_back_in_step() {
        let mut line = Line::default();
        for call in 0..8 {
            line.admit(4, at(0)).unwrap();
            line.begin(call, at(0));
        }
        // Half of the slots hang for a second: from now on it is suspect.
        let waits: Vec<_> = (0..10).map(|_| line.admit(4, at(1000)).unwrap_err()).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!(waits[9] > waits[0], "{waits:?}");
        for call in 0..8 {
            line.end(call, 4, 8, at(30_000));
        }
        for call in 8..12 {
            line.admit(4, at(40_000)).unwrap();
            line.begin(call, at(40_000));
        }
        assert!(line.admit(4, at(40_001)).is_err(), "still suspect");
        assert!(!line.is_idle(at(40_001)));
    }

    #[test]
    fn with_one_slot_who_hangs_rests_as_long_as_it_hung() {
        let mut line = Line::default();
        line.admit(1, at(0)).unwrap();
        line.begin(1, at(0));
        line.end(1, 1, 1, at(30_000));
        assert!(line.admit(1, at(30_001)).is_err());
        assert!(line.admit(1, at(59_999)).is_err());
        line.admit(1, at(60_000)).unwrap();
    }

    #[test]
    fn who_answers_again_is_soon_trusted_again() {
        let mut line = Line::default();
        for call in 0..2 {
            line.begin(call, at(0));
        }
        assert!(line.admit(2, at(1000)).is_err());
        for call in 0..2 {
            line.end(call, 2, 4, at(2000));
        }
        line.admit(2, at(3000)).unwrap();
        line.begin(2, at(3000));
        line.end(2, 2, 4, at(3010));
        let later = at(3010) + RECOVERY;
        for call in 3..10 {
            line.admit(2, later).unwrap();
            line.begin(call, later);
        }
    }

    #[test]
    fn thousands_that_are_sent_away_come_back_spread_and_within_bounds() {
        let mut line = Line::default();
        for call in 0..4 {
            line.begin(call, at(0));
        }
        let waits: Vec<_> = (0..10_000).map(|_| line.admit(4, at(5000)).unwrap_err()).collect();
        assert!(waits.iter().all(|wait| (SHORTEST_WAIT..=LONGEST_WAIT).contains(wait)));
    }

    proptest! {
        /// Whatever happens: once the first slow calls have ended, a broker that hangs holds no more than its share.
        #[test]
        fn a_suspect_never_holds_more_than_its_share(steps in prop::collection::vec((0_u64..2000, any::<bool>()), 1..200)) {
            let (most, slots) = (2, 8);
            let mut line = Line::default();
            for call in 0..2 {
                line.begin(call, at(0));
            }
            let (mut now, mut under_way, mut next) = (at(1000), vec![0, 1], 2);
            for (pause, ends) in steps {
                now += at(pause);
                if ends && !under_way.is_empty() {
                    // Each ends slow.
                    now += SLOW;
                    line.end(under_way.remove(0), most, slots, now);
                } else if line.admit(most, now).is_ok() {
                    line.begin(next, now);
                    under_way.push(next);
                    next += 1;
                }
                prop_assert!(under_way.len() <= most);
            }
        }
    }
}
