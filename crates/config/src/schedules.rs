//! Cron expressions and the time zone, checked with the parser the queue uses.

use croner::parser::{CronParser, Seconds, Year};

use crate::bounds::Bounds;
use crate::settings::Settings;

impl Settings {
    /// When the ledgers are compared, unless that is switched off.
    pub(crate) fn reconcile_cron(&self) -> Option<&String> {
        self.reconcile_repeat.as_ref().filter(|cron| !cron.trim().is_empty())
    }

    /// When backups are rehearsed, unless that is switched off.
    pub(crate) fn verify_cron(&self) -> Option<&String> {
        self.verify_backup_repeat.as_ref().filter(|cron| !cron.trim().is_empty())
    }

    pub(crate) fn check_schedules(&self, bounds: &mut Bounds) {
        let schedules = [
            ("full_backup_repeat", &self.full_backup_repeat),
            ("delete_backup_repeat", &self.delete_backup_repeat),
            ("update_instance_state_repeat", &self.update_instance_state_repeat),
        ];
        let reconcile = self.reconcile_cron().map(|cron| ("reconcile_repeat", cron));
        let verify = self.verify_cron().map(|cron| ("verify_backup_repeat", cron));
        for (key, cron) in schedules.into_iter().chain(reconcile).chain(verify) {
            let allowed = "cron with five fields (minute hour day month weekday), for example 30 1 * * *";
            bounds.require(is_cron(cron), key, &format!("{cron:?}"), allowed);
        }
        let is_zone = self.time_zone.parse::<chrono_tz::Tz>().is_ok();
        let allowed = "an IANA time zone, for example UTC or Europe/Berlin";
        bounds.require(is_zone, "time_zone", &format!("{:?}", self.time_zone), allowed);
    }
}

fn is_cron(text: &str) -> bool {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    text.split_whitespace().count() == 5 && parser.parse(text).is_ok()
}
