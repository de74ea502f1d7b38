//! From frame bytes to feature vectors.
//!
//! A frame enters as a byte slice with the time at which it was captured. [`decode`] checks its lengths and names its
//! parts. [`flow`] finds the conversation that it belongs to, and says what the packet changed there. [`windows`] keeps
//! what each source and each destination did in the last seconds, because a scan or a flood shows over many flows only.
//! At the *checkpoints* of a flow (its 1st, 2nd, 4th, 8th … packet, and its end) [`features`] turns all of it into one
//! vector of numbers. [`extractor`] is these steps in their order, and [`capture_file`] reads frames from pcap and pcapng
//! bytes. The daemon and the trainer both use this crate and nothing else for it, so what was trained is what runs.
//!
//! Absent here, on purpose: clocks, files, sockets, logging, `unsafe`, and any allocation after construction.
#![forbid(unsafe_code)]

// What the steps share.
pub mod address;
pub mod arena;
pub mod hash;
pub mod limits;
pub mod protocols;
pub mod services;
pub mod time;

// The steps. Blank lines keep the order, which sorting would lose.
pub mod capture_file;

pub mod decode;

pub mod flow;

pub mod windows;

pub mod features;

pub mod extractor;
