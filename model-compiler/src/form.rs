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

    /// What a form costs.
    #[must_use]
    pub const fn cost(&self, form: Form) -> Cost {
        match form {
            Form::Ifs => self.ifs,
            Form::Table => self.table,
        }
    }

    /// The form that serves the aim. Of two that are about as fast the smaller one is the better for speed, too.
    #[must_use]
    pub fn choice(&self, aim: Aim) -> Form {
        let (ifs, table) = (self.ifs, self.table);
        let smaller = if ifs.bytes() < table.bytes() { Form::Ifs } else { Form::Table };
        let faster = if ifs.verdict_ns < table.verdict_ns { Form::Ifs } else { Form::Table };
        let gain = self.cost(smaller).verdict_ns / self.cost(faster).verdict_ns;
        if aim == Aim::Small || gain < MUCH_FASTER { smaller } else { faster }
    }
}

/// What the program is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// To be fast.
    Speed,
    /// To be small, for boards whose flash is scarce.
    Small,
}

/// The form for the model: by what was measured, or the one that is best for most where nobody measured.
#[must_use]
pub fn of(model: &Model, measured: Option<&Measured>, aim: Aim) -> Form {
    measured.map_or_else(|| Form::unmeasured(model), |measured| measured.choice(aim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(ifs: (f64, u64), table: (f64, u64)) -> Measured {
        let [ifs, table] =
            [ifs, table].map(|(verdict_ns, code_bytes)| Cost { verdict_ns, code_bytes, constant_bytes: 10 });
        Measured { architecture: "x86_64".to_owned(), rows: 1, ifs, table }
    }

    #[test]
    fn the_faster_form_is_taken_and_of_two_that_are_about_as_fast_the_smaller() {
        let choice = |ifs, table| measured(ifs, table).choice(Aim::Speed);
        assert_eq!(choice((10.0, 900), (12.0, 100)), Form::Ifs);
        assert_eq!(choice((12.0, 100), (10.0, 900)), Form::Table);
        assert_eq!(choice((10.0, 900), (10.5, 100)), Form::Table);
        assert_eq!(choice((10.5, 100), (10.0, 900)), Form::Ifs);
        assert_eq!(choice((10.0, 100), (10.5, 900)), Form::Ifs);
    }

    #[test]
    fn what_is_built_small_takes_the_smaller_form() {
        assert_eq!(measured((10.0, 900), (90.0, 100)).choice(Aim::Small), Form::Table);
        assert_eq!(measured((90.0, 100), (10.0, 900)).choice(Aim::Small), Form::Ifs);
    }
}
