//! One service instance with its owner: changes its data, asks for backups, restores, cancellations and deletions, waits
//! for their ends, and never believes that something was recorded before it was told so.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::client::{Client, Reply};
use super::control::Control;
use super::data::Data;
use super::notes::Notes;
use crate::dice::Dice;
use crate::facts::Request;

/// How often the load looks at something unfinished.
const LOOK: Duration = Duration::from_millis(800);
/// Between two tries to have something accepted.
const AGAIN: Duration = Duration::from_millis(400);
/// An agent that has not begun anything for so long after its last operation ended works on nothing.
const QUIET: Duration = Duration::from_millis(1500);

/// The owner of an instance.
#[derive(Debug)]
pub struct Actor {
    /// Position of the instance.
    pub position: usize,
    /// GUIDs of all instances.
    pub guids: Vec<String>,
    /// Data of all instances.
    pub data: Vec<Data>,
    /// Journal directory of the instance's agent.
    pub journal: PathBuf,
    /// The API.
    pub client: Client,
    /// What everybody was told.
    pub notes: Notes,
    /// What to do.
    pub control: Control,
    /// The actor's own chance.
    pub dice: Dice,
    /// False after a restore that did not succeed.
    pub is_data_known: bool,
}

impl Actor {
    /// Acts until told to finish.
    pub async fn run(mut self) {
        while self.pause().await {
            self.adopt_strays().await;
            if !self.make_known().await {
                continue;
            }
            match self.dice.between(1, 100) {
                1..=58 => self.back_up().await,
                59..=74 => self.restore(true).await,
                75..=82 => self.restore(false).await,
                83..=92 => self.delete().await,
                _ => self.undelete().await,
            }
        }
    }

    async fn pause(&mut self) -> bool {
        let until = self.control.stopwatch.now().saturating_add(self.dice.between(500, 5_000));
        while self.control.is_going_on() && self.control.stopwatch.now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.control.is_going_on()
    }

    fn guid(&self) -> String {
        self.guids.get(self.position).cloned().unwrap_or_default()
    }

    fn path(&self, rest: &str) -> String {
        format!("/instances/{}/{rest}", self.guid())
    }

    /// Runs something that blocks with the instance's data.
    async fn with_data<T: Send + 'static>(
        &mut self,
        work: impl Fn(&Data, &mut Dice) -> anyhow::Result<T> + Send + 'static,
    ) -> Option<T> {
        let data = self.data.get(self.position)?.clone();
        let mut dice = self.dice.clone();
        let (result, dice) = spawn_blocking(move || (work(&data, &mut dice), dice)).await.ok()?;
        self.dice = dice;
        result.ok()
    }

    async fn fingerprint(&mut self) -> Option<String> {
        self.with_data(|data, _| data.fingerprint()).await
    }

    /// Writes everything anew after a restore of unknown outcome, once the agent works on nothing.
    async fn make_known(&mut self) -> bool {
        if self.is_data_known {
            return true;
        }
        if self.is_agent_quiet().await {
            self.is_data_known = self.with_data(|data, dice| data.rewrite(dice)).await.is_some();
        }
        self.is_data_known
    }

    /// Whether the agent's journal has had nothing that runs for a while.
    async fn is_agent_quiet(&self) -> bool {
        let until =
            self.control.stopwatch.now().saturating_add(u64::try_from(QUIET.as_millis()).unwrap_or(0));
        loop {
            let journal = self.journal.clone();
            let is_idle = spawn_blocking(move || super::is_idle(&journal)).await.unwrap_or(false);
            if !is_idle || self.control.stopwatch.now() > until {
                return is_idle;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn back_up(&mut self) {
        if self.dice.happens(60) {
            // One that breaks off leaves other data, and the fingerprint is taken afterwards.
            self.with_data(|data, dice| data.change(dice)).await;
        }
        let before = self.fingerprint().await;
        let mut places = Vec::new();
        for _ in 0..if self.dice.happens(25) { 2 } else { 1 } {
            places.extend(self.request_backup().await);
        }
        if self.dice.happens(14)
            && let Some(place) = self.dice.pick(&places).copied()
        {
            self.cancel_after_a_while(place).await;
        }
        let mut are_over = true;
        for place in &places {
            are_over &= self.wait_for(*place).await;
        }
        let after = self.fingerprint().await;
        if are_over && before.is_some() && before == after {
            for place in places {
                self.notes.change(place, |request| request.content = before.clone());
            }
        }
    }

    /// Sends the same key until somebody says which backup it stands for.
    async fn request_backup(&mut self) -> Option<usize> {
        let key = format!("chaos-{}-{:016x}", self.position, self.dice.throw());
        while !self.control.is_given_up() {
            let reply = self.client.call(Method::POST, &self.path("backups"), Some(&key)).await;
            if let Reply::Answer(status @ (200 | 201), body) = &reply
                && let Some(id) = body.get("id").and_then(Value::as_i64)
            {
                // A key that is known already answers a backup that may be known already.
                if *status == 200 && self.notes.knows(self.position, false, id) {
                    return None;
                }
                let request = Request { idempotency_key: Some(key), ..self.accepted(id) };
                return Some(self.notes.add(request));
            }
            tokio::time::sleep(AGAIN).await;
        }
        None
    }

    fn accepted(&self, id: i64) -> Request {
        let accepted = self.control.stopwatch.now();
        Request { instance: self.position, guid: self.guid(), id, accepted, ..Request::default() }
    }

    async fn cancel_after_a_while(&mut self, place: usize) {
        let while_ms = self.dice.between(0, 1_800);
        tokio::time::sleep(Duration::from_millis(while_ms)).await;
        let Some(request) = self.notes.get(place) else { return };
        let path = format!("{}s/{}/cancel", request.sort().as_str(), request.id);
        self.notes.change(place, |request| request.cancel_sent = true);
        for _ in 0..5 {
            if matches!(self.client.call(Method::POST, &self.path(&path), None).await, Reply::Answer(..)) {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits for a terminal status; false when there was no more patience.
    async fn wait_for(&self, place: usize) -> bool {
        let Some(request) = self.notes.get(place) else { return true };
        let path = self.path(&format!("{}s/{}", request.sort().as_str(), request.id));
        while !self.control.is_given_up() {
            match self.client.call(Method::GET, &path, None).await {
                Reply::Answer(200, body) => {
                    let status = body.get("status").and_then(Value::as_str).unwrap_or("without a status");
                    self.notes.saw(place, status);
                    if !matches!(status, "queued" | "running") {
                        return true;
                    }
                }
                Reply::Answer(404, _) => {
                    self.notes.saw(place, "gone");
                    return true;
                }
                Reply::Answer(..) | Reply::Doubt(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    async fn restore(&mut self, is_own: bool) {
        let (position, data) = (self.position, self.data.clone());
        let own = data.get(position).cloned();
        let is_alike =
            |other: usize| data.get(other).zip(own.as_ref()).is_some_and(|(one, two)| one.is_like(two));
        let is_wanted =
            |other: usize| if is_own { other == position } else { other != position && is_alike(other) };
        let Some(source) = self.notes.pick_backup(&mut self.dice, is_wanted) else { return };
        let before = self.fingerprint().await;
        let Some(place) = self.request_restore(&source).await else { return };
        if self.dice.happens(12) {
            self.cancel_after_a_while(place).await;
        }
        self.is_data_known = false;
        if !self.wait_for(place).await || !self.is_agent_quiet().await {
            return;
        }
        let found = self.fingerprint().await;
        // One that was asked for late may have come in between.
        if self.adopt_strays().await {
            return;
        }
        let is_done =
            self.notes.get(place).is_some_and(|r| r.observed.last().is_some_and(|last| last == "done"));
        let Some(found) = found else { return };
        if Some(&found) == source.content.as_ref() {
            self.is_data_known = true;
        } else if is_done {
            let wrong = format!("content {found} instead of {:?}", source.content);
            self.notes.change(place, |request| request.wrong_content = Some(wrong));
        } else if before.as_ref().is_some_and(|before| *before != found) {
            let wrong = format!(
                "it failed and left {found}, neither the old {before:?} nor the new {:?}",
                source.content
            );
            self.notes.change(place, |request| request.wrong_content = Some(wrong));
        }
    }

    /// A restore has no key: whether one of unknown fate was recorded is seen in the list.
    async fn request_restore(&mut self, source: &Request) -> Option<usize> {
        let path = self.path(&format!("backups/{}/restore", source.id));
        let body = (source.instance != self.position).then(|| json!({"source_instance_id": source.guid}));
        let from = Some((source.instance, source.id));
        match self.client.call_once(Method::POST, &path, body).await {
            Reply::Answer(202, body) => {
                let id = body.get("id").and_then(Value::as_i64)?;
                Some(self.notes.add(Request { is_restore: true, source: from, ..self.accepted(id) }))
            }
            Reply::Answer(status, _) if status != 409 => None,
            // 409: perhaps the first of two copies of this request.
            Reply::Answer(..) | Reply::Doubt(_) => {
                let id = self.unknown_restores().await.into_iter().max()?;
                Some(self.notes.add(Request { is_restore: true, source: from, ..self.accepted(id) }))
            }
        }
    }

    /// Restores of this instance that nobody has noted.
    async fn unknown_restores(&self) -> Vec<i64> {
        while !self.control.is_given_up() {
            if let Some(Value::Array(list)) = self.client.get(&self.path("restores")).await {
                let ids = list.iter().filter_map(|restore| restore.get("id").and_then(Value::as_i64));
                return ids.filter(|id| !self.notes.knows(self.position, true, *id)).collect();
            }
            tokio::time::sleep(AGAIN).await;
        }
        Vec::new()
    }

    /// A request that was held back for long may be carried out when nobody reckons with it any more.
    async fn adopt_strays(&mut self) -> bool {
        let strays = self.unknown_restores().await;
        for id in &strays {
            self.is_data_known = false;
            let place = self.notes.add(Request { is_restore: true, ..self.accepted(*id) });
            self.wait_for(place).await;
        }
        !strays.is_empty()
    }

    async fn delete(&mut self) {
        let position = self.position;
        let Some(backup) = self.notes.pick_backup(&mut self.dice, |other| other == position) else { return };
        let Some(place) = self.place_of(&backup) else { return };
        self.notes.change(place, |request| request.delete_sent = true);
        let mut refusals = 0;
        for _ in 0..20 {
            let path = self.path(&format!("backups/{}", backup.id));
            match self.client.call(Method::DELETE, &path, None).await {
                // Restored at the moment, or the store refuses: a few times more.
                Reply::Answer(400 | 409 | 423, _) if refusals < 3 => refusals += 1,
                Reply::Doubt(_) => {}
                Reply::Answer(..) => return,
            }
            if self.control.is_finishing() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn undelete(&mut self) {
        let Some(Value::Array(list)) = self.client.get(&self.path("backups")).await else { return };
        let marked =
            list.iter().filter(|backup| backup.get("status").is_some_and(|status| status == "deleted"));
        let marked: Vec<i64> = marked.filter_map(|backup| backup.get("id").and_then(Value::as_i64)).collect();
        if let Some(id) = self.dice.pick(&marked).copied() {
            self.client.call(Method::POST, &self.path(&format!("backups/{id}/undelete")), None).await;
        }
    }

    fn place_of(&self, wanted: &Request) -> Option<usize> {
        self.notes
            .all()
            .iter()
            .position(|r| r.instance == wanted.instance && !r.is_restore && r.id == wanted.id)
    }
}
