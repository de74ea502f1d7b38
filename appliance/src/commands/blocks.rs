//! `sluice block` and `sluice unblock`.

use core::net::IpAddr;
use core::time::Duration;
use std::path::Path;

use super::Failure;
use crate::web::Client;

pub(super) fn block(socket: &Path, address: IpAddr, ttl: Duration, why: &str) -> Result<(), Failure> {
    let done = Client::new(socket).block(address, ttl, why)?;
    println!("{} is blocked for {} s.", done.address, ttl.as_secs());
    Ok(())
}

pub(super) fn unblock(socket: &Path, address: IpAddr) -> Result<(), Failure> {
    let done = Client::new(socket).unblock(address)?;
    println!("{} is not blocked any more.", done.address);
    Ok(())
}
