//! Which tasks there are, and who offers them: what stands in the folder of sockets.

use std::fmt::Write;
use std::path::Path;

use coproc_coordinator::directory;
use coproc_coordinator::router::Order;
use coproc_core::scalar::printable;
use coproc_provider::is_served;

/// A table of all tasks with their providers, in the order in which they are asked.
pub(super) fn table(socket_dir: &Path, order: Order) -> String {
    let mut rows = vec![["TASK", "PRIORITY", "PROVIDER", "STATE"].map(str::to_owned)];
    for task in directory::tasks(socket_dir, order) {
        for provider in task.providers {
            let dash = || "-".to_owned();
            let priority = provider.priority.map_or_else(dash, |priority| priority.to_string());
            let state = match is_served(&provider.socket) {
                Ok(true) => "up".to_owned(),
                Ok(false) => "down".to_owned(),
                // One that is not for us to ask.
                Err(_) => dash(),
            };
            rows.push([printable(&task.task), priority, printable(&provider.service), state]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
