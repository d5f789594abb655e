//! Finds the address of an instance's backup agent: told by the broker, or made from the configured template.

use url::Url;

use super::BrokerInstance;

/// Why there is no usable address.
#[derive(Debug, thiserror::Error)]
pub enum AgentUrlError {
    /// Neither a template nor an explicit address.
    #[error("no backup_agent_url is configured and the broker names none")]
    Missing,
    /// A placeholder nobody knows.
    #[error("unknown placeholder {{{0}}}; known are {{deployment_name}}, {{guid}}, {{instance_id}}")]
    UnknownPlaceholder(String),
    /// A brace without its partner.
    #[error("the template has an unbalanced brace")]
    Unbalanced,
    /// The instance lacks what the template asks for.
    #[error("the instance has no {0}")]
    NoValue(&'static str),
    /// A value that could change where the URL leads.
    #[error("the instance's {0} has characters that do not belong into a URL")]
    UnsafeValue(&'static str),
    /// Not an http or https URL, or one with user information.
    #[error("the address is not a usable http or https URL without user information")]
    NotAUrl,
}

/// Returns the explicit address of an instance, else the expanded template.
pub fn agent_url(template: Option<&str>, instance: &BrokerInstance) -> Result<Url, AgentUrlError> {
    match (&instance.backup_agent_url, template) {
        (Some(explicit), _) => parse(explicit),
        (None, Some(template)) => expand_agent_url(template, instance),
        (None, None) => Err(AgentUrlError::Missing),
    }
}

/// Replaces `{deployment_name}`, `{guid}` and `{instance_id}` (the same as `{guid}`) in a template.
pub fn expand_agent_url(template: &str, instance: &BrokerInstance) -> Result<Url, AgentUrlError> {
    let mut url = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or(AgentUrlError::Unbalanced)?;
        url.push_str(before);
        url.push_str(value(name, instance)?);
        rest = behind;
    }
    url.push_str(rest);
    if url.contains(['{', '}']) {
        return Err(AgentUrlError::Unbalanced);
    }
    parse(&url)
}

fn value<'a>(name: &str, instance: &'a BrokerInstance) -> Result<&'a str, AgentUrlError> {
    let (name, value) = match name {
        "deployment_name" => ("deployment_name", instance.deployment_name.as_deref()),
        "guid" | "instance_id" => ("guid", Some(instance.guid.as_str())),
        other => return Err(AgentUrlError::UnknownPlaceholder(other.to_owned())),
    };
    let value = value.filter(|v| !v.is_empty()).ok_or(AgentUrlError::NoValue(name))?;
    // The broker's words end up in the host part: `x@elsewhere` or `x/` would send the agent's credential astray.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.chars().all(plain) { Ok(value) } else { Err(AgentUrlError::UnsafeValue(name)) }
}

fn parse(text: &str) -> Result<Url, AgentUrlError> {
    // The text is not shown: it may hold a password.
    let refused = || AgentUrlError::NotAUrl;
    let url = Url::parse(text).map_err(|_| refused())?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    if usable { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::super::parse_inventory;
    use super::*;

    fn instance(deployment: &str) -> BrokerInstance {
        let yaml = format!("instances: [{{guid: g-1, deployment_name: {deployment:?}}}]");
        parse_inventory(&yaml).unwrap().remove(0)
    }

    #[test]
    fn placeholders_are_replaced() {
        let url = |template| expand_agent_url(template, &instance("d-1")).unwrap().to_string();
        assert_eq!(url("https://{deployment_name}.example:9443"), "https://d-1.example:9443/");
        assert_eq!(url("http://x/{guid}/{instance_id}"), "http://x/g-1/g-1");
    }

    #[test]
    fn an_explicit_address_wins_over_the_template() {
        let mut told = instance("d-1");
        told.backup_agent_url = Some("https://10.0.0.9:9443".into());
        assert_eq!(agent_url(Some("https://{guid}"), &told).unwrap().as_str(), "https://10.0.0.9:9443/");
        assert!(matches!(agent_url(None, &instance("d")), Err(AgentUrlError::Missing)));
    }

    #[test]
    fn templates_and_values_that_lead_elsewhere_are_refused() {
        for (template, deployment) in [
            ("https://{deployment}.example", "d"),
            ("https://{deployment_name.example", "d"),
            ("https://deployment_name}.example", "d"),
            ("https://{deployment_name}.example", ""),
            ("https://{deployment_name}.example", "d@evil"),
            ("https://{deployment_name}.example", "evil/"),
            ("ftp://{deployment_name}", "d"),
            ("https://user:pass@{deployment_name}", "d"),
            ("{deployment_name}", "d"),
        ] {
            assert!(expand_agent_url(template, &instance(deployment)).is_err(), "{template} {deployment}");
        }
    }
}
