//! Which port faces the internet: the one behind which the gateways are.

use crate::capture::Port;
use traffic::address::Mac;

/// So many looks in a row must agree before another port is believed in: somebody who sends with the gateway's MAC makes it
/// seem to jump to and fro.
const LOOKS: u32 = 3;

/// The port, and what it is believed for.
#[derive(Debug, Default)]
pub(super) struct InternetSide {
    port: Option<Port>,
    is_configured: bool,
    /// Gateways that were seen behind the port.
    anchors: Vec<Mac>,
    /// Looks in a row that spoke for the other port.
    against: u32,
}

impl InternetSide {
    /// As the configuration has it, or to be found out.
    pub const fn new(configured: Option<Port>) -> Self {
        Self { port: configured, is_configured: configured.is_some(), anchors: Vec::new(), against: 0 }
    }

    pub const fn port(&self) -> Option<Port> {
        self.port
    }

    /// Looks where the gateways are: those of the kernel's routes, or if none of these is seen, those that were heard of. Once
    /// found, the port stays as long as any gateway is seen behind it that was there before: another one behind the other port
    /// is forged.
    pub fn look(&mut self, routed: &[Mac], heard: &[Mac], mut port_of: impl FnMut(Mac) -> Option<Port>) {
        if self.is_configured {
            return;
        }
        let mut vote = |macs: &[Mac]| majority(macs.iter().filter_map(|mac| port_of(*mac)));
        let Some(port) = vote(routed).or_else(|| vote(heard)) else { return };
        let stays = |anchor: &Mac| port_of(*anchor) == self.port;
        if self.port.is_some_and(|now| now != port) {
            self.against = if self.anchors.iter().any(stays) { 0 } else { self.against + 1 };
            if self.against < LOOKS {
                return;
            }
        }
        self.port = Some(port);
        self.against = 0;
        self.anchors = routed.iter().chain(heard).copied().filter(|mac| port_of(*mac) == Some(port)).collect();
    }
}

/// The port that more of them are behind; none where it is even.
fn majority(ports: impl Iterator<Item = Port>) -> Option<Port> {
    let balance = ports.fold(0_i32, |balance, port| balance + if port == Port::First { 1 } else { -1 });
    match balance {
        0 => None,
        1.. => Some(Port::First),
        _ => Some(Port::Second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const FORGER: Mac = Mac([2, 0, 0, 0, 0, 66]);
    const OTHERS: [Mac; 2] = [Mac([2, 0, 0, 0, 0, 67]), Mac([2, 0, 0, 0, 0, 68])];

    fn look(side: &mut InternetSide, routed: &[Mac], heard: &[Mac], places: &[(Mac, Port)]) -> Option<Port> {
        side.look(routed, heard, |mac| places.iter().find(|(there, _)| *there == mac).map(|(_, port)| *port));
        side.port()
    }

    #[test]
    fn it_is_where_the_routes_lead_and_else_where_most_gateways_are_heard() {
        let places = [(ROUTER, Port::Second), (FORGER, Port::First), (OTHERS[0], Port::First)];
        let new = || InternetSide::new(None);
        assert_eq!(look(&mut new(), &[ROUTER], &[FORGER, OTHERS[0]], &places), Some(Port::Second));
        assert_eq!(look(&mut new(), &[], &[FORGER, OTHERS[0], ROUTER], &places), Some(Port::First));
        assert_eq!(look(&mut new(), &[OTHERS[1]], &[ROUTER], &places), Some(Port::Second), "the route leads nowhere");
        assert_eq!(look(&mut new(), &[], &[FORGER, ROUTER], &places), None, "it is even");
        assert_eq!(look(&mut new(), &[ROUTER], &[], &[]), None);
        assert_eq!(look(&mut InternetSide::new(Some(Port::First)), &[ROUTER], &[], &places), Some(Port::First));
    }

    #[test]
    fn when_cables_are_swapped_it_follows_after_some_looks() {
        let mut side = InternetSide::new(None);
        assert_eq!(look(&mut side, &[ROUTER], &[], &[(ROUTER, Port::Second)]), Some(Port::Second));
        assert_eq!(look(&mut side, &[ROUTER], &[], &[]), Some(Port::Second), "a gateway that is silent is not gone");
        for _ in 1..LOOKS {
            assert_eq!(look(&mut side, &[ROUTER], &[], &[(ROUTER, Port::First)]), Some(Port::Second));
        }
        assert_eq!(look(&mut side, &[ROUTER], &[], &[(ROUTER, Port::First)]), Some(Port::First));
    }

    #[test]
    fn a_gateway_whose_mac_is_borrowed_now_and_then_stays_where_it_is() {
        let mut side = InternetSide::new(None);
        for look_number in 0..20 {
            let port = if look_number % LOOKS == 0 { Port::Second } else { Port::First };
            assert_eq!(look(&mut side, &[ROUTER], &[], &[(ROUTER, port)]), Some(Port::Second));
        }
    }

    #[test]
    fn forged_gateways_do_not_move_it_while_the_true_one_is_seen() {
        let mut side = InternetSide::new(None);
        look(&mut side, &[ROUTER], &[], &[(ROUTER, Port::Second)]);
        let places =
            [(ROUTER, Port::Second), (FORGER, Port::First), (OTHERS[0], Port::First), (OTHERS[1], Port::First)];
        for _ in 0..10 {
            // The box itself was told by ARP that its gateway is at the forger's.
            assert_eq!(look(&mut side, &[FORGER], &[OTHERS[0], OTHERS[1]], &places), Some(Port::Second));
        }
    }
}
