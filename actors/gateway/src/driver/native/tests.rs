//! Hooks in native code, compiled here and loaded.
