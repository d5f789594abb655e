//! Writes `backup-manager.yml` and the inventories it names.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use argon2::password_hash::{PasswordHasher, SaltString};
use serde_json::{Map, Value, json};

use crate::files::{random_secret, write_private};
use crate::installation::Installation;
use crate::plan::{AgentAddress, BrokerPlan, Plan};
use crate::yaml;

/// The name of the one store that manager and agents share.
pub(crate) const STORE: &str = "local";

/// Writes the file of the installation, and one for each further API.
pub(crate) fn write(installation: &Installation, plan: &Plan) -> anyhow::Result<()> {
    let brokers: anyhow::Result<Vec<Value>> =
        plan.brokers.iter().map(|broker| entry(installation, broker)).collect();
    let mut root = json!({
        "listen": {
            "certificate_path": installation.certificates().certificate, "key_path": installation.certificates().key,
            "drain": "0s"
        },
        "auth": {"users": [{
            "name": installation.user(), "password_hash": hash(installation.password())?, "role": "operator"
        }]},
        "database": {"url": plan.database_url},
        "backup_manager_encryption_keys": [{"id": "local-1", "key": format!("{}{}", random_secret(), random_secret())}],
        "stores": {STORE: {"kind": "local", "directory": installation.store_directory()}},
        "service_brokers": brokers?
    });
    if let Some(groups) = &plan.worker_groups {
        let groups = groups.iter().map(|(queues, count)| match queues {
            Some(queues) => json!({"queues": queues, "count": count}),
            None => json!({"count": count}),
        });
        set(&mut root, "workers", groups.collect())?;
    }
    for (key, value) in &plan.settings {
        set(&mut root, key, value.clone())?;
    }
    for (number, (http, https)) in (1..).zip(installation.addresses()) {
        set(&mut root, "listen.http", json!(http.to_string()))?;
        set(&mut root, "listen.https", json!(https.to_string()))?;
        write_private(&installation.manager_file_of_api(number), yaml::document(&root))?;
    }
    Ok(())
}

/// Sets `a.b.c`; maps on the way are made, what is no map is replaced.
fn set(root: &mut Value, key: &str, value: Value) -> anyhow::Result<()> {
    let mut at = root;
    for step in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut().context("a map was just made")?.entry(step).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

fn entry(installation: &Installation, broker: &BrokerPlan) -> anyhow::Result<Value> {
    let (user, password) = match &broker.agent_credential {
        Some((user, password)) => (user.as_str(), password.as_str()),
        None => (installation.agent_user(), installation.agent_password()),
    };
    let mut value = json!({
        "name": broker.name, "data_service": broker.data_service, "store": STORE,
        "agent": {"user": user, "password": password, "ca_path": installation.certificates().authority}
    });
    if broker.is_legacy {
        set(&mut value, "backup_format", json!("legacy"))?;
    }
    if let Some(template) = &broker.agent_url_template {
        set(&mut value, "backup_agent_url", json!(template))?;
    }
    if let Some(name) = &broker.agent_server_name {
        set(&mut value, "agent.server_name", json!(name))?;
    }
    if let Some((url, user, password)) = &broker.http {
        set(&mut value, "url", json!(url))?;
        set(&mut value, "user", json!(user))?;
        set(&mut value, "password", json!(password))?;
    } else {
        let file = installation.inventory_file(&broker.name);
        write_private(&file, yaml::document(&inventory(installation, broker)?))?;
        set(&mut value, "static_inventory", json!(file))?;
    }
    Ok(value)
}

fn inventory(installation: &Installation, broker: &BrokerPlan) -> anyhow::Result<Value> {
    let mut instances = Vec::new();
    for (guid, address) in &broker.instances {
        let url = match address {
            AgentAddress::Url(url) => url.clone(),
            AgentAddress::Planned(name) => {
                match installation.agents().iter().find(|agent| agent.name() == name) {
                    Some(agent) => agent.url().to_owned(),
                    None => bail!("the instance {guid} names the agent {name}, which is not planned"),
                }
            }
        };
        instances
            .push(json!({"guid": guid, "backup_agent_url": url, "deployment_name": format!("d-{guid}")}));
    }
    Ok(json!({"instances": instances}))
}

/// Argon2id in PHC form, as `auth.users` wants it.
fn hash(password: &str) -> anyhow::Result<String> {
    let salt =
        SaltString::encode_b64(random_secret().as_bytes().get(..16).context("a secret has 32 digits")?);
    let salt = salt.map_err(|error| anyhow::anyhow!("no salt: {error}"))?;
    let hash = argon2::Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?.to_string())
}

/// The address of a port on the loopback interface.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
