//! `--set KEY=VALUE`, and the main program after `--`.

use super::Sources;
use super::origin::Origin;
use super::report::Problem;
use super::tree::{Data, Layer, Node, Path, keeps_case};

/// The layer of the command line.
pub(super) fn layer(sources: &Sources, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::new("command line");
    for text in &sources.set {
        let Some((key, value)) = text.split_once('=') else {
            problems.push(
                Problem::wrong(format!("--set {text}"), "has no `=`").expected("`--set KEY=VALUE`"),
            );
            continue;
        };
        let path = path(key);
        if path.iter().any(String::is_empty) {
            problems.push(
                Problem::wrong(format!("--set {key}"), "has a blank part in its key")
                    .expected("a key with single dots, such as `coprocess.web.restarts`"),
            );
            continue;
        }
        let origin = Origin::Flag { flag: format!("--set {key}") };
        layer.set(&path, Node::text(value, origin));
    }
    if !sources.main.is_empty() {
        let origin = Origin::Flag { flag: "--".to_owned() };
        let words = sources.main.iter().map(|word| Node::text(word.as_str(), origin.clone()));
        let node = Node { data: Data::List(words.collect()), origin: origin.clone() };
        layer.set(&["main".to_owned(), "exec".to_owned()], node);
    }
    layer
}

fn path(key: &str) -> Path {
    let mut path = Path::new();
    let mut rest = key.trim();
    loop {
        if keeps_case(&path) {
            // The name of a variable: what is left, dots and all.
            path.push(rest.to_owned());
            return path;
        }
        match rest.split_once('.') {
            Some((segment, after)) => {
                path.push(segment.to_lowercase());
                rest = after;
            }
            None => {
                path.push(rest.to_lowercase());
                return path;
            }
        }
    }
}
