"""The sentence about the limit of a process. Nothing is decided here."""

from typing import Final

from whywait.analysis.capacity.demand import HELD_BY_OTHERS, Resource
from whywait.analysis.capacity.utilization import FREE, FULL, QUEUED, ProcessCapacity, Use
from whywait.analysis.causes import Evidence
from whywait.analysis.situations.what_helps import GIVEN, LIMITS, look_up
from whywait.analysis.text import amount
from whywait.tracer.schema import OF_THREAD, SEMAPHORE

_ALIKE: Final = 0.1
_OTHERS: Final = 0.1  # of what is used: so much by work of no request is said
# what a sentence calls a resource, and what helps where it is the limit
_WORDS: Final = {
    Resource.GIL: ("the GIL", "More threads or a larger pool cannot help; less Python per request or more processes can."),
    Resource.CPU: ("a CPU", "More threads cannot help; fewer threads and processes at once, a larger quota or more CPUs can."),
    Resource.LOOP: ("the event loop", "A larger pool cannot help; less work on the loop or more processes can."),
    Resource.POOL: ("the pool {name}", "Shorter jobs or a larger pool can help"),
    Resource.LOCK: ("{name}", "More threads cannot help; holding it for less time, or one for each object, can."),
    Resource.LOGGING: ("the logging handler {name}", "More threads cannot help; fewer records, or a handler that does not wait, can."),
    Resource.CONNECTION: ("the connections of {name}", "Giving connections back sooner, or a larger limit, can help"),
    Resource.DEVICE: ("the device {name}", "More threads cannot help; larger batches or another device can."),
    Resource.TASK: ("the task {name}", "More requests at once cannot help; several of it, a batch, or less work for each can."),
}  # fmt: skip

_IT: Final = {Resource.CPU: "one", Resource.POOL: "a worker", Resource.CONNECTION: "one"}


def named(use: Use) -> str:
    """Return what a sentence calls this resource."""
    return _WORDS[use.resource][0].format(name=use.name).replace(f"task {OF_THREAD}", OF_THREAD)


def _number_of(use: Use) -> str:
    """What sets how many may have it at once; "" of a lock, which one has, and of what is no lock."""
    return look_up(LIMITS, use.name) if use.resource is Resource.LOCK else ""


def _helps(use: Use) -> str:
    if use.resource is Resource.LOCK and (given := look_up(GIVEN, use.name)):
        return given
    if number := _number_of(use):
        return f"Holding it for less time, or a higher limit ({number}), can help"
    return _WORDS[use.resource][1]


def sentences(processes: tuple[ProcessCapacity, ...]) -> list[str]:
    """Return one sentence or two per process of which enough is known, each once."""
    told = [(one, sentence(one)) for one in processes]
    several = len(processes) > 1
    return [f"{one.process}: {said}" if several else said for one, said in told if said]


def sentence(one: ProcessCapacity) -> str:
    """Return what limits a process and what that allows; "" where too little is known, or requests are stuck."""
    if not one.enough or one.most_used is None or one.stuck:
        return ""
    if one.limit is not None:
        return _limited(one, one.limit)
    queues = [use for use in one.uses if use.wait_ns >= QUEUED * one.mean_wall_ns]
    if any(not use.servers for use in queues):
        return ""
    most = one.most_used
    most_of, least = (
        ("at most ", "at least ") if most.evidence is Evidence.INFERRED else ("", "")
    )  # native code needs none
    used = f"{named(most)} is used most, {most_of}{most.utilization:.0%} of it{_by_others(most)}, at {_rate(one.served_per_s)}"
    pool = next((use for use in queues if use.resource is Resource.POOL), None)
    if most.utilization < FREE and pool:
        return f"There is a queue for {named(pool)}, of which requests themselves use only {pool.busy:.0%}."
    if most.utilization < FREE:
        return f"Nothing is near its limit: {used}."
    if queues[:1] == [most]:
        used = f"{most.utilization:.0%} of it is used on average{_by_others(most)}, at {_rate(one.served_per_s)}"
    where = f"There is a queue for {named(queues[0])}, which is not used up" if queues else "Nothing has a long queue"
    return f"{where}: {used}; it allows {least}{_rate(most.possible_per_s)}."


def _limited(one: ProcessCapacity, limit: Use) -> str:
    what, helps = named(limit), _helps(limit)
    waiting = f"with {one.served_per_s * limit.wait_ns / 1e9:.2g} waiting for {_IT.get(limit.resource, 'it')}"
    is_ = "are" if limit.resource is Resource.CONNECTION else "is"
    begin = f"{what[0].upper()}{what[1:]} {is_} the limit{_by_others(limit, ' of it used')}: {_needs(one, limit)}"
    if limit.resource is Resource.CPU and limit.utilization < FULL:
        own = f"its requests themselves used {limit.utilization:.0%} of " + (
            f"its {limit.servers:g} CPUs" if limit.servers else "them"
        )
        return f"{begin}; it served {_rate(one.served_per_s)} {waiting}. Others use them, too: {own}. {helps}"
    who = f"its {limit.servers:g}" if limit.servers > 1 else "one process"
    begin += f", so {who} can serve {_rate(limit.possible_per_s)}; it served {_rate(one.served_per_s)} {waiting}."
    return f"{begin} {_beside(one, limit)}{helps}{_next(one, limit)}"


def _by_others(use: Use, of_it: str = "") -> str:
    return f" ({use.others:.0%}{of_it} by work of no request)" if use.others >= _OTHERS * use.utilization > 0 else ""


def _needs(one: ProcessCapacity, limit: Use) -> str:
    """Of requests that differ, their mean, too: what a process can serve follows from that. Where only
    those who wait are recorded, the holder is not known: it may be another request's, or work of none."""
    if limit.resource in HELD_BY_OTHERS:
        if SEMAPHORE in limit.name:  # how many have it at once is not known
            return f"it lets one go on each {amount(limit.demand_ns)} on average"
        return f"held for {amount(limit.demand_ns)} per request on average"
    if limit.resource is Resource.TASK:  # whose pieces it took is not known
        return f"it takes {amount(limit.demand_ns)} per request on average"
    of_heaviest, it = one.heaviest_ns or limit.demand_ns, _IT.get(limit.resource, "it")
    if abs(of_heaviest - limit.demand_ns) <= _ALIKE * limit.demand_ns:
        return f"each {one.heaviest} needs {it} for {amount(of_heaviest)}"
    return f"a request needs {it} for {amount(limit.demand_ns)} on average, each {one.heaviest} {amount(of_heaviest)}"


def _beside(one: ProcessCapacity, limit: Use) -> str:
    """CPUs that stay free while all threads of a process wait for one thing."""
    cpu = next((use for use in one.uses if use.resource is Resource.CPU and use.servers > 1), None)
    if limit.resource is not Resource.GIL or cpu is None:
        return ""
    return f"It used {cpu.utilization:.0%} of its {cpu.servers:g} CPUs. "


def _next(one: ProcessCapacity, limit: Use) -> str:
    """What saturates next, where more of the limit is advised."""
    if not helps_to_enlarge(limit):
        return ""
    others = [use for use in one.uses if use is not limit and use.possible_per_s > 0]
    then = min(others, key=lambda use: use.possible_per_s, default=None)
    return "." if then is None else f", until {named(then)} is used up, at {_rate(then.possible_per_s)}."


def helps_to_enlarge(limit: Use) -> bool:
    """Whether more of this resource is advised where it is the limit."""
    return limit.resource in (Resource.POOL, Resource.CONNECTION) or bool(_number_of(limit))


def _rate(per_s: float) -> str:
    return f"{per_s:.0f}/s" if per_s >= 20 else f"{per_s:.2g}/s"
