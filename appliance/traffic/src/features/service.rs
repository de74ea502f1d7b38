//! Protocol and service.

use super::{Index, Values};
use crate::flow::Flow;
use crate::protocols::{ICMP, ICMPV6, TCP, UDP};
use crate::services::Service;

pub(super) fn fill(values: &mut Values, flow: &Flow) {
    let protocol = flow.key.protocol();
    values.set_flag(Index::IsTcp, protocol == TCP);
    values.set_flag(Index::IsUdp, protocol == UDP);
    values.set_flag(Index::IsIcmp, matches!(protocol, ICMP | ICMPV6));
    values.set_flag(Index::LoginService, flow.service() == Service::Login);
    values.set_flag(Index::WebService, flow.service() == Service::Web);
    values.set_flag(Index::GroupDestination, flow.to_group);
}
