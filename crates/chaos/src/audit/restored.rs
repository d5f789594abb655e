//! What a restore brings is what was backed up.

use super::Violation;
use crate::facts::Facts;

const PROMISE: &str = "a restore brings back what was backed up";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for request in &facts.requests {
        if let Some(wrong) = &request.wrong_content {
            let text =
                format!("restore {} of {} from {:?}: {wrong}", request.id, request.guid, request.source);
            found.push(Violation::new(PROMISE, text));
        }
    }
    for sample in &facts.samples {
        let text = match &sample.found {
            Ok(content) if *content == sample.expected => continue,
            Ok(content) => format!("content {content} instead of {}", sample.expected),
            Err(error) => error.clone(),
        };
        let text = format!("sampled backup {} of instance {}: {text}", sample.backup, sample.instance);
        found.push(Violation::new(PROMISE, text));
    }
    let sampled = |position| facts.samples.iter().any(|sample| sample.instance == position);
    for position in (0..facts.instances.len()).filter(|position| !sampled(*position)) {
        let text = format!("nothing of instance {position} could be sampled");
        found.push(Violation::new(PROMISE, text));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    #[test]
    fn other_bytes_and_no_bytes_are_found() {
        let mut facts = sane::world();
        facts.samples[0].found = Ok("other".into());
        assert_eq!(check(&facts).len(), 1);
        facts.samples[0].found = Err("restore 9 failed".into());
        assert_eq!(check(&facts).len(), 1);
        facts.samples.clear();
        assert_eq!(check(&facts).len(), 1);
    }

    #[test]
    fn a_restore_during_the_load_counts_too() {
        let mut facts = sane::world();
        facts.requests[0].wrong_content = Some("half".into());
        assert_eq!(check(&facts).len(), 1);
    }
}
