//! Capabilities by name: which of root's rights a program has.

use std::borrow::Cow;

use rustix::thread::CapabilitySet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::scalar::{printable, refuse};
use crate::words::Words;

/// A set of capabilities of capabilities(7), written as a list of names: `CAP_CHOWN`, `chown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(CapabilitySet);

impl Capabilities {
    /// Those of these names; the error is the first that is none.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let one = |name: &'a str| {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            CapabilitySet::from_name(bare).ok_or(name)
        };
        names.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// One bit for each, by the kernel's numbers.
    pub fn bits(self) -> u64 {
        self.0.bits()
    }

    /// Their names, with blanks between them.
    pub fn names(set: CapabilitySet) -> String {
        let names = set.iter_names().map(|(name, _)| format!("CAP_{name}"));
        names.collect::<Vec<_>>().join(" ")
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Words(words) = Words::deserialize(deserializer)?;
        Self::from_names(words.iter().map(String::as_str)).map_err(|wrong| {
            let what = format!("`{}` is not a capability", printable(wrong));
            refuse(what, "names of capabilities(7), such as `CAP_NET_BIND_SERVICE`")
        })
    }
}

impl JsonSchema for Capabilities {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Capabilities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "array",
                    "items": { "type": "string", "pattern": "^([Cc][Aa][Pp]_)?[A-Za-z_]+$" }
                },
                { "type": "string" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_form() {
        for name in ["CAP_NET_BIND_SERVICE", "net_bind_service", "cap_Net_Bind_Service"] {
            assert_eq!(Capabilities::from_names([name]).unwrap().bits(), 1 << 10, "{name}");
        }
        let two = Capabilities::from_names(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]).unwrap();
        assert_eq!(two.bits(), 1 | 1 << 40);
        assert_eq!(Capabilities::names(two.0), "CAP_CHOWN CAP_CHECKPOINT_RESTORE");
        assert_eq!(Capabilities::from_names([]).unwrap().bits(), 0);
        for name in ["", "CAP_", "ALL", "CAP_CAP_CHOWN", "CAP_CHOWN|CAP_KILL"] {
            assert_eq!(Capabilities::from_names(["chown", name]), Err(name));
        }
    }
}
