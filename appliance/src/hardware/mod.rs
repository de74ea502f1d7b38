//! What the box is made of: its two ports and the bridge between them.

pub mod bridge;
