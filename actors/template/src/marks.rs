//! Marks in a template's tree that tell where its execution is, and the checks that Go makes before.
//!
//! The engine's failures do not say where they happened. So a call of a function that notes the
//! place stands before every action.

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, SmolStr,
};

use crate::fault::Fault;

/// The name of the function that notes the place; no template can call it, for its blank.
pub(crate) const MARK: &str = " mark";

/// The name of the function that gives no value: what `template` hands on where nothing is given.
pub(crate) const NOTHING: &str = " nothing";

/// The functions that Go has built in.
const FUNCTIONS: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
];

/// The tree with marks in it; an error if it uses what does not exist.
pub(crate) fn marked(tree: &ListNode, source: &str) -> Result<ListNode, Fault> {
    let mut marker = Marker { source, variables: vec!["$".into()], at: (1, 1) };
    marker.list(tree)
}

struct Marker<'a> {
    source: &'a str,
    /// The variables in scope, the latest last.
    variables: Vec<SmolStr>,
    /// Where the action stands that is looked at.
    at: (usize, usize),
}

impl Marker<'_> {
    fn list(&mut self, list: &ListNode) -> Result<ListNode, Fault> {
        let mut nodes = Vec::with_capacity(list.nodes.len() * 2);
        for node in &list.nodes {
            let pos = match node {
                Node::Action(action) => action.pos,
                Node::If(branch) | Node::Range(branch) | Node::With(branch) => branch.pos,
                Node::Template(template) => template.pos,
                _ => {
                    nodes.push(node.clone());
                    continue;
                }
            };
            self.at = place(self.source, pos.offset);
            nodes.push(mark(pos, self.at));
            nodes.push(match node {
                Node::Action(action) => {
                    self.pipe(&action.pipe)?;
                    node.clone()
                }
                Node::Template(template) => {
                    template.pipe.iter().try_for_each(|pipe| self.pipe(pipe))?;
                    let mut template = template.clone();
                    template.pipe.get_or_insert_with(|| call(pos, NOTHING, Vec::new()));
                    Node::Template(template)
                }
                Node::If(branch) => Node::If(self.branch(branch)?),
                Node::With(branch) => Node::With(self.branch(branch)?),
                Node::Range(branch) => Node::Range(self.branch(branch)?),
                other => other.clone(),
            });
        }
        Ok(ListNode { pos: list.pos, nodes })
    }

    /// What a branch declares ends with it.
    fn branch(&mut self, branch: &BranchNode) -> Result<BranchNode, Fault> {
        let outer = self.variables.len();
        self.pipe(&branch.pipe)?;
        let inner = self.variables.len();
        let body = self.list(&branch.body)?;
        self.variables.truncate(inner);
        let else_body = branch.else_body.as_ref().map(|list| self.list(list)).transpose()?;
        self.variables.truncate(outer);
        Ok(BranchNode { pos: branch.pos, pipe: branch.pipe.clone(), body, else_body })
    }

    fn pipe(&mut self, pipe: &PipeNode) -> Result<(), Fault> {
        for expr in pipe.commands.iter().flat_map(|command| &command.args) {
            self.expr(expr)?;
        }
        for name in &pipe.decl {
            match pipe.is_assign {
                true => self.known(name)?,
                false => self.variables.push(name.clone()),
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), Fault> {
        match expr {
            Expr::Identifier(_, name) if !FUNCTIONS.contains(&name.as_str()) => {
                Err(self.fault(format!("function {:?} not defined", name.as_str())))
            }
            Expr::Variable(_, name, _) => self.known(name),
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.expr(inner),
            _ => Ok(()),
        }
    }

    fn known(&self, name: &SmolStr) -> Result<(), Fault> {
        match self.variables.contains(name) {
            true => Ok(()),
            false => Err(self.fault(format!("undefined variable {:?}", name.as_str()))),
        }
    }

    fn fault(&self, what: String) -> Fault {
        Fault { line: self.at.0, column: self.at.1, what }
    }
}

/// Line and column of a place in the source.
pub(crate) fn place(source: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let before = &source[..end];
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
}

fn mark(pos: Pos, (line, column): (usize, usize)) -> Node {
    let number = |number: usize| Expr::Number(pos, Number::Int(number as i64));
    let pipe = call(pos, MARK, vec![number(line), number(column)]);
    Node::Action(ActionNode { pos, pipe })
}

fn call(pos: Pos, function: &'static str, mut args: Vec<Expr>) -> PipeNode {
    args.insert(0, Expr::Identifier(pos, SmolStr::new_static(function)));
    let command = CommandNode { pos, args };
    PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false }
}
