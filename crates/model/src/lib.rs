//! An executable model of the protocol between workers, agent and store. It is all in `tests/model`, so that no build but
//! that of the tests compiles it or the model checker; `docs/lifecycle.md` describes it.
