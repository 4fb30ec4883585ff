//! The store in a file of one's own.
