//! Prevention: our own nftables table keeps an offender out, nobody else, and not for ever.

use core::time::Duration;

use super::Step;
use super::frames::{End, SCANNER, VISITOR, attempt};
use super::stage::{PORTS, Stage};
use crate::clock::{self, Stopwatch};
use crate::enforce::nftables::Nftables;
use crate::enforce::{Block, Desired, EnforceError, Enforcer};
use crate::policy::{Action, Subject};

/// Longer than the test, so that it cannot end while it is being proven.
const BLOCK: Duration = Duration::from_secs(60);
/// What the block is cut down to, to see it end.
const REST: Duration = Duration::from_secs(1);
/// How much longer it may stand.
const PATIENCE: Duration = Duration::from_secs(4);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const CAPACITY: u32 = 16;
const VLAN: u16 = 9;

pub(super) const NFTABLES: &str = "nftables";
pub(super) const END: &str = "end of a block";

/// Both steps.
pub(super) fn try_out(stage: &Stage) -> [Step; 2] {
    let mut table = Nftables::new(PORTS.map(str::to_owned), CAPACITY);
    match keep_out(stage, &mut table) {
        Ok(step) if !step.has_failed() => {
            [step, let_in(stage, &mut table).unwrap_or_else(|error| refused(END, &error))]
        }
        Ok(step) => [step, no_end()],
        Err(error) => [refused(NFTABLES, &error), no_end()],
    }
}

fn no_end() -> Step {
    Step::skipped(END, "there is no block to see the end of", "that blocks end by themselves")
}

/// The texts of these errors say what to do where anything can be done.
fn refused(name: &str, error: &EnforceError) -> Step {
    Step::failed(name, error.to_string(), "see `dmesg`")
}

fn blocks(lasting: Duration) -> Vec<Block> {
    let until = clock::now().plus(lasting);
    SCANNER.map(|address| Block { subject: Subject::of(address), action: Action::Deny, until }).to_vec()
}

/// The scanner in both families, plain and tagged, then somebody else.
fn attempts() -> Vec<(String, Vec<u8>)> {
    let plain_and_tagged = |who: [core::net::IpAddr; 2]| {
        who.into_iter().flat_map(|address| {
            [
                (address.to_string(), attempt(address, None)),
                (format!("{address} in VLAN {VLAN}"), attempt(address, Some(VLAN))),
            ]
        })
    };
    plain_and_tagged(SCANNER).chain(plain_and_tagged(VISITOR)).collect()
}

fn keep_out(stage: &Stage, table: &mut Nftables) -> Result<Step, EnforceError> {
    let desired = Desired { blocks: blocks(BLOCK), ..Desired::default() };
    table.replace(&desired, clock::now())?;
    if desired.differs_from(&table.read_back()?, clock::now()) {
        return Ok(Step::failed(NFTABLES, "the kernel does not hold the blocks that it took", "try another kernel"));
    }
    let (names, frames): (Vec<_>, Vec<_>) = attempts().into_iter().unzip();
    let crossed = match stage.crossing(End::Outside, &frames) {
        Ok(crossed) => crossed,
        Err(cause) => return Ok(Step::failed(NFTABLES, format!("frames cannot be sent: {cause}"), "see `dmesg`")),
    };
    let kept_out = SCANNER.len() * 2;
    // Of these the first are to be kept out, and the others not.
    let wrong = names.iter().zip(crossed).enumerate().find(|(index, (_, crossed))| *crossed == (*index < kept_out));
    let family = table.family().name();
    Ok(match wrong {
        Some((index, (name, _))) if index < kept_out => {
            let seen = format!("{name} is blocked, and still gets through the {family} table");
            Step::failed(NFTABLES, seen, "another program may hook before it: see `nft list ruleset`")
        }
        Some((_, (name, _))) => {
            let seen = format!("{name} is not blocked, and does not get through the {family} table");
            Step::failed(NFTABLES, seen, "another program may drop it: see `nft list ruleset`")
        }
        None => Step::ok(
            NFTABLES,
            format!("family {family}; the blocked are kept out, and nobody else, in IPv4 and IPv6, also in a VLAN"),
        ),
    })
}

fn let_in(stage: &Stage, table: &mut Nftables) -> Result<Step, EnforceError> {
    for block in blocks(REST) {
        table.block(&block, clock::now())?;
    }
    let begin = Stopwatch::start();
    let frames = SCANNER.map(|address| attempt(address, None));
    while begin.elapsed() < REST + PATIENCE {
        if matches!(stage.crossing(End::Outside, &frames).as_deref(), Ok([true, true])) {
            let seen =
                format!("let in again by itself after {:.1} s of {} s", begin.elapsed().as_secs_f64(), REST.as_secs());
            table.remove()?;
            return Ok(Step::ok(END, seen));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let seen = format!("a block of {} s still stands after {} s", REST.as_secs(), (REST + PATIENCE).as_secs());
    Ok(Step::failed(END, seen, "see whether the kernel's clock runs; try another kernel"))
}
