//! `sluice check-config`: what the daemon would make of the configuration.

use std::path::Path;

use super::Failure;
use crate::config::Config;

pub(super) fn check_config(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path)?;
    let Config { bridge, policy, web, memory, .. } = &config;
    let list = |networks: &[ipnet::IpNet]| match networks {
        [] => String::from("none"),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    println!("{}: fine", path.display());
    println!("  mode {}, profile {:?}", config.mode.name(), policy.profile);
    println!(
        "  bridge {} of {} and {}, addresses {}",
        bridge.name,
        bridge.ports[0],
        bridge.ports[1],
        list(&bridge.addresses)
    );
    println!("  never blocked: {} (and this box, and the gateways)", list(&policy.allow));
    println!("  household: {}", list(&config.lan()));
    println!("  blocks last {} s, {} at most", policy.block_ttl_s, policy.max_blocks);
    match (web.listen_port, bridge.addresses.first()) {
        (0, _) => println!("  no page (web.listen_port = 0)"),
        (_, None) => println!("  no page: bridge.addresses is empty"),
        (port, Some(address)) => println!("  page at http://{}/", std::net::SocketAddr::new(address.addr(), port)),
    }
    println!("  {} connections followed at once", memory.flows);
    Ok(())
}
