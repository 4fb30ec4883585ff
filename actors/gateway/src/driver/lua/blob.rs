//! The bytes in which LuaJIT's `string.buffer` writes values: tables pass between Rust and Lua as one text,
//! which LuaJIT reads and writes far faster than they are built over its API. Pure.

/// Tags of values; texts have their length beyond the last.
mod tag {
    pub(super) const NIL: u32 = 0;
    pub(super) const FALSE: u32 = 1;
    pub(super) const TRUE: u32 = 2;
    pub(super) const NULL: u32 = 3;
    pub(super) const INT: u32 = 6;
    pub(super) const NUMBER: u32 = 7;
    pub(super) const TABLE: u32 = 8;
    pub(super) const TABLE_LAST: u32 = 13;
    pub(super) const TEXT: u32 = 0x20;
}

/// What makes a table of [`tag::TABLE`]: names, and a list that begins at 1.
const NAMES: u32 = 1;
const LIST: u32 = 4;
/// A list that begins at 0, which Lua writes where there is an element 0.
const LIST_FROM_0: u32 = 2;

/// How deep tables may be within each other; that of LuaJIT.
const DEPTH: usize = 100;

fn number(out: &mut Vec<u8>, value: u32) {
    match value {
        0..0xe0 => out.push(value as u8),
        0xe0..0x1fe0 => {
            let value = value - 0xe0;
            out.extend([0xe0 | (value >> 8) as u8, value as u8]);
        }
        _ => {
            out.push(0xff);
            out.extend(value.to_le_bytes());
        }
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    // Nothing comes near to 4 GiB: bodies are bounded, and so is the memory of a state.
    number(out, tag::TEXT.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX)));
    out.extend_from_slice(text);
}

pub(super) fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(if flag { tag::TRUE } else { tag::FALSE } as u8);
}

pub(super) fn put_number(out: &mut Vec<u8>, value: f64) {
    out.push(tag::NUMBER as u8);
    out.extend(value.to_le_bytes());
}

/// The null that JSON has and Lua has not.
pub(super) fn put_null(out: &mut Vec<u8>) {
    out.push(tag::NULL as u8);
}

/// Begins a table of so many names, each of which is a text and a value that follow.
pub(super) fn put_names(out: &mut Vec<u8>, count: usize) {
    out.push((tag::TABLE + if count > 0 { NAMES } else { 0 }) as u8);
    if count > 0 {
        number(out, count as u32);
    }
}

/// Begins a list of so many values, which follow.
pub(super) fn put_list(out: &mut Vec<u8>, count: usize) {
    out.push((tag::TABLE + if count > 0 { LIST } else { 0 }) as u8);
    if count > 0 {
        // The place of the element 0 is counted.
        number(out, count as u32 + 1);
    }
}

/// A value that Lua wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Null,
    Flag(bool),
    Number(f64),
    Text(Vec<u8>),
    Table(Table),
}

/// A table: its names, and its list without gaps from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) names: Vec<(Value, Value)>,
    pub(super) list: Vec<Value>,
}

impl Table {
    /// Takes the value of a name out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let is_it =
            |(key, _): &(Value, Value)| matches!(key, Value::Text(text) if text == name.as_bytes());
        let place = self.names.iter().position(is_it)?;
        Some(self.names.swap_remove(place).1)
    }

    /// The list, with what of it Lua keeps among the names.
    pub(super) fn into_list(self) -> Vec<Value> {
        let Self { names, mut list } = self;
        let mut beyond: Vec<_> = names
            .into_iter()
            .filter_map(|(key, value)| match key {
                Value::Number(place) if place > list.len() as f64 => Some((place, value)),
                _ => None,
            })
            .collect();
        beyond.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (place, value) in beyond {
            if place != (list.len() + 1) as f64 {
                break;
            }
            list.push(value);
        }
        list
    }
}

/// Reads one value; `None` where the bytes are none that Lua writes.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    let value = reader.value(DEPTH)?;
    reader.0.is_empty().then_some(value)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let [first] = self.bytes::<1>()?;
        Some(match first {
            0xff => u32::from_le_bytes(self.bytes()?),
            0xe0.. => (u32::from(first & 0x1f) << 8) + u32::from(self.bytes::<1>()?[0]) + 0xe0,
            _ => first.into(),
        })
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        Some(match self.number()? {
            tag::NIL => Value::Nil,
            tag::FALSE => Value::Flag(false),
            tag::TRUE => Value::Flag(true),
            tag::NULL => Value::Null,
            tag::INT => Value::Number(i32::from_le_bytes(self.bytes()?).into()),
            tag::NUMBER => Value::Number(f64::from_le_bytes(self.bytes()?)),
            kind @ tag::TABLE..=tag::TABLE_LAST => {
                Value::Table(self.table(kind - tag::TABLE, depth.checked_sub(1)?)?)
            }
            length @ tag::TEXT.. => {
                let (text, rest) = self.0.split_at_checked((length - tag::TEXT) as usize)?;
                self.0 = rest;
                Value::Text(text.to_vec())
            }
            _ => return None,
        })
    }

    fn table(&mut self, kind: u32, depth: usize) -> Option<Table> {
        let places = if kind >= LIST_FROM_0 { self.number()? } else { 0 };
        let names = if kind & NAMES != 0 { self.number()? } else { 0 };
        let mut table = Table::default();
        for place in u32::from(kind >= LIST)..places {
            let value = self.value(depth)?;
            // What is at 0, or beyond a gap, is no part of a list.
            if place > 0 && table.list.len() + 1 == place as usize && value != Value::Nil {
                table.list.push(value);
            }
        }
        for _ in 0..names {
            let name = self.value(depth)?;
            table.names.push((name, self.value(depth)?));
        }
        Some(table)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn what_is_put_is_read() {
        let mut out = Vec::new();
        put_names(&mut out, 3);
        put_text(&mut out, b"flag");
        put_flag(&mut out, true);
        put_text(&mut out, b"list");
        put_list(&mut out, 2);
        put_number(&mut out, 1.5);
        put_null(&mut out);
        put_text(&mut out, b"empty");
        put_list(&mut out, 0);
        let Some(Value::Table(mut table)) = read(&out) else { panic!("{out:?}") };
        assert_eq!(table.take("flag"), Some(Value::Flag(true)));
        let list = vec![Value::Number(1.5), Value::Null];
        assert_eq!(table.take("list"), Some(Value::Table(Table { list, ..Table::default() })));
        assert_eq!(table.take("empty"), Some(Value::Table(Table::default())));
        assert_eq!(table.take("empty"), None);
    }

    #[test]
    fn lengths_of_all_sizes_are_read() {
        for length in [0, 1, 0xbf, 0xc0, 0xdf, 0x1fbf, 0x1fc0, 70_000] {
            let mut out = Vec::new();
            put_text(&mut out, &vec![b'x'; length]);
            assert_eq!(read(&out), Some(text(&"x".repeat(length))), "{length}");
            assert_eq!(read(&out[..out.len() - 1]), None, "{length}");
        }
    }

    #[test]
    fn a_list_ends_at_its_first_gap() {
        let at = |place: f64, value: &str| (Value::Number(place), text(value));
        let names = vec![at(4.0, "d"), at(3.0, "c"), at(6.0, "f"), (text("n"), Value::Null)];
        let table = Table { names, list: vec![text("a"), text("b")] };
        assert_eq!(table.into_list(), ["a", "b", "c", "d"].map(text));
    }

    #[test]
    fn tables_are_not_deeper_than_lua_makes_them() {
        let deep = |depth: usize| {
            let mut out = Vec::new();
            for _ in 0..depth {
                put_list(&mut out, 1);
            }
            put_null(&mut out);
            out
        };
        assert!(read(&deep(DEPTH)).is_some());
        assert!(read(&deep(DEPTH + 1)).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
