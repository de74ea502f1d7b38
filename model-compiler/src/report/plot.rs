//! Drawings as inline SVG: a curve in a unit square, and boxes of quantiles beside one another.

use maud::{Markup, html};

/// Where the square lies in the drawing, in its units.
const LEFT: f64 = 42.0;
const TOP: f64 = 8.0;
const SIDE: f64 = 200.0;

/// Where boxes begin and how wide their scale is.
const NAMES: f64 = 72.0;
const SCALE: f64 = 200.0;
const ROW: f64 = 16.0;

/// A curve in a square from 0 to 1.
pub(super) struct Curve<'a> {
    pub across: &'a str,
    pub up: &'a str,
    pub points: &'a [(f64, f64)],
    /// What chance or perfection would give, from one point to the other.
    pub reference: [(f64, f64); 2],
    /// Whether each point is marked.
    pub is_dotted: bool,
}

impl Curve<'_> {
    pub fn draw(&self) -> Markup {
        let [from, to] = self.reference.map(place);
        html! {
            svg viewBox="0 0 252 250" role="img" aria-label=(format!("{} over {}", self.up, self.across)) {
                rect.axis x=(LEFT) y=(TOP) width=(SIDE) height=(SIDE) {}
                @for tick in [0.0, 0.5, 1.0] {
                    @let (x, y) = place((tick, tick));
                    text x=(x) y=(TOP + SIDE + 14.0) text-anchor="middle" { (tick) }
                    text x=(LEFT - 5.0) y=(y + 4.0) text-anchor="end" { (tick) }
                }
                text x=(LEFT + SIDE / 2.0) y=(TOP + SIDE + 30.0) text-anchor="middle" { (self.across) }
                text x="10" y=(TOP + SIDE / 2.0) text-anchor="middle" transform=(format!("rotate(-90 10 {})", TOP + SIDE / 2.0)) { (self.up) }
                line.chance x1=(from.0) y1=(from.1) x2=(to.0) y2=(to.1) {}
                polyline.curve points=(self.path()) {}
                @if self.is_dotted {
                    @for (x, y) in self.points.iter().copied().map(place) {
                        circle.dot cx=(x) cy=(y) r="3" {}
                    }
                }
            }
        }
    }

    fn path(&self) -> String {
        let points = self.points.iter().copied().map(place).map(|(x, y)| format!("{x:.1},{y:.1}"));
        points.collect::<Vec<_>>().join(" ")
    }
}

/// Where a point of the unit square lies in the drawing.
fn place((across, up): (f64, f64)) -> (f64, f64) {
    (LEFT + SIDE * across, TOP + SIDE * (1.0 - up))
}

/// Quantiles of 5, 25, 50, 75 and 95 % of something that has a name.
pub(super) type Quantiles = (String, [f32; 5]);

/// Boxes below one another, on one scale from `min` to `max` that is linear about 0 and logarithmic far from it.
pub(super) fn boxes(rows: &[Quantiles], min: f32, max: f32) -> Markup {
    let scaled = |value: f32| f64::from(value).signum() * f64::from(value).abs().ln_1p();
    let (low, high) = (scaled(min), scaled(max));
    let x = |value: f32| NAMES + SCALE * ((scaled(value) - low) / (high - low).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    html! {
        svg viewBox=(format!("0 0 284 {}", ROW * rows.len() as f64)) role="img" aria-label="quantiles by class" {
            @for ((name, [p5, p25, p50, p75, p95]), number) in rows.iter().zip(0_u32..) {
                @let y = ROW * (f64::from(number) + 0.5);
                text x=(NAMES - 6.0) y=(y + 4.0) text-anchor="end" { (name) }
                line.axis x1=(NAMES) x2=(NAMES + SCALE) y1=(y) y2=(y) {}
                line.whisker x1=(x(*p5)) x2=(x(*p95)) y1=(y) y2=(y) {}
                line.box x1=(x(*p25)) x2=(x(*p75)) y1=(y) y2=(y) {}
                circle.median cx=(x(*p50)) cy=(y) r="3.5" {}
            }
        }
    }
}
