//! One supervised program under a restart policy.
pub mod config;
