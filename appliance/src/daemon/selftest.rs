//! The self-test of the start, in a process of its own: so it cannot bring the daemon down, and its memory goes with it.

use std::path::Path;
use std::process::{Command, Stdio};

use log::{info, warn};

use crate::clock;
use crate::health::Gauges;
use crate::selftest::{Outcome, Report, Step};
use crate::store::{Event, Writer};

/// This program, also where its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// Runs it, and tells what came out to the log, the page and the audit log. Takes seconds.
pub(super) fn run(config: &Path, gauges: &Gauges, writer: &Writer) {
    tell(&steps(PROGRAM, config), gauges, writer);
}

fn tell(steps: &[Step], gauges: &Gauges, writer: &Writer) {
    for step in steps.iter().filter(|step| step.outcome != Outcome::Ok) {
        warn!("self-test: {step}");
    }
    let failed: Vec<_> = steps.iter().filter(|step| step.has_failed()).collect();
    let skipped = steps.iter().filter(|step| matches!(step.outcome, Outcome::Skipped { .. })).count();
    let what = format!("self-test: {} of {} steps failed, {skipped} skipped", failed.len(), steps.len());
    info!("{what}");
    gauges
        .selftest_faults
        .set(failed.iter().map(|step| format!("the self-test of the start failed: {step}")).collect());
    // Where the queue is full, the log and the page still tell it.
    let _ = writer.send(Event::Audit { time: clock::now(), actor: String::from("sluice"), what });
}

fn steps(program: &str, config: &Path) -> Vec<Step> {
    // Ports and disk are looked after all the time, and not only now.
    let mut command = Command::new(program);
    command.args(["selftest", "--json", "--without-ports", "--config"]).arg(config);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let report = output.map_err(anyhow::Error::from).and_then(|output| Ok(serde_json::from_slice(&output.stdout)?));
    match report {
        Ok(Report { steps, .. }) => steps,
        Err(cause) => {
            vec![Step::failed("start", format!("it could not be run: {cause}"), "to see why: sluice selftest")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_directory::TestDirectory;
    use crate::store::{Keep, Store};

    #[test]
    fn what_fails_is_shown_and_written_down() {
        let directory = TestDirectory::new("selftest");
        let store = Store::open(directory.path(), clock::now()).unwrap().store;
        let writer = store.writer(Keep::MANY).unwrap();
        let gauges = Gauges::default();
        let steps = [Step::failed("capture", "no frames", "wait"), steps("/nowhere/sluice", Path::new("x")).remove(0)];
        tell(&steps, &gauges, &writer);
        let faults = gauges.selftest_faults.get();
        assert_eq!(faults[0], "the self-test of the start failed: capture: no frames; wait");
        assert!(faults[1].ends_with("; to see why: sluice selftest"), "{faults:?}");
        writer.flush().unwrap();
        let audit = store.audit_rows(10).unwrap();
        assert!(audit.iter().any(|row| row.what == "self-test: 2 of 2 steps failed, 0 skipped"));
        tell(&[], &gauges, &writer);
        assert!(gauges.selftest_faults.get().is_empty());
    }
}
