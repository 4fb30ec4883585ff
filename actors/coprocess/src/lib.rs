//! One supervised program under a restart policy.
pub mod config;
pub mod scalars;
pub mod table;
