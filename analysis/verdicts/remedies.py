"""What to change, by cause and situation: one table for report, diff, `top` and JSON alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whywait.analysis.causes import INFO, Cause
from whywait.analysis.situations.situation import Found, Situation, numbers

# the words in braces are fields of the situation's record
REMEDIES: Final[dict[tuple[Cause, Situation], str]] = {
    (Cause.GIL_WAIT, Situation.GIL_STARVATION):
        "Let the loop idle: pause what keeps it busy (await asyncio.sleep(0.001) instead of sleep(0)); or call "
        "sys.setswitchinterval(0.0002), which ends the starvation.",
    (Cause.POOL_QUEUE, Situation.FEW_JOBS):
        "The requests queue for one another: join several into one job (micro-batching), make the job shorter, or add "
        "CPUs and then workers.",
    (Cause.CONNECTION_WAIT, Situation.CONNECTIONS_HELD):
        "The connections were held in {holder} for {share:.0%} of the wait: do less there while one is held (acquire it "
        "later, release it sooner), or raise {knob} ({size} now), if the server accepts more connections.",
    (Cause.LOCK_WAIT, Situation.SUBMIT_LOCK):
        "Make one pool at start-up and keep it: every submit of every pool acquires this one lock, and holds it while a "
        "new thread starts, which takes as long as that thread waits for the GIL.",
    (Cause.CPU_WAIT, Situation.CPU_OTHER_PROCESSES):
        "Move {name} off these CPUs, lower its priority, or give this service CPUs of its own.",
    (Cause.CPU_WAIT, Situation.CPU_SIBLING_PROCESSES):
        "Run fewer worker processes, or fewer threads in each: together they have more runnable threads than there are CPUs.",
    (Cause.CPU_WAIT, Situation.CPU_OWN_THREADS):
        "Run fewer threads at once: a smaller pool, or fewer and larger jobs; more threads do not help once every CPU is busy.",
    (Cause.CPU_WAIT, Situation.CPU_NATIVE_THREADS):
        "Limit the threads of native libraries: OMP_NUM_THREADS=1, nthread or n_jobs of the model, or threadpoolctl, "
        "so that workers × native threads do not exceed the CPUs.",
    (Cause.CPU_WAIT, Situation.CPU_QUOTA):
        "Raise the CPU quota, or run fewer threads and workers at once, so that the quota lasts for its period.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to change about a cause, in a situation or in any."""

    cause: Cause
    situation: Situation | None
    text: str

    @property
    def key(self) -> str:
        """The remedy's key for programs: "cpu_wait" or "cpu_wait/cpu_quota"."""
        return str(self.cause) if self.situation is None else f"{self.cause}/{self.situation}"


def remedy(cause: Cause, situations: Sequence[Found] = ()) -> Remedy:
    """Return the remedy for the first situation that has one for this cause, else the cause's own."""
    for found in situations:
        if words := REMEDIES.get((cause, found.kind)):
            return Remedy(cause, found.kind, words.format(**numbers(found)))
    return Remedy(cause, None, INFO[cause].remedy)
