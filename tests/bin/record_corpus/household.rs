//! A household as no model here has met it: a real browser, real programs that look for others and tell of themselves, and an evening
//! longer than any. They are recorded beside the tools that are left out.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::browser::Browser;
use lab::process::run_any;
use lab::services;

use crate::evening;
use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        evening::an_hour(),
        Scenario::benign("chromium", "chromium_reads", |s| read(s, 12, 4_000)),
        Scenario::benign("chromium", "chromium_in_haste", |s| read(s, 40, 300)),
        Scenario::benign("mdns", "mdns_services", |s| discover(s, 9)),
    ]
}

/// Somebody reads pages of four servers, by their names. Each has forty pictures of all four, asks for news all the time, and has an
/// advertisement whose server is gone.
fn read(scene: &Scene, pages: u32, pause_ms: u64) -> Result<()> {
    let mut random = scene.random();
    let browser = Browser::start(scene.lan())?;
    for _ in 0..pages {
        let scheme = if random.below(3) == 0 { "https" } else { "http" };
        browser.open(&format!("{scheme}://host{}.example.com/{}", random.below(4), services::WEB_PAGE))?;
        sleep(Duration::from_millis(random.between(pause_ms / 2, pause_ms)));
    }
    Ok(())
}

/// Devices on both sides of the box tell what they offer, by mDNS and SSDP, while others look for it: for each service there is, and again and
/// again for a router that forwards ports, which none here does.
fn discover(scene: &Scene, times: u32) -> Result<()> {
    let _printer = services::avahi(scene.lan(), "lan0", &["_ipp._tcp", "_hap._tcp", "_airplay._tcp"])?;
    let _television = services::minidlna(scene.lan(), "lan0")?;
    let _router = services::avahi(scene.wan(), "wan0", &["_http._tcp", "_ssh._tcp"])?;
    let _looking = [scene.lan().start("mdns-scan")?, scene.wan().start("mdns-scan")?];
    let mut random = scene.random();
    for _ in 0..times {
        run_any(&mut scene.lan().words("upnpc -m lan0 -s"), LIMIT)?;
        sleep(Duration::from_millis(random.between(500, 5_000)));
    }
    Ok(())
}
