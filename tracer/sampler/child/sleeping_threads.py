"""Which samples of a thread can be spared: most threads of most services are long asleep. Part of the sampler's process."""

from whywait.tracer.sampler.child.record_writer import Thread, queued_ns
from whywait.tracer.sampler.shared.thread_records import FUTEX, LONGEST_RECORD_NS

PERIOD_S = 0.005  # between two sweeps, where they are cheap
MOST_OF_A_CORE = 0.03
LONG_ASLEEP = 8  # samples that found a thread asleep in one place
_SPARED_NS = LONGEST_RECORD_NS  # between two full samples of one that has long been idle
_MOST_SELDOM = 4  # sweeps between two samples of such a thread


def look_every(now: int, cost_s: float) -> int:
    """How many sweeps apart to sample those long asleep, by what a sweep cost: most threads of most services
    are, and if they take all the time there is the others are sampled too seldom."""
    if cost_s > MOST_OF_A_CORE * PERIOD_S:
        return min(now + 1, _MOST_SELDOM)
    return max(now - 1, 1) if cost_s < MOST_OF_A_CORE * PERIOD_S / 2 else now


def is_spared(thread: Thread, turn: int, every: int, now: int) -> bool:
    """Whether the sample of one long asleep is spared: its turn is another, or it idles."""
    if thread.looks <= LONG_ASLEEP or not ((turn + thread.tid) % every or _idles(thread, now)):
        return False
    thread.passed_over += 1
    return True


def _idles(thread: Thread, now: int) -> bool:
    """It was on no CPU since its latest full sample, so it is where it was, or queues."""
    if thread.state != FUTEX or not thread.turns or now - thread.last_ns >= _SPARED_NS:
        return False
    if thread.read_turns() != thread.turns:
        return False
    thread.turns_ns = now
    return True


def has_run(thread: Thread, now: int) -> bool:
    """Whether one that was asleep was on a CPU since; then it slept until it was ready for that."""
    before, before_ns = thread.turns, thread.turns_ns
    thread.turns, thread.turns_ns = thread.read_turns(), now
    if not before or before == thread.turns:
        return False
    run_queue_ns = queued_ns(thread.turns) - queued_ns(before)
    thread.slept_until(before_ns - run_queue_ns, now)  # or somewhat longer
    return True
