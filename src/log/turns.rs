//! Lines that wait for their turn, kept apart by process.

use std::collections::VecDeque;

/// So many bytes of one process go into a batch, and at least a line.
pub(super) const TURN: usize = 64 * 1024;

/// The lines of processes that do not wait for the destination, each process's in its own queue.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Vec<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// What stands before it is gone.
    start: usize,
    /// The lengths of the lines, since a line may hold newlines.
    lines: VecDeque<usize>,
}

impl Queue {
    fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }
}

impl Turns {
    /// Adds the line that `shape` appends.
    pub(super) fn push(&mut self, number: usize, shape: impl FnOnce(&mut Vec<u8>)) {
        if number >= self.queues.len() {
            self.queues.resize_with(number + 1, Queue::default);
        }
        let queue = &mut self.queues[number];
        let before = queue.bytes.len();
        shape(&mut queue.bytes);
        queue.lines.push_back(queue.bytes.len() - before);
    }

    /// How many bytes wait in a queue.
    pub(super) fn waiting(&self, number: usize) -> usize {
        self.queues.get(number).map_or(0, Queue::waiting)
    }

    /// Appends what is the turn of each to a batch.
    pub(super) fn take(&mut self, batch: &mut Vec<u8>) {
        for queue in &mut self.queues {
            let mut taken = 0;
            while let Some(&line) = queue.lines.front()
                && (taken == 0 || taken + line <= TURN)
            {
                queue.lines.pop_front();
                taken += line;
            }
            batch.extend_from_slice(&queue.bytes[queue.start..queue.start + taken]);
            queue.start += taken;
            if queue.waiting() == 0 {
                queue.bytes.clear();
                queue.bytes.shrink_to(TURN);
                queue.lines.shrink_to(TURN / 64);
                queue.start = 0;
            } else if queue.start > queue.bytes.len() / 2 {
                // Seldom enough to cost each byte one move at most.
                queue.bytes.drain(..queue.start);
                queue.start = 0;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.waiting() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(turns: &mut Turns, number: usize, line: &str) {
        turns.push(number, |out| out.extend_from_slice(line.as_bytes()));
    }

    #[test]
    fn each_has_its_turn_and_lines_stay_whole() {
        let mut turns = Turns::default();
        let long = "x".repeat(TURN / 2) + "\n";
        for _ in 0..3 {
            push(&mut turns, 2, &long);
        }
        push(&mut turns, 0, "{\n  1\n}\n");
        push(&mut turns, 0, "b\n");
        assert_eq!((turns.waiting(2), turns.waiting(1), turns.waiting(9)), (3 * long.len(), 0, 0));
        let batch = |turns: &mut Turns| {
            let mut batch = Vec::new();
            turns.take(&mut batch);
            String::from_utf8(batch).unwrap()
        };
        assert_eq!(batch(&mut turns), format!("{{\n  1\n}}\nb\n{long}"));
        assert_eq!(batch(&mut turns), long);
        push(&mut turns, 0, "c\n");
        assert_eq!(batch(&mut turns), format!("c\n{long}"));
        assert!(turns.is_empty());
        assert!(turns.queues.iter().all(|queue| queue.bytes.capacity() <= TURN));
    }

    #[test]
    fn a_line_longer_than_a_turn_is_a_turn() {
        let mut turns = Turns::default();
        push(&mut turns, 0, &"x".repeat(3 * TURN));
        push(&mut turns, 0, "y");
        let mut batch = Vec::new();
        turns.take(&mut batch);
        assert_eq!(batch.len(), 3 * TURN);
        turns.take(&mut batch);
        assert_eq!(batch.last(), Some(&b'y'));
    }
}
