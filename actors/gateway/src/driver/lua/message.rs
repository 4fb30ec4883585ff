//! The messages between gateway and plugins as Lua's tables: the fields by their names, empty ones left out,
//! bytes in base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::blob::{self, Table, Value, put_flag, put_list, put_names, put_number, put_text};
use crate::wire::{
    AccessDefinition, AccessSpec, BasicAuthData, Header, JwtData, MiniRequestObject, Monitor,
    Object, ResponseObject, ReturnOverrides, SessionState,
};

/// A value of a message.
pub(super) trait Field: Sized {
    fn is_empty(&self) -> bool;
    fn put(&self, out: &mut Vec<u8>);
    /// An error says what is wrong, behind the names that lead there.
    fn take(value: Value) -> Result<Self, String>;
}

/// What of a value is wrong, in the words of Lua.
fn wrong(expected: &str, value: &Value) -> String {
    let found = match value {
        Value::Nil | Value::Null => "nil",
        Value::Flag(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "a string",
        Value::Table(_) => "a table",
    };
    format!(" is {found} and not {expected}")
}

impl Field for String {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_text(out, self.as_bytes());
    }

    fn take(value: Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Self::from_utf8(text).map_err(|_| " is not UTF-8".to_owned()),
            // As Lua does it.
            Value::Number(number) => Ok(number.to_string()),
            other => Err(wrong("a string", &other)),
        }
    }
}

impl Field for Bytes {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_text(out, STANDARD.encode(self).as_bytes());
    }

    fn take(value: Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => match STANDARD.decode(text) {
                Ok(bytes) => Ok(bytes.into()),
                Err(_) => Err(" is not base64".to_owned()),
            },
            other => Err(wrong("a string", &other)),
        }
    }
}

impl Field for bool {
    fn is_empty(&self) -> bool {
        !self
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_flag(out, *self);
    }

    fn take(value: Value) -> Result<Self, String> {
        match value {
            Value::Flag(flag) => Ok(flag),
            other => Err(wrong("a boolean", &other)),
        }
    }
}

macro_rules! numbers {
    ($($kind:ty)*) => {
        $(impl Field for $kind {
            fn is_empty(&self) -> bool {
                *self == <$kind>::default()
            }

            fn put(&self, out: &mut Vec<u8>) {
                put_number(out, *self as f64);
            }

            fn take(value: Value) -> Result<Self, String> {
                match value {
                    // Fractions are cut off, and what is too large is the largest.
                    Value::Number(number) => Ok(number as $kind),
                    other => Err(wrong("a number", &other)),
                }
            }
        })*
    };
}

numbers!(f64 i64 i32);

impl<T: Field> Field for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_list(out, self.len());
        self.iter().for_each(|value| value.put(out));
    }

    fn take(value: Value) -> Result<Self, String> {
        let list = table(value)?.into_list().into_iter().enumerate();
        list.map(|(at, value)| T::take(value).map_err(|why| format!("[{}]{why}", at + 1))).collect()
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_names(out, self.len());
        for (name, value) in self {
            put_text(out, name.as_bytes());
            value.put(out);
        }
    }

    fn take(value: Value) -> Result<Self, String> {
        let Table { names, list } = table(value)?;
        let numbered = list.into_iter().enumerate();
        let numbered = numbered.map(|(at, value)| (Value::Number((at + 1) as f64), value));
        let entry = |(name, value)| {
            let name = String::take(name).map_err(|why| format!(": a name{why}"))?;
            let value = T::take(value).map_err(|why| format!(".{name}{why}"))?;
            Ok((name, value))
        };
        numbered.chain(names).map(entry).collect()
    }
}

impl<T: Field> Field for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => put_names(out, 0),
        }
    }

    fn take(value: Value) -> Result<Self, String> {
        T::take(value).map(Some)
    }
}

impl<T: Field> Field for Box<T> {
    fn is_empty(&self) -> bool {
        T::is_empty(self)
    }

    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(value: Value) -> Result<Self, String> {
        T::take(value).map(Self::new)
    }
}

fn table(value: Value) -> Result<Table, String> {
    match value {
        Value::Table(table) => Ok(table),
        other => Err(wrong("a table", &other)),
    }
}

/// The fields of a message; those after `always` are there even if they are empty, so that a hook can fill
/// them.
macro_rules! message {
    ($message:ident { $($field:ident)* } always { $($always:ident)* }) => {
        impl Field for $message {
            fn is_empty(&self) -> bool {
                false
            }

            fn put(&self, out: &mut Vec<u8>) {
                let always: usize = 0 $(+ { let _ = stringify!($always); 1 })*;
                put_names(out, always $(+ usize::from(!Field::is_empty(&self.$field)))*);
                $(if !Field::is_empty(&self.$field) {
                    put_text(out, stringify!($field).as_bytes());
                    self.$field.put(out);
                })*
                $(put_text(out, stringify!($always).as_bytes());
                self.$always.put(out);)*
            }

            fn take(value: Value) -> Result<Self, String> {
                let mut message = Self::default();
                message.lay_over(&mut table(value)?)?;
                Ok(message)
            }
        }

        impl LayOver for $message {
            fn lay_over(&mut self, table: &mut Table) -> Result<(), String> {
                $(lay_over(&mut self.$field, table, stringify!($field))?;)*
                $(lay_over(&mut self.$always, table, stringify!($always))?;)*
                Ok(())
            }
        }
    };
}

/// A message of which some fields are replaced.
trait LayOver {
    fn lay_over(&mut self, table: &mut Table) -> Result<(), String>;
}

fn lay_over<T: Field>(field: &mut T, table: &mut Table, name: &str) -> Result<(), String> {
    match table.take(name) {
        None | Some(Value::Nil | Value::Null) => {}
        Some(value) => *field = T::take(value).map_err(|why| format!(".{name}{why}"))?,
    }
    Ok(())
}

message!(MiniRequestObject {
    headers body url params extended_params return_overrides method request_uri scheme raw_body
    repeated_headers
} always { set_headers delete_headers add_params delete_params });
message!(ReturnOverrides {
    response_code response_error headers override_error response_body
} always {});
message!(ResponseObject { status_code raw_body body headers multivalue_headers } always {});
message!(Header { key values } always {});
message!(SessionState {
    last_check allowance rate per expires quota_max quota_renews quota_remaining
    quota_renewal_rate access_rights org_id oauth_client_id oauth_keys basic_auth_data jwt_data
    hmac_enabled hmac_secret is_inactive apply_policy_id data_expires monitor
    enable_detailed_recording tags alias last_updated id_extractor_deadline
    session_lifetime apply_policies certificate max_query_depth key_id post_expiry_action
    post_expiry_grace_period
} always { metadata });
message!(AccessDefinition { api_name api_id versions allowed_urls } always {});
message!(AccessSpec { url methods } always {});
message!(BasicAuthData { password hash } always {});
message!(JwtData { secret } always {});
message!(Monitor { trigger_limits } always {});
message!(Object {
    hook_type hook_name request session response
} always { metadata spec });

/// An object for a hook.
pub(super) fn put(object: &Object) -> Vec<u8> {
    let mut out = Vec::with_capacity(2048);
    object.put(&mut out);
    out
}

/// Lays what a hook returned over the object that it was called with: there is only what counts and differs.
pub(super) fn apply(object: &mut Object, returned: &[u8]) -> Result<(), String> {
    let Some(Value::Table(mut parts)) = blob::read(returned) else {
        return Err("what it returned cannot be read".to_owned());
    };
    let named = |name: &'static str| move |why: String| format!("{name}{why}");
    if let Some(value) = parts.take("request") {
        let request = object.request.get_or_insert_default();
        table(value)
            .and_then(|mut table| request.lay_over(&mut table))
            .map_err(named("request"))?;
    }
    if let Some(value) = parts.take("response") {
        let response = object.response.get_or_insert_default();
        let mut table = table(value).map_err(named("response"))?;
        // What is not there any more, is no more.
        response.headers.clear();
        response.multivalue_headers.clear();
        response.lay_over(&mut table).map_err(named("response"))?;
    }
    if let Some(value) = parts.take("session") {
        object.session = Some(Field::take(value).map_err(named("session"))?);
    }
    if let Some(value) = parts.take("metadata") {
        object.metadata = Field::take(value).map_err(named("metadata"))?;
    }
    Ok(())
}
