//! Whether every block of a template ends, and every end has a block.
//!
//! The engine's parser stops at an `end` too many, so that the rest of the file would silently be
//! missing, and takes the end of the file for every `end` that is missing. So the file is parsed
//! once more with an action behind it: it has to turn up as the very last one, outside of all blocks.

use gotmpl::parse::{Expr, ListNode, Node, Parser, Pos};

use crate::fault::Fault;
use crate::marks::place;

/// The text of the action behind the file; nobody writes control characters by chance.
const LAST: &str = "\u{1}\u{2}";

/// What begins and ends an action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delimiters<'a> {
    pub(crate) left: &'a str,
    pub(crate) right: &'a str,
}

/// Where the last action turned up.
enum Last {
    /// Where it belongs.
    Outside,
    /// In this block, which has no end.
    Inside(Pos),
    /// Nowhere: the parser stopped before it.
    Lost,
}

/// Checks a template that the parser takes.
pub(crate) fn check(source: &str, by: Delimiters<'_>) -> Result<(), Fault> {
    let fault = |(line, column), what: &str| Err(Fault { line, column, what: what.to_owned() });
    match last(source, by) {
        Last::Outside => Ok(()),
        Last::Inside(pos) => {
            fault(place(source, pos.offset), "unexpected EOF: this block has no end")
        }
        Last::Lost => {
            let at = stop(source, by);
            fault(place(source, at + by.left.len()), "unexpected end or else: no block is open")
        }
    }
}

fn last(source: &str, by: Delimiters<'_>) -> Last {
    let Delimiters { left, right } = by;
    let text = format!("{source}\n{left}`{LAST}`{right}");
    // A file that is cut off within an action cannot be parsed, and is no end too many.
    let parsed = Parser::new(&text, left, right).and_then(Parser::parse);
    let Ok((body, defines)) = parsed else { return Last::Outside };
    let top = body.nodes.iter().any(is_last);
    if top {
        return Last::Outside;
    }
    let block = inside(&body).or_else(|| {
        defines.iter().find_map(|define| match inside(&define.body) {
            Some(pos) => Some(pos),
            None => define.body.nodes.iter().any(is_last).then_some(define.pos),
        })
    });
    block.map_or(Last::Lost, Last::Inside)
}

/// The innermost block that holds the last action.
fn inside(list: &ListNode) -> Option<Pos> {
    list.nodes.iter().find_map(|node| {
        let (Node::If(branch) | Node::Range(branch) | Node::With(branch)) = node else {
            return None;
        };
        [Some(&branch.body), branch.else_body.as_ref()].into_iter().flatten().find_map(|list| {
            inside(list).or_else(|| list.nodes.iter().any(is_last).then_some(branch.pos))
        })
    })
}

fn is_last(node: &Node) -> bool {
    let Node::Action(action) = node else { return false };
    let args = action.pipe.commands.iter().flat_map(|command| &command.args);
    let mut texts = args.map(|arg| matches!(arg, Expr::String(_, text) if &**text == LAST));
    texts.next() == Some(true) && texts.next().is_none()
}

/// Where the action stands at which the parser stops: the last one without which it does not.
fn stop(source: &str, by: Delimiters<'_>) -> usize {
    let mut before = 0;
    for (at, _) in source.match_indices(by.left) {
        if matches!(last(&source[..at], by), Last::Lost) {
            break;
        }
        before = at;
    }
    before
}
