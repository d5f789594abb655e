//! Shares a worker group's slots among brokers and agents, so that one whose answers never come delays no other beyond
//! its share. In memory of one process: it bounds what this process has to give. The decision is in `domain/share.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::domain::share::Line;

/// Whose calls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Broker(String),
    /// Host and port.
    Agent(String),
}

/// The slots of one worker group; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shares(Option<Arc<Slots>>);

#[derive(Debug)]
struct Slots {
    count: usize,
    /// With one broker there is nobody to keep slots for.
    has_many_brokers: bool,
    beginning: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<Whose, Line>,
    calls: u64,
}

impl Shares {
    /// Shares `count` slots. [`Shares::default`] bounds nothing.
    pub fn new(count: usize, has_many_brokers: bool) -> Self {
        Self(Some(Arc::new(Slots {
            count,
            has_many_brokers,
            beginning: Instant::now(),
            state: Mutex::default(),
        })))
    }

    /// Asks for the right to call the agent at `url`, of an instance of `broker`; it ends when the turn is dropped.
    /// A suspect broker gets half of the slots, a suspect agent a quarter, each at least one.
    ///
    /// # Errors
    /// How long whoever asks should stay away, because the share is filled with calls that hang.
    pub fn enter(&self, broker: &str, url: &Url) -> Result<Turn, Duration> {
        let Some(slots) = &self.0 else { return Ok(Turn { _call: None }) };
        let agent =
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        let whose = [Whose::Broker(broker.to_owned()), Whose::Agent(agent)];
        let now = slots.beginning.elapsed();
        let mut state = slots.state();
        for whose in &whose {
            state.lines.entry(whose.clone()).or_default().admit(slots.most(whose), now)?;
        }
        state.calls = state.calls.wrapping_add(1);
        let call = state.calls;
        for whose in &whose {
            state.lines.entry(whose.clone()).or_default().begin(call, now);
        }
        Ok(Turn { _call: Some(Call { slots: Arc::clone(slots), whose, call }) })
    }
}

impl Slots {
    fn most(&self, whose: &Whose) -> usize {
        let share = match whose {
            Whose::Broker(_) if !self.has_many_brokers => usize::MAX,
            Whose::Broker(_) => self.count / 2,
            Whose::Agent(_) => self.count / 4,
        };
        share.max(1)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call.
#[derive(Debug)]
pub struct Turn {
    /// Ends when it is dropped.
    _call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    slots: Arc<Slots>,
    whose: [Whose; 2],
    call: u64,
}

impl Drop for Call {
    fn drop(&mut self) {
        let now = self.slots.beginning.elapsed();
        let mut state = self.slots.state();
        for whose in &self.whose {
            let most = self.slots.most(whose);
            if let Some(line) = state.lines.get_mut(whose) {
                line.end(self.call, most, self.slots.count, now);
                if line.is_idle(now) {
                    state.lines.remove(whose);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_bounded_and_what_answers_leaves_nothing_behind() {
        let url = Url::parse("http://agent.example").unwrap();
        let shares = Shares::new(4, true);
        let turns: Vec<_> = (0..10).map(|_| shares.enter("broker", &url).unwrap()).collect();
        assert_eq!(shares.0.as_ref().unwrap().state().lines.len(), 2);
        drop(turns);
        assert!(shares.0.as_ref().unwrap().state().lines.is_empty());
        assert!(Shares::default().enter("broker", &url).is_ok());
    }

    #[test]
    fn one_of_several_brokers_has_half_of_the_slots_an_agent_a_quarter_and_nobody_less_than_one() {
        let most = |count, has_many| {
            let shares = Shares::new(count, has_many);
            let slots = shares.0.unwrap();
            (slots.most(&Whose::Broker("b".into())), slots.most(&Whose::Agent("a".into())))
        };
        assert_eq!(most(16, true), (8, 4));
        assert_eq!(most(16, false), (usize::MAX, 4));
        assert_eq!(most(1, true), (1, 1));
    }
}
