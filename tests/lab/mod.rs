//! The laboratory: network namespaces, real services and real attack tools, for the demonstration and the tests.
//!
//! [`network::Network`] is the stage: a LAN, the box in the middle and the outside world. [`services`] are the real servers that
//! stand in it, [`benign`] and [`attacks`] the real programs that people and attackers run, [`daemon`] is Sluice itself.
//! [`line`] emulates the lines between them, [`recording`] and [`manifest`] make labelled captures of it all.
//! Everything goes away with its guard; [`cleanup`] sees to it after a panic, an interrupt or a kill as well.

pub mod attacks;
pub mod benign;
pub mod browser;
pub mod cleanup;
pub mod cross;
pub mod daemon;
pub mod data;
pub mod firmware;
pub mod frames;
pub mod journal;
pub mod line;
pub mod machine;
pub mod manifest;
pub mod namespace;
pub mod network;
pub mod packets;
pub mod process;
pub use model_compiler::random;
pub mod recording;
pub mod services;
pub mod stream;
pub mod talk;
pub mod two_hosts;
pub mod wire;
