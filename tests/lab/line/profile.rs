//! The kinds of lines between a household and the Internet, in what a packet meets on them.
//!
//! The figures are of the size that measurements of access networks report (FCC Measuring Broadband America, RIPE Atlas); none
//! is of a certain provider.

/// Where the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between the box and the gateway.
    Wan,
    /// Between the hosts of the LAN and the box.
    Lan,
}

/// What one direction of a line does to frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Frames leave at no more than this rate; `None` is no limit.
    pub rate_kbit_per_s: Option<u32>,
    /// Frames that would wait longer than this for their turn are dropped.
    pub queue_ms: u32,
    /// What every frame waits.
    pub delay_us: u32,
    /// What a frame waits on top of that: the mean of an exponential distribution.
    pub jitter_us: u32,
    /// Share of the frames that are lost.
    pub loss: f64,
    /// How many frames are lost in a row, on average.
    pub loss_burst: f64,
    /// Share of the frames that are held back, so that later ones overtake them. All others keep their order.
    pub reorder: f64,
    /// How long these are held back.
    pub reorder_us: u32,
}

/// A direction that does nothing.
pub const CLEAR: Direction = Direction {
    rate_kbit_per_s: None,
    queue_ms: 100,
    delay_us: 0,
    jitter_us: 0,
    loss: 0.0,
    loss_burst: 1.0,
    reorder: 0.0,
    reorder_us: 0,
};

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// What it is called in file names.
    pub name: &'static str,
    /// Where it is.
    pub place: Place,
    /// Towards the hosts of the LAN.
    pub down: Direction,
    /// Away from them.
    pub up: Direction,
}

/// Another local network: a cable and a switch.
pub const LAN: Profile = {
    let way = Direction { delay_us: 100, jitter_us: 30, ..CLEAR };
    Profile { name: "lan", place: Place::Wan, down: way, up: way }
};

/// Fibre to the home.
pub const FIBRE: Profile = {
    let way = Direction { delay_us: 4_000, jitter_us: 200, loss: 0.000_1, ..CLEAR };
    let down = Direction { rate_kbit_per_s: Some(200_000), ..way };
    Profile { name: "fibre", place: Place::Wan, down, up: Direction { rate_kbit_per_s: Some(100_000), ..way } }
};

/// DSL over an old copper pair.
pub const DSL: Profile = {
    let way = Direction { delay_us: 11_000, jitter_us: 1_200, loss: 0.001, queue_ms: 120, ..CLEAR };
    let down = Direction { rate_kbit_per_s: Some(30_000), ..way };
    Profile { name: "dsl", place: Place::Wan, down, up: Direction { rate_kbit_per_s: Some(6_000), ..way } }
};

/// A mobile network of the fourth generation.
pub const LTE: Profile = {
    let way = Direction {
        delay_us: 22_000,
        jitter_us: 6_000,
        loss: 0.003,
        loss_burst: 2.0,
        queue_ms: 250,
        reorder: 0.002,
        reorder_us: 12_000,
        ..CLEAR
    };
    let down = Direction { rate_kbit_per_s: Some(25_000), ..way };
    Profile { name: "lte", place: Place::Wan, down, up: Direction { rate_kbit_per_s: Some(8_000), ..way } }
};

/// Devices at the edge of what a wireless access point reaches.
pub const WIFI: Profile = {
    let way = Direction {
        rate_kbit_per_s: Some(20_000),
        delay_us: 1_500,
        jitter_us: 2_500,
        loss: 0.02,
        loss_burst: 2.5,
        reorder: 0.001,
        reorder_us: 5_000,
        ..CLEAR
    };
    Profile { name: "wifi", place: Place::Lan, down: way, up: way }
};

/// All of them; the first is the quickest.
pub const PROFILES: [Profile; 5] = [LAN, FIBRE, DSL, LTE, WIFI];
