//! The reference of the config files, made of their JSON Schema: for the documents and the manual.
//! Pure.

mod markdown;
mod page;
mod shape;

pub use markdown::markdown;
pub(crate) use page::marked;
pub use page::page;
pub use shape::{Key, Reference, Table, Type};
