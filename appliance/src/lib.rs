//! Sluice: the daemon as a library, in the order in which a packet meets its stages.

// The path.
pub mod capture;
pub mod enforce;
pub mod pipeline;
pub mod policy;
pub mod verdict;

// Around the path.
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
pub mod hardware;
pub mod health;
pub mod linux;
pub mod store;
pub mod web;
