//! Which form of a model the build compiles: what `model-compiler forms` measured of both, as `form.json` beside the model says.

use serde::{Deserialize, Serialize};

pub use crate::emit::Form;
use crate::model::Model;

/// What the file beside `model.json` is called.
pub const FILE: &str = "form.json";

/// A form this much faster than the other one is taken even where it is the larger.
const MUCH_FASTER: f64 = 1.1;

/// What a form of a compiled model costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Time for a verdict, of the fastest of several rounds.
    pub verdict_ns: f64,
    /// Machine code.
    pub code_bytes: u64,
    /// Constants: the tables, and what the code refers to.
    pub constant_bytes: u64,
}

impl Cost {
    fn bytes(&self) -> u64 {
        self.code_bytes + self.constant_bytes
    }
}

/// Both forms of a model, measured on one machine on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The architecture that it was measured on.
    pub architecture: String,
    /// Rows that were asked about.
    pub rows: usize,
    /// Nested ifs; the constants are those that explanations walk all the same.
    pub ifs: Cost,
    /// A walk of the tables.
    pub table: Cost,
}

impl Measured {
    /// From the text of `form.json`.
    ///
    /// # Errors
    /// It is none.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The faster form; where they are about as fast, the smaller one.
    #[must_use]
    pub fn choice(&self) -> Form {
        let ([faster, slower], form, other) = if self.ifs.verdict_ns < self.table.verdict_ns {
            ([self.ifs, self.table], Form::Ifs, Form::Table)
        } else {
            ([self.table, self.ifs], Form::Table, Form::Ifs)
        };
        let much = slower.verdict_ns >= faster.verdict_ns * MUCH_FASTER;
        if much || faster.bytes() <= slower.bytes() { form } else { other }
    }
}

/// The form for the model: the measured one, or the one that is best for most where nobody measured.
#[must_use]
pub fn of(model: &Model, measured: Option<&Measured>) -> Form {
    measured.map_or_else(|| Form::unmeasured(model), Measured::choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(ifs: (f64, u64), table: (f64, u64)) -> Form {
        let [ifs, table] =
            [ifs, table].map(|(verdict_ns, code_bytes)| Cost { verdict_ns, code_bytes, constant_bytes: 10 });
        Measured { architecture: "x86_64".to_owned(), rows: 1, ifs, table }.choice()
    }

    #[test]
    fn the_faster_form_is_taken_and_of_two_that_are_about_as_fast_the_smaller() {
        assert_eq!(choice((10.0, 900), (12.0, 100)), Form::Ifs);
        assert_eq!(choice((12.0, 100), (10.0, 900)), Form::Table);
        assert_eq!(choice((10.0, 900), (10.5, 100)), Form::Table);
        assert_eq!(choice((10.5, 100), (10.0, 900)), Form::Ifs);
        assert_eq!(choice((10.0, 100), (10.5, 900)), Form::Ifs);
    }
}
