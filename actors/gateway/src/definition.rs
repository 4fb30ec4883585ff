//! The definitions of APIs.

use std::path::Path;
use std::sync::Arc;

use crate::api::Api;

/// Reads the APIs of a folder; what is wrong with others is a sentence each.
pub fn load(_folder: &Path) -> (Vec<Arc<Api>>, Vec<String>) {
    (Vec::new(), Vec::new())
}
