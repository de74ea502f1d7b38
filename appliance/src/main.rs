//! The program `sluice`.

use clap::Parser;

#[derive(Parser)]
#[command(name = "sluice", version)]
enum C {
    Replay(sluice::commands::replay::ReplayArgs),
}
fn main() {
    let C::Replay(a) = C::parse();
    if let Err(e) = sluice::commands::replay::replay(&a) {
        eprintln!("sluice: {e}");
        std::process::exit(1)
    }
}
