//! A backup agent that keeps its operations in memory. What a new operation will come to is its [`Plan`]; what goes wrong
//! on the way to the agent is an [`AgentFault`]. Objects it claims are really in the store, unless the plan is to lie.

mod journal;
mod objects;
mod operations;
mod plan;
mod refusals;
mod routes;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use backup_protocol::{ListedOperation, PitrReport, PitrWindow};

use super::answer::{Answer, Request};
use super::server::{FakeServer, lock};

pub use operations::OperationView;
pub use plan::Plan;

use operations::Operations;

/// A running fake agent.
#[derive(Debug)]
pub struct FakeAgent {
    server: FakeServer,
    state: Arc<Mutex<State>>,
}

/// Something wrong with the next request of a kind.
#[derive(Debug, Clone)]
pub enum AgentFault {
    /// This is the answer; nothing else happens.
    Instead(Answer),
    /// The request is carried out, and this is the answer (a lost answer: [`Answer::Disconnect`]).
    After(Answer),
    /// The right answer with another operation's id in it.
    WrongId,
    /// The right answer with a state the protocol does not know.
    UnknownState,
}

#[derive(Debug)]
pub(super) struct State {
    user: String,
    password: String,
    data_service: String,
    operations: Operations,
    /// Names of stores it knows; empty: any.
    stores: Vec<String>,
    start_faults: VecDeque<AgentFault>,
    status_faults: VecDeque<AgentFault>,
    cancel_faults: VecDeque<AgentFault>,
    list_faults: VecDeque<AgentFault>,
    lists_operations: bool,
    rehearses: bool,
    /// The windows of an agent that archives a log.
    windows: Option<PitrReport>,
}

impl FakeAgent {
    /// Starts with the credential `agent` / `secret` beside a PostgreSQL; `store` is the directory of the local store that
    /// manager and agent share, whatever name they give it. New operations follow [`Plan::default`].
    ///
    /// # Errors
    /// When no port is to be had.
    pub fn start(store: &Path) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            user: "agent".into(),
            password: "secret".into(),
            data_service: "postgresql".into(),
            operations: Operations::new(store),
            stores: Vec::new(),
            start_faults: VecDeque::new(),
            status_faults: VecDeque::new(),
            cancel_faults: VecDeque::new(),
            list_faults: VecDeque::new(),
            lists_operations: true,
            rehearses: true,
            windows: None,
        }));
        let shared = Arc::clone(&state);
        let server = FakeServer::start(move |request| lock(&shared).answer(request))?;
        Ok(Self { server, state })
    }

    /// The base URL for an instance's `agent_url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// User and password it accepts.
    #[must_use]
    pub fn credential(&self) -> (String, String) {
        let state = lock(&self.state);
        (state.user.clone(), state.password.clone())
    }

    /// From now on it knows only this store, by name.
    pub fn knows_store(&self, name: &str) {
        lock(&self.state).stores.push(name.to_owned());
    }

    /// What operations started from now on come to.
    pub fn plan(&self, plan: Plan) {
        lock(&self.state).operations.plan = plan;
    }

    /// The next `PUT`s go wrong, one fault each.
    pub fn fail_start(&self, fault: AgentFault) {
        lock(&self.state).start_faults.push_back(fault);
    }

    /// The next `GET`s of an operation go wrong, one fault each.
    pub fn fail_status(&self, fault: AgentFault) {
        lock(&self.state).status_faults.push_back(fault);
    }

    /// The next `DELETE`s go wrong, one fault each.
    pub fn fail_cancel(&self, fault: AgentFault) {
        lock(&self.state).cancel_faults.push_back(fault);
    }

    /// The next questions for the journal go wrong, one fault each.
    pub fn fail_list(&self, fault: AgentFault) {
        lock(&self.state).list_faults.push_back(fault);
    }

    /// From now on it does not know `GET /v1/operations`, as an agent of another make may not.
    pub fn without_journal(&self) {
        lock(&self.state).lists_operations = false;
    }

    /// From now on it does not know `/v1/rehearsals`, as an older agent.
    pub fn without_rehearsals(&self) {
        lock(&self.state).rehearses = false;
    }

    /// From now on it makes backups of the type `postgresql_wal`, and these are its windows.
    pub fn archives(&self, windows: Vec<PitrWindow>) {
        lock(&self.state).windows = Some(PitrReport { windows, ..PitrReport::default() });
    }

    /// Changes an operation of the journal past the protocol.
    pub fn doctor(&self, id: &str, change: impl FnOnce(&mut ListedOperation)) {
        lock(&self.state).operations.doctor(id, change);
    }

    /// Every operation that was started, in that order.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationView> {
        lock(&self.state).operations.views()
    }

    /// Changes what a running operation comes to; with [`Plan::done`] it is done at the next question.
    pub fn replan(&self, id: &str, plan: Plan) {
        lock(&self.state).operations.replan(id, plan);
    }

    /// Loses its memory of every operation, as an agent with a new disk would.
    pub fn forget(&self) {
        lock(&self.state).operations.clear();
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Refuses connections until [`FakeAgent::up`].
    pub fn down(&mut self) {
        self.server.down();
    }

    /// Listens again on the same port, with its memory.
    ///
    /// # Errors
    /// When somebody else took the port.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.server.up()
    }
}
