//! Several instances of one coprocess: each a coprocess by itself, all of them to be had by one name.

use coproc_core::count::Positive;
use coproc_core::name::{Name, NameError};
use coproc_core::scalar::Scalar;

use crate::config::{Coprocess, Replica};

/// The most that one coprocess can have; each has a name that others may not have.
const MOST: u32 = 1024;

/// How many a config asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas(pub u32);

impl Scalar for Replicas {
    const NOUN: &'static str = "a number of replicas";
    const EXPECTED: &'static str = "a number from 1 to 1024";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Positive::read(text).filter(|number| number.0 <= MOST).map(|number| Self(number.0))
    }
}

coproc_core::impl_scalar!(Replicas, "Replicas", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 1024 },
        { "type": "string", "pattern": "^0*[1-9][0-9]*$" }
    ]
});

/// The variable by which a program learns which of them it is.
pub const VARIABLE: &str = "COPROC_REPLICA";

/// The name that stands for its number in commands.
pub const IN_COMMANDS: &str = "replica";

/// The name of one of them: that of all, and its number.
///
/// # Errors
/// Never for a name that can have a number behind it, which all can.
pub fn name(of: &Name, number: u32) -> Result<Name, NameError> {
    format!("{of}-{number}").parse()
}

/// As many coprocesses as there are to be, alike but for name and number.
pub fn expand(one: &Coprocess, count: u32) -> impl Iterator<Item = Coprocess> {
    (1..=count.min(MOST)).filter_map(|number| {
        let of = one.name.clone();
        let name = name(&of, number).ok()?;
        Some(Coprocess { name, replica: Some(Replica { of, number }), ..one.clone() })
    })
}
