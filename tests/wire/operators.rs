//! Section 2.4: the operator's first generation.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::paths::HEALTH;
use crate::shapes::{BEGUN, INSTANCE, Kind, MESSAGE, check as shape, check_all};
use crate::skip;
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    target.api.get(HEALTH).await.json(200);
    let backups = both_kinds_of_body_make_a_backup(&target).await;
    both_kinds_of_body_make_a_restore(&target, &backups).await;
    the_instance_object_has_its_tasks(&target, &backups).await;
    instances_are_listed_whole_and_in_pages(&target).await;
    everything_is_backed_up(&target).await;
    for id in &backups {
        target.api.delete(&format!("/instances/{}/backups/{id}", target.instance)).await.json(200);
    }
}

async fn both_kinds_of_body_make_a_backup(target: &Target) -> [Value; 2] {
    let (api, guid) = (&target.api, &target.instance);
    let path = "/backup_agent/backup";
    let as_json = api.post(path).json(&json!({"instance_guid": guid})).send().await.json(201);
    let as_form = api.post(path).form(&format!("instance_guid={guid}")).send().await.json(201);
    for begun in [&as_json, &as_form] {
        shape(begun, BEGUN);
        assert_eq!(begun["message"], "job to backup is queued");
        let ended = api.ended(&format!("/instances/{guid}/backups/{}", begun["id"])).await;
        assert_eq!(ended["status"], "done", "{ended}");
    }
    api.post(path).json(&json!({})).send().await.error(400, "BadRequest");
    api.post(path).form("other=1").send().await.error(400, "BadRequest");
    [as_json["id"].clone(), as_form["id"].clone()]
}

async fn both_kinds_of_body_make_a_restore(target: &Target, backups: &[Value; 2]) {
    let api = &target.api;
    let instance = api.get(&format!("/instances/{}", target.instance)).await.json(200);
    let path = "/backup_agent/restores";
    let [first, second] = backups;
    for call in [
        api.post(path).json(&json!({"backup_id": first, "instance_id": instance["id"]})),
        api.post(path).form(&format!("backup_id={second}&instance_id={}", instance["id"])),
    ] {
        let made = call.send().await.json(201);
        shape(&made, &[("restore_id", Kind::Int)]);
        let ended =
            api.ended(&format!("/instances/{}/restores/{}", target.instance, made["restore_id"])).await;
        assert_eq!(ended["status"], "done", "{ended}");
    }
    for body in ["backup_id=1", "instance_id=1", "backup_id=x&instance_id=1", "backup_id=1&instance_id=x"] {
        api.post(path).form(body).send().await.error(400, "BadRequest");
    }
}

async fn the_instance_object_has_its_tasks(target: &Target, backups: &[Value; 2]) {
    let instance = target.api.get(&format!("/instances/{}", target.instance)).await.json(200);
    shape(&instance, INSTANCE);
    assert_eq!(instance["instance_id"], target.instance);
    for id in backups {
        let found = instance["backups"].as_array().unwrap().iter().find(|backup| backup["id"] == *id);
        let found = found.unwrap_or_else(|| panic!("backup {id} is not in {instance}"));
        assert_eq!(found["instance_id"], instance["id"], "the internal number");
        assert_eq!(found["backup_agent_task"]["status"], "done");
        let shown = target.api.get(&format!("/instances/{}/backups/{id}", target.instance)).await.json(200);
        for (here, there) in
            [("backup_id", "backup_id"), ("size", "size"), ("is_downloadable", "downloadable")]
        {
            assert_eq!(found[here], shown[there], "{here}");
        }
    }
    for restore in instance["restores"].as_array().unwrap() {
        assert_eq!(restore["instance_id"], instance["id"]);
        assert!(!restore["backup_agent_tasks"].as_array().unwrap().is_empty(), "{restore}");
    }
    assert!(instance["last_done_at"].is_string(), "{instance}");
}

async fn instances_are_listed_whole_and_in_pages(target: &Target) {
    let api = &target.api;
    let all = api.get("/instances").await.json(200);
    let all = check_all(&all, INSTANCE);
    let numbers: Vec<&Value> = all.iter().map(|instance| &instance["id"]).collect();
    assert!(all.iter().any(|instance| instance["instance_id"] == *target.instance));

    let per_page = all.len().div_ceil(3);
    let mut seen = Vec::new();
    let mut next = Some(format!("/instances?page=1&per_page={per_page}"));
    while let Some(path) = next {
        let page = api.get(&path).await;
        next = link(&page, "next");
        let instances = page.json(200);
        assert!(check_all(&instances, INSTANCE).len() <= per_page, "{path}");
        seen.extend(instances.as_array().unwrap().iter().map(|instance| instance["id"].clone()));
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), numbers, "the pages are the list");
    for query in ["page=0", "page=x", "per_page=0", "per_page=-1"] {
        api.get(&format!("/instances?{query}")).await.error(400, "BadRequest");
    }
}

/// The path behind `rel="next"` in `Link`, whether the link is absolute or not.
fn link(answer: &Answer, rel: &str) -> Option<String> {
    let links = answer.header("link");
    let found = links.split(", <").find(|link| link.contains(&format!("rel=\"{rel}\"")))?;
    let url = found.trim_start_matches('<').split('>').next().unwrap();
    Some(url[url.find("/instances").unwrap()..].to_owned())
}

async fn everything_is_backed_up(target: &Target) {
    if !target.may_back_up_all {
        return skip(
            "/backup_agent/backup_all",
            "BACKUP_MANAGER_MAY_BACK_UP_ALL=1, for it backs up every instance",
        );
    }
    let api = &target.api;
    let mut guids = vec![&target.instance];
    guids.extend(&target.second);
    let numbers = async |guid: &str| -> Vec<i64> {
        let all = api.get(&format!("/instances/{guid}/backups")).await.json(200);
        all.as_array().unwrap().iter().map(|backup| backup["id"].as_i64().unwrap()).collect()
    };
    let mut before = Vec::new();
    for guid in &guids {
        before.push(numbers(guid).await.first().copied().unwrap_or_default());
    }
    let path = "/backup_agent/backup_all";
    // An instance whose backup is waiting gets no second one.
    for call in [api.post(path).json(&json!({})), api.post(path).form("")] {
        shape(&call.send().await.json(202), MESSAGE);
    }
    for (guid, before) in guids.iter().zip(before) {
        api.until(&format!("{guid} has a new backup"), async || numbers(guid).await.first() > Some(&before))
            .await;
        for id in numbers(guid).await.into_iter().filter(|id| *id > before) {
            let path = format!("/instances/{guid}/backups/{id}");
            assert_eq!(api.ended(&path).await["status"], "done");
            api.delete(&path).await.json(200);
        }
    }
}
