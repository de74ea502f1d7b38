//! Alerts in words: `GET /api/alerts/NUMBER`, `GET /api/alerts?of=WHOM`, and the page of an alert.

use traffic::time::Timestamp;

use super::{App, LOCAL, Visitor, plain_page};
use crate::control::Snapshot;
use crate::policy::{Alert, BlockRecord, EVIDENCE_LASTS, Subject};
use crate::store::{KnownBlock, StoreError};
use crate::web::alert_page;
use crate::web::api::Failed;
use crate::web::asked::Problem;
use crate::web::explanation::{About, Around, Explanation};
use crate::web::http::{Answer, Incoming};

/// How many alerts about somebody are explained at once.
const ALERTS_OF_ONE: usize = 5;

impl App {
    /// An alert as JSON.
    pub(super) fn explain(&self, number: &str, request: &Incoming, now: Timestamp) -> Answer {
        json(self.administrator(request, now).and_then(|_| self.explanation(number, now)))
    }

    /// The last alerts about somebody as JSON.
    pub(super) fn explain_all_of(&self, request: &Incoming, now: Timestamp) -> Answer {
        json(self.administrator(request, now).and_then(|_| {
            let whom = Incoming::field(request.query.as_bytes(), "of");
            let subject: Subject = whom.parse().map_err(|error| (400, format!("{whom:?}: {error}")))?;
            self.about(subject, now)
        }))
    }

    /// The page of an alert.
    pub(super) fn alert_page(&self, number: &str, request: &Incoming, now: Timestamp) -> Answer {
        let (user, form_token) = match self.visitor(request, now) {
            Visitor::Stranger => return Answer::see("/"),
            Visitor::Local => (LOCAL.to_owned(), String::new()),
            Visitor::User(session) => (session.user, session.form_token),
        };
        match self.explanation(number, now) {
            Ok(explanation) => Answer::html(alert_page::render(&explanation, &user, &form_token)),
            Err((status, why)) => plain_page(status, &why),
        }
    }

    /// Waits until an alert is written down: its label stands in its row, and would be lost without it.
    pub(super) fn check_written(&self, number: u64) -> Result<(), Problem> {
        self.writer.flush().map_err(|error| (503, format!("alert {number} is not labelled: {error}")))?;
        match self.store.alert(number).map_err(|error| unreadable(&error))? {
            Some(_) => Ok(()),
            None if self.handle.snapshot().alerts.iter().any(|alert| alert.number == number) => Err((
                409,
                format!(
                    "alert {number} could not be written down, so no label of it would be kept; see the faults in `sluice status`"
                ),
            )),
            None => Err(no_alert(number)),
        }
    }

    /// Who is blocked of those that the alert names.
    pub(super) fn still_blocked(&self, number: u64, now: Timestamp) -> Option<Subject> {
        let snapshot = self.handle.snapshot();
        let alert = self.alert(&snapshot, number).ok()?;
        let stands = |block: &&BlockRecord| block.is_enforced() && now < block.until && alert.concerns(block.subject);
        snapshot.blocks.iter().find(stands).map(|block| block.subject)
    }

    fn administrator(&self, request: &Incoming, now: Timestamp) -> Result<(), Problem> {
        if self.visitor(request, now).is_administrator() { Ok(()) } else { Err((401, String::from("log in first"))) }
    }

    fn explanation(&self, number: &str, now: Timestamp) -> Result<Explanation, Problem> {
        let snapshot = self.handle.snapshot();
        let number = number.parse().map_err(|_| (404, format!("{number:?} is no number of an alert")))?;
        let alert = self.alert(&snapshot, number)?;
        self.explained(&alert, &snapshot, now)
    }

    fn explained(&self, alert: &Alert, snapshot: &Snapshot, now: Timestamp) -> Result<Explanation, Problem> {
        let blocks = self.blocks(alert.subjects(), snapshot, alert.time.plus(EVIDENCE_LASTS))?;
        Ok(Explanation::of(alert, &Around { snapshot, blocks, now }))
    }

    fn about(&self, subject: Subject, now: Timestamp) -> Result<About, Problem> {
        let snapshot = self.handle.snapshot();
        let shown = snapshot.alerts.iter().filter(|alert| alert.concerns(subject));
        let mut alerts: Vec<Alert> = shown.cloned().collect();
        let written = self.store.alerts_about(subject, ALERTS_OF_ONE).map_err(|error| unreadable(&error))?;
        // The newest may not be written yet.
        let oldest_shown = snapshot.alerts.last().map_or(u64::MAX, |alert| alert.number);
        alerts.extend(written.into_iter().filter(|alert| alert.number < oldest_shown));
        alerts.truncate(ALERTS_OF_ONE);
        let blocks = self.blocks([subject], &snapshot, now)?;
        if alerts.is_empty() && blocks.is_empty() {
            return Err((404, format!("nothing is known of {subject}: no alert is kept, and no block was made")));
        }
        let explained = alerts.iter().map(|alert| self.explained(alert, &snapshot, now)).collect::<Result<_, _>>()?;
        Ok(About::of(subject, explained, &Around { snapshot: &snapshot, blocks, now }))
    }

    /// Those of the snapshot first, because the newest are written some seconds later.
    fn alert(&self, snapshot: &Snapshot, number: u64) -> Result<Alert, Problem> {
        let shown = snapshot.alerts.iter().find(|alert| alert.number == number);
        let found = match shown {
            Some(alert) => Some(alert.clone()),
            None => self.store.alert(number).map_err(|error| unreadable(&error))?,
        };
        found.ok_or_else(|| no_alert(number))
    }

    /// For each subject the block that stands, or else the last one that is remembered; and the last that would have been made by
    /// then, had the mode been another.
    fn blocks(
        &self,
        subjects: impl IntoIterator<Item = Subject>,
        snapshot: &Snapshot,
        observed_by: Timestamp,
    ) -> Result<Vec<KnownBlock>, Problem> {
        let mut blocks = Vec::new();
        for subject in subjects {
            let standing = snapshot.blocks.iter().find(|block| block.subject == subject);
            match standing {
                Some(block) => blocks.push(KnownBlock { record: block.clone(), ended_early: None }),
                None => blocks.extend(self.store.block_of(subject).map_err(|error| unreadable(&error))?),
            }
            let observed = self.store.observed_of(subject, observed_by).map_err(|error| unreadable(&error))?;
            blocks.extend(observed.filter(|known| standing.is_none_or(|block| block.since != known.record.since)));
        }
        Ok(blocks)
    }
}

fn json(outcome: Result<impl serde::Serialize, Problem>) -> Answer {
    match outcome {
        Ok(value) => Answer::json(200, &value),
        Err((status, error)) => Answer::json(status, &Failed { error }),
    }
}

fn no_alert(number: u64) -> Problem {
    (404, format!("there is no alert {number}; `sluice status` lists the last ones"))
}

fn unreadable(error: &StoreError) -> Problem {
    (500, error.to_string())
}
