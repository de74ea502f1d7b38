//! What the box is made of: its two ports and the bridge between them, and what a person sees and touches of it.
//!
//! [`bridge`] joins the ports. [`lights`] is what a light says, and [`press`] what is meant by a press of the button; both are
//! pure. [`place`] names where a light or a button is; [`led_class`] and [`gpio`] reach it, and [`pins`] is either of them, as
//! the traits of embedded-hal; [`slot`] bears with one that is missing. [`front`] is the front of the box at one moment, and
//! [`panel`] the thread that keeps it up to date; [`reset`] gives the page a new password.
//!
//! [`guard`] is the other thread: it feeds the watchdog, and tells systemd, as long as packets are looked at. [`board`] asks the
//! board whether it is too hot or has too little power.

pub mod board;
pub mod bridge;
mod front;
pub mod gpio;
pub mod guard;
pub mod led_class;
pub mod lights;
pub mod panel;
pub mod pins;
pub mod place;
pub mod press;
mod reset;
pub mod service;
mod slot;
