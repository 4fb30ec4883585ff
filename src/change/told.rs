//! A plan in words, and for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Member, Plan, Socket, What};

impl What {
    fn word(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Live => "live",
            Self::Next => "next-start",
            Self::Start => "start",
            Self::Wait(_) => "wait",
        }
    }
}

impl Socket {
    fn word(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, keys } = self;
        match what {
            What::Stop => write!(f, "{name}: stops, since the config has it no more"),
            What::Restart => write!(f, "{name}: restarts ({})", keys.join(", ")),
            What::Live => write!(f, "{name}: changes and runs on ({})", keys.join(", ")),
            What::Next => write!(f, "{name}: changes with its next start ({})", keys.join(", ")),
            What::Start if keys.is_empty() => write!(f, "{name}: starts"),
            What::Start => write!(f, "{name}: starts ({})", keys.join(", ")),
            What::Wait(event) => write!(f, "{name}: is new, and starts with {event}"),
        }
    }
}

impl Plan {
    /// A sentence for each thing that happens.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.members.iter().map(Member::to_string).collect();
        if self.reordered {
            lines.push("the coprocesses have another order from now on".to_owned());
        }
        lines.extend(self.sockets.iter().map(|(name, what)| match what {
            Socket::Close => format!("exec socket {name}: closes, and its programs are ended"),
            Socket::Open => format!("exec socket {name}: opens"),
        }));
        lines.extend(self.live.iter().map(|key| format!("{key}: changes at once")));
        let rendered = self.rendered.iter();
        lines.extend(rendered.map(|key| {
            format!("{key}: templates are rendered anew, and the main process is reloaded")
        }));
        lines.extend(self.whole.iter().map(|key| format!("{key}: takes a new start of coproc")));
        match (self.is_empty(), self.untouched) {
            (true, _) => lines.push("nothing changes".to_owned()),
            (false, 0) => {}
            (false, 1) => lines.push("1 coprocess is not touched".to_owned()),
            (false, n) => lines.push(format!("{n} coprocesses are not touched")),
        }
        if let Some(why) = self.refusal() {
            lines.push(format!("all of it is refused: {why}"));
        }
        lines
    }

    /// Why it cannot be carried out, if it cannot.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self.whole.as_slice() {
            [] => None,
            [one] => Some(format!("{one} cannot change while coproc runs")),
            [first @ .., last] => {
                Some(format!("{} and {last} cannot change while coproc runs", first.join(", ")))
            }
        }
    }

    /// All of it.
    pub(crate) fn to_json(&self, applied: bool) -> Value {
        let Self { whole, live, rendered, sockets, apis: _, members, reordered, untouched } = self;
        let socket =
            |(name, what): &(String, Socket)| json!({ "name": name, "action": what.word() });
        let member = |Member { name, what, keys }: &Member| {
            let mut member = json!({ "name": name, "action": what.word(), "keys": keys });
            if let What::Wait(event) = what {
                member["event"] = event.to_string().into();
            }
            member
        };
        json!({
            "applied": applied,
            "coprocesses": members.iter().map(member).collect::<Vec<_>>(),
            "untouched": untouched,
            "reordered": reordered,
            "exec_sockets": sockets.iter().map(socket).collect::<Vec<_>>(),
            "live": live,
            "rendered": rendered,
            "needs_new_start": whole,
            "lines": self.lines(),
        })
    }
}
