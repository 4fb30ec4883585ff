"""Who runs hooks. One thread has the turn: it reads calls and runs their hooks itself, one after another, so
that a call that is quick costs no change of threads. A hook that takes its time loses the turn: another thread
goes on with what waits, and the hook's own thread answers when it is done."""

import os
import select
import threading

import coproc_frames as frames

# After how long a hook loses the turn, in seconds; at most twice as long.
TICK = 0.002
# After how many answers they are sent, though more calls wait.
BATCH = 32


class Turn:
    """What the thread that has the turn does."""

    __slots__ = ("count", "running", "call")

    def __init__(self):
        # How many hooks it has run; which of them runs, 0 for none; and for whom.
        self.count = 0
        self.running = 0
        self.call = None


class Turns:
    """Threads, connections and what waits."""

    def __init__(self, control, run, threads):
        self.control = control
        self.run = run
        self.threads = threads
        # Calls that wait, the newest first.
        self.pending = []
        self.turn = None
        self.lanes = {}
        self.poll = select.epoll()
        self.poll.register(control.socket, select.EPOLLIN)
        self.mutex = threading.Lock()
        # Held by the thread that has the turn; given away by the watch.
        self.baton = threading.Lock()
        self.asleep = False
        self.bell = threading.Lock()
        self.bell.acquire()
        # Hooks that run; with none of them left, a worker that is to end does so.
        self.busy = 0
        self.ending = False
        self.over = False
        # This is a copy of the worker that a hook made.
        self.forked = False
        os.register_at_fork(after_in_child=self._disown)
        for number in range(threads):
            name = "hooks-%d" % (number + 1)
            threading.Thread(target=self._follow, name=name, daemon=True).start()

    def _disown(self):
        """Has a copy of the worker neither take its calls nor keep its connections open."""
        self.forked = True
        self.poll.close()
        for connection in [self.control, *self.lanes.values()]:
            connection.socket.close()

    def _follow(self):
        while not self.over:
            self.baton.acquire()
            turn = Turn()
            self.turn = turn
            try:
                self._lead(turn)
            except BaseException:
                self.end()
                raise

    def _lead(self, turn):
        """Reads and runs until the turn is lost."""
        pending = self.pending
        if pending:
            # They waited for a hook that took its time, and may have been given up meanwhile.
            self._read(0)
        # Where more wait than are taken up next, the oldest may be given up before they are answered, and so
        # may all that come after them: the newest are not.
        which = 0 if len(pending) > self.threads else -1
        while True:
            since = 0
            while pending:
                call = pending.pop(which)
                connection, number, kind, payload = call
                turn.call = call
                turn.count += 1
                turn.running = turn.count
                if self.asleep:
                    self._wake()
                answer = self.run(number, kind, payload)
                if self.forked:
                    # The hook forgot that it is in a copy: the worker itself answers.
                    os._exit(0)
                with self.mutex:
                    lost = self.turn is not turn
                    if lost:
                        self.busy -= 1
                    else:
                        turn.running = 0
                        connection.out.append(answer)
                if lost:
                    connection.send(answer)
                    if self.ending:
                        self._end_if_idle()
                    return
                since += 1
                if since >= BATCH:
                    since = 0
                    self._flush()
            self._flush()
            if self.ending:
                self._end_if_idle()
            self._read()

    def _read(self, *patience):
        for number, _ in self.poll.poll(*patience):
            self._receive(number)

    def _flush(self):
        for connection in list(self.lanes.values()):
            if connection.out:
                with self.mutex:
                    out, connection.out = connection.out, []
                connection.send(b"".join(out) if len(out) > 1 else out[0])

    def _receive(self, number):
        control = self.control
        if number == control.socket.fileno():
            came = control.receive()
            for lane in control.came:
                self.lanes[lane.socket.fileno()] = lane
                self.poll.register(lane.socket, select.EPOLLIN)
            control.came = []
            if came is None:
                # The gateway is gone.
                self.end()
            elif any(kind == frames.DRAIN for _, kind, _ in came):
                self.ending = True
            return
        lane = self.lanes[number]
        try:
            came = lane.receive()
        except OSError:
            came = None
        if came is None:
            self.poll.unregister(lane.socket)
            del self.lanes[number]
            lane.socket.close()
            return
        fresh, dropped, pending = [], set(), self.pending
        for call, kind, payload in came:
            if kind == frames.CANCEL:
                dropped.add(call)
            else:
                fresh.append((lane, call, kind, payload))
        # What came first is at the end.
        fresh.reverse()
        pending[:0] = fresh
        if dropped:
            kept = [one for one in pending if one[0] is not lane or one[1] not in dropped]
            for one in pending:
                if one[0] is lane and one[1] in dropped:
                    answer = frames.frame(one[1], frames.ERROR, b"it was given up")
                    with self.mutex:
                        lane.out.append(answer)
            pending[:] = kept

    def _wake(self):
        with self.mutex:
            if self.asleep:
                self.asleep = False
                self.bell.release()

    def watch(self):
        """Takes the turn from hooks that take their time. This is the main thread's, so that signals are
        heard. It sleeps while nothing is called."""
        seen = (None, 0, 0)
        while not self.over:
            turn = self.turn
            now = (turn, turn.count, turn.running) if turn else (None, 0, 0)
            if now[2] and now == seen:
                self._take(*now)
            elif now == seen:
                self.asleep = True
                # Whoever began before it was said that this sleeps has not rung.
                if self.turn is turn and (turn is None or turn.count == now[1]):
                    self.bell.acquire()
                else:
                    self.asleep = False
            seen = now
            self.bell.acquire(timeout=TICK)

    def _take(self, turn, _count, running):
        with self.mutex:
            if self.turn is not turn or turn.running != running:
                return
            self.turn = None
            self.busy += 1
            connection, number, _, _ = turn.call
        # What it has answered already is not kept back.
        self._flush()
        connection.send(frames.frame(number, frames.SLOW))
        self.baton.release()

    def _end_if_idle(self):
        with self.mutex:
            idle = self.busy == 0 and not self.pending
        if idle:
            self.end()

    def end(self):
        """Has the main thread come back from its watch."""
        self.over = True
        with self.mutex:
            if self.asleep:
                self.asleep = False
                self.bell.release()
