//! Energy Efficient Ethernet (IEEE 802.3az): a card that sleeps between frames. With some switches links fall and frames go missing
//! for it, the Raspberry Pi's among them, and nobody may notice the box; so it is switched off on the ports, through the `ethtool`
//! call.

use std::io;

use super::ethtool::Ethtool;

/// `ETHTOOL_GEEE`, `ETHTOOL_SEEE`
const GET: u32 = 0x44;
const SET: u32 = 0x45;

/// What became of it at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eee {
    /// The driver does not know it.
    NotSupported,
    /// It was off.
    WasOff,
    /// It was on. The link is made anew, which takes some seconds.
    SwitchedOff,
}

/// `struct ethtool_eee`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EthtoolEee {
    command: u32,
    supported: u32,
    advertised: u32,
    advertised_by_partner: u32,
    is_active: u32,
    is_enabled: u32,
    is_tx_idle_enabled: u32,
    tx_idle_timer_us: u32,
    reserved: [u32; 2],
}

/// Switches it off where it is on. Drivers of some cards know nothing of it as long as the interface is down.
///
/// # Errors
/// The driver knows it and fails, or leaves it on; or there is no such interface.
pub fn switch_off(interface: &str) -> io::Result<Eee> {
    let ethtool = Ethtool::open(interface)?;
    switch_off_by(|eee| {
        // SAFETY: the two commands above exchange exactly one `ethtool_eee`.
        unsafe { ethtool.call(eee) }
    })
}

fn switch_off_by(mut call: impl FnMut(&mut EthtoolEee) -> io::Result<()>) -> io::Result<Eee> {
    let Some(mut eee) = read(&mut call)? else { return Ok(Eee::NotSupported) };
    if eee.is_enabled == 0 {
        return Ok(Eee::WasOff);
    }
    // The rest stays as it was read: some drivers refuse to change more at once.
    (eee.command, eee.is_enabled) = (SET, 0);
    call(&mut eee)?;
    match read(&mut call)? {
        Some(left) if left.is_enabled != 0 => Err(io::Error::other("the driver leaves it on")),
        _ => Ok(Eee::SwitchedOff),
    }
}

/// How it is; none where the driver does not know it.
fn read(call: &mut impl FnMut(&mut EthtoolEee) -> io::Result<()>) -> io::Result<Option<EthtoolEee>> {
    let mut eee = EthtoolEee { command: GET, ..EthtoolEee::default() };
    match call(&mut eee) {
        Ok(()) => Ok(Some(eee)),
        Err(cause) if cause.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use core::mem::{offset_of, size_of};

    use super::*;

    /// A driver that has it on, and of which the settings are not all zeros.
    const ON: EthtoolEee = EthtoolEee {
        command: 0,
        supported: 0x28,
        advertised: 0x28,
        advertised_by_partner: 0x28,
        is_active: 1,
        is_enabled: 1,
        is_tx_idle_enabled: 1,
        tx_idle_timer_us: 34,
        reserved: [0; 2],
    };

    #[test]
    fn it_is_laid_out_as_the_kernel_has_it() {
        assert_eq!(size_of::<EthtoolEee>(), 40);
        let offsets = [
            offset_of!(EthtoolEee, command),
            offset_of!(EthtoolEee, supported),
            offset_of!(EthtoolEee, advertised),
            offset_of!(EthtoolEee, advertised_by_partner),
            offset_of!(EthtoolEee, is_active),
            offset_of!(EthtoolEee, is_enabled),
            offset_of!(EthtoolEee, is_tx_idle_enabled),
            offset_of!(EthtoolEee, tx_idle_timer_us),
            offset_of!(EthtoolEee, reserved),
        ];
        assert_eq!(offsets, [0, 4, 8, 12, 16, 20, 24, 28, 32]);
    }

    /// A driver with this state that takes what is set; what became of it, and the state that it is left in.
    fn played(mut state: EthtoolEee, takes: impl Fn(&EthtoolEee) -> io::Result<bool>) -> (io::Result<Eee>, EthtoolEee) {
        let done = switch_off_by(|eee| {
            if eee.command == GET {
                *eee = EthtoolEee { command: GET, ..state };
            } else if takes(eee)? {
                state = EthtoolEee { command: 0, ..*eee };
            }
            Ok(())
        });
        (done, state)
    }

    #[test]
    fn it_is_switched_off_where_it_is_on_and_nothing_else_is_changed() {
        let (done, left) = played(ON, |_| Ok(true));
        assert_eq!((done.unwrap(), left), (Eee::SwitchedOff, EthtoolEee { is_enabled: 0, ..ON }));
        let off = EthtoolEee { is_enabled: 0, ..ON };
        let (done, left) = played(off, |_| panic!("a link that is well is not made anew"));
        assert_eq!((done.unwrap(), left), (Eee::WasOff, off));
    }

    #[test]
    fn a_driver_that_refuses_or_leaves_it_on_is_an_error() {
        let (done, _) = played(ON, |_| Err(io::Error::from_raw_os_error(libc::EINVAL)));
        assert_eq!(done.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let (done, _) = played(ON, |_| Ok(false));
        assert_eq!(done.unwrap_err().to_string(), "the driver leaves it on");
        let gone = switch_off_by(|_| Err(io::Error::from_raw_os_error(libc::ENODEV)));
        assert_eq!(gone.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_interface_without_it_is_no_error_and_one_that_is_missing_is() {
        assert_eq!(switch_off("lo").unwrap(), Eee::NotSupported);
        assert!(switch_off("no-such-port").is_err());
    }
}
