//! The runner's two timers: the heartbeat, which says that it is alive and finds lost leases, and the upkeep of the
//! queue, which every runner does on behalf of all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::contact::Contact;
use super::due;
use super::engine::Engine;
use crate::bell::Due;
use crate::promote::promote_into;
use crate::prune::prune;
use crate::rescue::rescue_into;
use crate::schedule::fire_due;
use crate::{Error, heartbeat, set_back};

/// Rows moved by one statement of the upkeep, and statements per turn.
const BATCH: usize = 1000;
const BATCHES: usize = 10;
/// What holders get beyond the time of a lease to report after an outage: their pools reconnect with a back-off of their own.
const REPORTING: Duration = Duration::from_secs(10);
/// How often old rows are let go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// A turn of the upkeep comes as soon as the next scheduled job is due, but not before this part of a poll interval; and up to
/// as much later, so that the runners of a fleet, which all know that moment, do not all come for the one job.
const SHORTEST_TURN: u32 = 8;

/// What a turn of the upkeep did.
pub(super) struct Kept {
    /// How many jobs it moved.
    moved: usize,
    /// In how long the next scheduled job is due, as far as is known.
    next: Duration,
}

/// Asked when a connection is at hand, since waiting for one is part of an outage.
pub(super) type MayRescue = Box<dyn FnOnce() -> bool + Send>;

impl Engine {
    /// Sends heartbeats, three in the time of a lease, until told to stop.
    pub(super) async fn beat_until(self: Arc<Self>, stop: CancellationToken) {
        let interval = self.config.lease / 3;
        while !stop.is_cancelled() {
            let pause = match self.beat().await {
                Ok(()) => {
                    self.health.worked("heartbeat");
                    interval
                }
                Err(error) => {
                    self.health.failed("heartbeat", &error);
                    interval.min(Duration::from_secs(1))
                }
            };
            rest(pause, &stop).await;
        }
    }

    /// Renews the registration and all leases, and aborts the jobs whose lease is lost.
    pub(super) async fn beat(&self) -> Result<(), Error> {
        let leases = self.desk().leases();
        let config = self.config.clone();
        let lost = self
            .database(move |conn| {
                heartbeat::register(conn, &config.name, &config.queues, config.concurrency, config.lease)?;
                heartbeat::extend(conn, &leases, config.lease)
            })
            .await?;
        let mut desk = self.desk();
        for lease in lost {
            // One that has ended meanwhile is not lost but settled, or will find out when it settles.
            if desk.lose(&lease) {
                tracing::warn!(job.id = lease.job.0, "aborting a job whose lease was lost");
            }
        }
        Ok(())
    }

    /// Does the upkeep at every poll interval, and when a scheduled job is due, until told to stop.
    pub(super) async fn keep_up_until(self: Arc<Self>, stop: CancellationToken) {
        let config = &self.config;
        let patience = config.lease + REPORTING;
        let contact =
            Arc::new(Contact::new(config.poll_interval + config.lease / 3, patience, Instant::now()));
        let clock = Arc::new(Clock::default());
        let mut pruned: Option<Instant> = None;
        while !stop.is_cancelled() {
            let contact = Arc::clone(&contact);
            let mut result = self.keep_up(Box::new(move || contact.may_rescue(Instant::now()))).await;
            if let Ok(kept) = &mut result {
                match self.mind_clock(Arc::clone(&clock)).await {
                    Ok(recovered) => kept.moved += recovered,
                    Err(error) => result = Err(error),
                }
            }
            if result.is_ok() && pruned.is_none_or(|at| at.elapsed() > PRUNE_INTERVAL) {
                match self.prune().await {
                    // With more to let go than fits into one turn, the next turn goes on.
                    Ok(rows) if rows >= BATCH * BATCHES => {}
                    Ok(_) => pruned = Some(Instant::now()),
                    Err(error) => result = Err(error),
                }
            }
            match result {
                Ok(kept) => {
                    self.health.worked("upkeep");
                    if kept.moved > 0 {
                        self.wake.notify_one();
                    }
                    let shortest = config.poll_interval / SHORTEST_TURN;
                    let next = kept.next.saturating_add(shortest.mul_f64(rand::random()));
                    rest(next.clamp(shortest, config.poll_interval), &stop).await;
                }
                Err(error) => {
                    self.health.failed("upkeep", &error);
                    rest(config.poll_interval, &stop).await;
                }
            }
        }
    }

    /// Promotes what is due, rescues what was lost, fires schedules.
    pub(super) async fn keep_up(&self, may_rescue: MayRescue) -> Result<Kept, Error> {
        let (backoff, lease, bell) = (self.config.backoff, self.config.lease, self.bell.clone());
        self.database(move |conn| {
            let due = due::look(conn)?;
            let may_rescue = may_rescue();
            let mut ready = Due::default();
            // One that fails does not keep the others from their turn.
            let promoted = match due.promotion {
                true => in_batches(conn, |conn| promote_into(conn, BATCH, &mut ready)),
                false => Ok(0),
            };
            let mut rescued = 0;
            let looked = match due.rescue && may_rescue {
                true => in_batches(conn, |conn| {
                    let turn = rescue_into(conn, &backoff, lease, BATCH, &mut ready)?;
                    rescued += turn.jobs;
                    Ok(turn.claims)
                }),
                false => Ok(0),
            };
            let fired = if due.schedules { fire_due(conn) } else { Ok(0) };
            bell.ring_for(ready);
            looked?;
            let next = due
                .next
                .map_or(Duration::MAX, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
            Ok(Kept { moved: promoted? + rescued + fired?, next })
        })
        .await
    }

    /// Sets right what was written while the database's clock was ahead, if it has gone back; returns how much that was.
    async fn mind_clock(&self, clock: Arc<Clock>) -> Result<usize, Error> {
        let lease = self.config.lease;
        let recovered = self
            .database(move |conn| {
                let micros = set_back::database_micros(conn)?;
                match clock.may_have_been_ahead(Instant::now(), micros) {
                    true => set_back::recover(conn, lease),
                    false => Ok(0),
                }
            })
            .await?;
        if recovered > 0 {
            self.bell.ring_for(Due::any());
            tracing::warn!(
                recovered,
                "the database's clock was ahead and has gone back; what waited for it is due"
            );
        }
        Ok(recovered)
    }

    /// Lets old finished jobs go, and returns how many rows that were.
    pub(super) async fn prune(&self) -> Result<usize, Error> {
        let keep = self.keep_finished;
        self.database(move |conn| in_batches(conn, |conn| prune(conn, keep, BATCH))).await
    }
}

/// Repeats a bounded statement while it finds full batches, up to a bound.
fn in_batches(
    conn: &mut PgConnection,
    mut batch: impl FnMut(&mut PgConnection) -> Result<usize, Error>,
) -> Result<usize, Error> {
    let mut moved = 0;
    for _ in 0..BATCHES {
        let more = batch(conn)?;
        moved += more;
        if more < BATCH {
            break;
        }
    }
    Ok(moved)
}

async fn rest(pause: Duration, stop: &CancellationToken) {
    tokio::select! { () = stop.cancelled() => {}, () = sleep(pause) => {} }
}
