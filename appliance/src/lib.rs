//! Sluice: the daemon as a library, in the order in which a packet meets its stages.

// The path. Blank lines keep the order, which sorting would lose.
pub mod capture;

pub mod pipeline;

pub mod verdict;

pub mod policy;

pub mod enforce;

// Around the path.
pub mod backup;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
mod draft;
mod folder;
pub mod hardware;
pub mod health;
mod hexadecimal;
pub mod linux;
pub mod lists;
pub mod registry;
pub mod selftest;
pub mod store;
pub mod surroundings;
mod typed_code;
pub mod update;
pub mod web;

/// Where the Debian package puts documents: the README, `docs/`, `features.md`, and `models/`.
pub const DOCUMENTS: &str = "/usr/share/doc/sluice";
