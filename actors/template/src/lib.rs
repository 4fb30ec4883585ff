//! The templates of a main process's configuration: found, rendered and put in place.
//!
//! # Theory of operation
//!
//! A rendering has four steps, and only the last changes anything that others see. The source is
//! *listed* (`listing`), a *plan* says what becomes of each file (`plan`), all templates are
//! *rendered* to memory (`engine`), and the results are *published* (`publish`): written beside
//! their places and then moved there. What was published is remembered (`memory`), so that an output
//! whose source is gone goes with it, and nothing that somebody else made is ever removed or lost.

mod balance;
mod beside;
mod engine;
mod fault;
mod identity;
mod listing;
mod marks;
mod memory;
mod owner;
mod plan;
mod publish;
mod renderer;
mod text;
mod values;

pub use fault::Fault;
pub use owner::Owner;
pub use renderer::{RenderError, Renderer, Settings};
pub use text::Text;
