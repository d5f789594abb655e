//! What holds for every path.

use reqwest::Method;

use crate::checks::checks;
use crate::client::Shown;
use crate::kit::{Checked, Kit};

checks! {
    "it says who it is, and speaks version 1 of the protocol": says_who_it_is;
    "every path demands the credential": demands_the_credential;
    "an unknown path is refused with a body": refuses_unknown_paths;
}

async fn says_who_it_is(kit: &Kit) -> Checked {
    // The rest is in the documented schema.
    let info = kit.get("/v1/info").await?;
    anyhow::ensure!(info.status == 200, "GET /v1/info: {}", info.shown());
    Ok(())
}

async fn demands_the_credential(kit: &Kit) -> Checked {
    let backup = kit.backup("unauthorised");
    let body = kit.backup_body(serde_json::json!({})).to_string();
    let credential = &kit.target.credential;
    for (method, path) in [
        (Method::GET, "/v1/info"),
        (Method::GET, backup.as_str()),
        (Method::PUT, backup.as_str()),
        (Method::DELETE, backup.as_str()),
        (Method::GET, "/v1/unheard-of"),
    ] {
        let with = (method == Method::PUT).then(|| body.clone());
        for shown in [Shown::Nothing, Shown::Wrong(credential)] {
            let refused = kit.client.send(shown, method.clone(), path, with.clone()).await?;
            refused.expect(&format!("{method} {path} without the credential"), 401, "Unauthorized")?;
        }
    }
    kit.get(&backup).await?.expect("a start without the credential leaves no trace", 404, "NotFound")
}

async fn refuses_unknown_paths(kit: &Kit) -> Checked {
    kit.get("/v1/unheard-of").await?.expect("an unknown path", 404, "NotFound")
}
