//! How much a call may do: instructions are counted, and the time is looked at now and then.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use mlua::{HookTriggers, Lua, VmState};

/// After how many instructions the count and the time are looked at.
const EVERY: u32 = 1000;

/// What a call has left. Shared with what counts.
#[derive(Debug)]
pub(super) struct Budget {
    /// How often is looked before it is over.
    looks: u32,
    left: Cell<u32>,
    deadline: Cell<Instant>,
    over: Cell<Option<Over>>,
}

/// Why a call was ended. Its state cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Instructions,
    Time,
}

impl Budget {
    /// Has instructions counted in a state; the count of each call is exact to 1000.
    pub(super) fn set(lua: &Lua, instructions: u32) -> mlua::Result<Rc<Self>> {
        let every = instructions.min(EVERY);
        let budget = Rc::new(Self {
            // The first look of a call may come early, since its predecessor did not come to it.
            looks: instructions / every + 1,
            left: Cell::default(),
            deadline: Cell::new(Instant::now()),
            over: Cell::default(),
        });
        let counted = budget.clone();
        // For all coroutines: LuaJIT has one hook for all of them.
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), move |lua, _| {
            let Some(over) = counted.look() else { return Ok(VmState::Continue) };
            // Whatever catches this has it again with its next instruction.
            lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), move |_, _| {
                Err(over.error())
            })?;
            Err(over.error())
        })?;
        Ok(budget)
    }

    /// Begins a call.
    pub(super) fn begin(&self, deadline: Instant) {
        self.left.set(self.looks);
        self.deadline.set(deadline);
    }

    /// Why the call was ended, if it was.
    pub(super) fn over(&self) -> Option<Over> {
        self.over.get()
    }

    fn look(&self) -> Option<Over> {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        let over = if left == 0 {
            Over::Instructions
        } else if Instant::now() >= self.deadline.get() {
            Over::Time
        } else {
            return None;
        };
        self.over.set(Some(over));
        Some(over)
    }
}

impl Over {
    fn error(self) -> mlua::Error {
        mlua::Error::runtime(match self {
            Self::Instructions => "too many instructions",
            Self::Time => "too late",
        })
    }
}
