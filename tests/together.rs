//! The tests of the whole, in one program: most of them wait most of their time, so they run side by side. Those that measure what the
//! machine has left (idle, memory, overload) are programs of their own.

mod alerts;
mod bridge;
mod browser;
mod buildroot;
mod capture;
mod command_line;
mod configuration;
mod continuity;
mod cross;
mod default_rules;
mod encapsulations;
mod floods;
mod hardware;
mod house_rules;
mod household;
mod image;
mod laboratory;
mod line;
mod lists;
mod models;
mod modes;
mod nftables;
mod nothing_lost;
mod on_failure;
mod openwrt;
mod packages;
mod parser_corpus;
mod ports;
mod prevention;
mod reload;
mod replay;
mod selftest;
mod set_up;
mod skew;
mod surroundings;
