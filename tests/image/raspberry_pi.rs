//! A Raspberry Pi, whose firmware counts no starts: the initial root of its slots does. All but the firmware is real; that is played by
//! `lab/firmware.rs`.

use lab::machine::Machine;
use lab::network::Network;
use lab::services;

use super::{IMAGE, MEMORY_MIB, start_up, status, wait_until_slots_are};

/// What the console says of a slot that another one is started for.
fn gives_way(console: &str) -> String {
    let line = console.lines().find(|line| line.contains("gives way")).unwrap_or_else(|| panic!("{console}"));
    assert!(console.contains("Restarting system with command '0 tryboot'"), "{console}");
    line.trim().to_owned()
}

#[test]
fn a_raspberry_pi_starts_the_other_slot_where_the_kept_one_does_not_come_up_or_cannot_be_mounted() {
    let network = Network::beside_others().unwrap();
    let _server = services::dhcp(&network.wan).unwrap();
    let mut board = Machine::raspberry_pi(&network, &IMAGE, MEMORY_MIB).unwrap();

    // Three starts of slot a came to nothing. The other one runs once, and is what the firmware starts from then on.
    board.write_starts("xxx").unwrap();
    board.power_on().unwrap();
    let said = gives_way(&board.follow_restart().unwrap());
    assert_eq!(said, "sluice: slot a gives way to slot b: it was started three times and did not come up");
    let address = start_up(&board);
    let runs_b = ["slot a: version 1", "slot b: version 1, runs, is started"];
    wait_until_slots_are(&board, &address, runs_b);
    let faults = status(&board, &address)["faults"].to_string();
    assert!(faults.contains("slot b runs because slot a could not be started"), "{faults}");
    board.check_console().unwrap();

    // That one's root rots: slot a, which was only not up in time, is started at once.
    board.cut_power();
    board.wipe("root-b").unwrap();
    board.power_on().unwrap();
    let said = gives_way(&board.follow_restart().unwrap());
    assert!(said.starts_with("sluice: slot b gives way to slot a: /dev/vda"), "{said}");
}
