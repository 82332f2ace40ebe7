"""What to change, by cause and situation: one table for report, diff, `top` and JSON alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whywait.analysis.causes import INFO, Cause
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED
from whywait.analysis.situations.situation import Pattern, Situation, numbers
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import CHILD

# the words in braces are fields of the situation's record
_TABLE: Final[tuple[tuple[tuple[Cause, ...], Situation, str], ...]] = (
    ((Cause.CONNECTION_WAIT,), Situation.HOLDS_ONE,
     "Break the cycle: hand the connection (or session) that is held to {at}, instead of acquiring a second one there. A "
     "larger pool only moves the number of requests at which they all stop."),
    (tuple(Cause), Situation.ASKS_ITSELF,
     "Call the function that answers there, in place of asking this service over HTTP in {where}: each such request keeps a worker, "
     "or a place, while its answer needs another one, and where all have begun so, none goes on before a time limit."),
    ((Cause.AWAIT_IO,), Situation.SERVED_IN_TURN,
     "Make {what} shorter, or ask it in parts, so that others are answered in between; or let a server of its own (a replica) do "
     "it. What waits for it here is not slow itself, and more connections do not help."),
    ((Cause.AWAIT_IO,), Situation.ROW_HELD,
     "Keep the transaction of {who} short: it probably locks the row (or all that it has changed) until its end. Do what {where} does "
     "before it or after its commit, and lock as the last thing before the change. pg_stat_activity and pg_locks show who waits for whom. Where a statement that locks a "
     "whole table (ALTER, TRUNCATE) waits for that transaction, all others stand behind it: give it a lock_timeout."),
    ((Cause.POOL_QUEUE,), Situation.HOLDS_ONE,
     "Break the cycle: a job of this pool waits in {at} for another job of the same pool. Give the inner jobs a pool of "
     "their own, or call them directly there. A larger pool only moves the number of requests at which they all stop."),
    (FOLLOWED, Situation.WAIT_CYCLE,
     "Break the cycle: what has the one must not wait for the other. Take and give back both in one place (inside the "
     "endpoint) and always in one order, or allow more of the second than the first can use at once."),
    ((Cause.LOOP_BUSY,), Situation.WAIT_CYCLE,
     "Do not wait on the event loop for what only code on this loop can give back: use the asynchronous driver or lock, or "
     "take it and give it back in a worker thread (a `def` endpoint, asyncio.to_thread)."),
    (FOLLOWED, Situation.HOLDERS_NEED_GIL,
     "The GIL is the bottleneck: those ahead wait for it. Run less Python at once: batch, use fewer threads, or move that "
     "work to processes; more workers do not help.{own}"),
    (FOLLOWED, Situation.HOLDERS_NEED_CPU,
     "The CPUs are the bottleneck: those ahead wait for one. Run fewer threads at once, also inside native libraries, "
     "raise the CPU quota, or add CPUs; more workers do not help.{own}"),
    (FOLLOWED, Situation.HOLDERS_NEED_LOOP,
     "The event loop is the bottleneck: those ahead are ready to run, and it runs something else ({doing}). Move that off "
     "the loop (a thread, a process), or cut it into awaits."),
    (FOLLOWED, Situation.HOLDERS_QUEUE,
     "Those ahead wait themselves, for {doing}. Change that first, or wait for it before this is taken."),
    ((Cause.LOOP_BUSY,), Situation.LOOP_TURNS, "{how}"),
    ((Cause.LOOP_BUSY,), Situation.HOLDERS_QUEUE, "It blocks the loop ({doing}). {how}"),
    (FOLLOWED, Situation.HOLDERS_COLLECT,
     "What this waits for stands still in the garbage collector ({doing}): {how}create fewer objects at once; gc.freeze() after "
     "start-up; raise gc.set_threshold; and call gc.collect() in no request."),
    ((Cause.GC_PAUSE,), Situation.ASKED_TO_COLLECT,
     "Do not call gc.collect() while requests run ({who}): the collector runs by itself when it must; call it at start-up, "
     "before gc.freeze()."),
    (tuple(Cause), Situation.COLD_START,
     "Do it at start-up, before the first request{how}: {detail}."),
    ((Cause.COMPUTE, Cause.GC_PAUSE, Cause.LOOP_BUSY, Cause.GIL_WAIT), Situation.CLIENT_PER_REQUEST,
     "Make the client ({client}) once, at start-up, and use it in all requests: to make one loads TLS certificates and "
     "more, and its connections cannot be kept."),
    ((Cause.AWAIT_IO, Cause.BLOCKING_IO), Situation.CLIENT_PER_REQUEST,
     "Make it ({client}) once, at start-up, and use it in all requests: each new one must connect (name look-up, TCP, TLS, "
     "log-in) before its first answer, which is in this wait."),
    (( Cause.AWAIT_IO, Cause.BLOCKING_IO), Situation.CONNECTS,
     "{keep}: what passes before the question is sent, and in the close, is saved."),
    ((Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.COMPUTE, Cause.LIMITER_WAIT), Situation.CONSUMER,
     "Requests queue for {task}, which does one thing after another ({doing}): start {several}, let it take several at once (a "
     "batch), or make that shorter.{ended}{apart}"),
    ((Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.COMPUTE, Cause.LIMITER_WAIT), Situation.BATCHES,
     "Requests wait for the batch before theirs, and then until all of their own is done ({doing}): answer each as soon as it "
     "is done, and let the next one in then; put together what takes equally long; start {several} ({task}); or make "
     "that shorter.{apart}"),
    ((Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.LIMITER_WAIT), Situation.BY_TASK,
     "Requests wait for {task}, a task of no request, while it does this ({doing}): let them go on with what was there before, "
     "where it makes that anew (a model, a cached value), and exchange it at the end; make it shorter, or begin it before it "
     "is needed. What {task} need not wait for itself, such as what it does with each message, it can hand to a task of its own "
     "(asyncio.create_task), so that the next one is not behind it."),
    ((Cause.LIMITER_WAIT,), Situation.BY_THREAD,
     "Requests wait until {who}, in {thread}, gives what they wait for{idle}: make that shorter, let it do several at once (a batch), "
     "let several threads do it, or begin it before it is needed. Where it only comes now and then, as in a stream of events, nothing "
     "is slow; but a thread must give it by loop.call_soon_threadsafe, or the loop may learn of it late."),
    ((Cause.BLOCKING_IO, Cause.COMPUTE, Cause.LOOP_BUSY, Cause.POOL_QUEUE, Cause.POOL_STARTUP, Cause.POOL_SHUTDOWN), Situation.POOL_PER_REQUEST,
     "Make one pool at start-up and keep it{where}: each new process imports anew what it runs, and at the end of its `with` "
     "block a pool waits for all of its jobs, and that stops the loop, where it stands in async code."),
    ((Cause.COMPUTE, Cause.BLOCKING_IO, Cause.POOL_QUEUE), Situation.LARGE_TRANSFER,
     "{how}"),
    ((Cause.LIMITER_WAIT, Cause.LOCK_WAIT), Situation.STAMPEDE,
     "Many wait while one works under the lock ({doing}): begin that before it is needed (refresh ahead of expiry, in the "
     "background), let the others have the old value meanwhile, or use one lock per key."),
    ((Cause.LIMITER_WAIT, Cause.AWAIT_IO, Cause.BLOCKING_IO, Cause.COMPUTE, Cause.LOOP_BUSY), Situation.STAMPEDE_WORK,
     "Let one do it for all: others await its result (a shared future, or a lock and a second look at the cache), or "
     "refresh ahead of expiry, in the background."),
    ((Cause.POOL_QUEUE, Cause.BLOCKING_IO), Situation.SENSITIVE_THREAD,
     "sync_to_async runs these one after another on one thread, its default. Where the code allows several threads, use "
     "sync_to_async(..., thread_sensitive=False); else do them in one call, or make them shorter."),
    ((Cause.POOL_STARTUP,), Situation.SENSITIVE_THREAD,
     "Django starts a thread for what of each request is synchronous, and ends it with the request: make views and middlewares that "
     "do little asynchronous (`async def`), or serve them by WSGI, whose servers keep their threads."),
    ((Cause.POOL_QUEUE, Cause.LIMITER_WAIT), Situation.HOLDERS_WAIT,
     "No CPU is short: those ahead mostly wait ({doing}). Raise the limit ({how}), or give the slow calls a pool or "
     "limit of their own.{own}{pace}"),
    ((Cause.POOL_QUEUE, Cause.LIMITER_WAIT), Situation.HOLDERS_COMPUTE,
     "Those ahead compute: do less at once. Join several into one job (batching), {shorter}; a higher "
     "limit only helps while CPUs are idle.{own}"),
    ((Cause.POOL_QUEUE, Cause.LIMITER_WAIT), Situation.BACKGROUND_HOLDS,
     "Work that no request waits for takes the places ({culprit}): give it a pool or a limit of its own, or a worker process "
     "(arq, Celery), or, as far as CPUs are idle, raise this limit ({how})."),
    ((Cause.LOCK_WAIT,), Situation.BACKGROUND_HOLDS,
     "Work that no request waits for keeps the lock over an await ({culprit}): under it, take only what that needs (a copy, or "
     "exchange it for an empty one), give the lock back, and await after that; or use one lock per object instead of one for all."),
    ((Cause.AWAIT_IO,), Situation.SIGNAL,
     "Nothing is slow here: each waits until {who} comes and gives what it waits for. Where such waits are meant, as in a long poll, "
     "keep their endpoint out of what is measured, and give them a time limit; else look at why that comes so late."),
    ((Cause.LIMITER_WAIT,), Situation.SIGNAL,
     "No limit holds them: each waits until as many have come as the barrier takes, so the last one sets the time. Let those "
     "that are there go on without it after a time limit, or take fewer; else make what comes before the barrier shorter."),
    ((Cause.LOCK_WAIT,), Situation.SIGNAL,
     "No lock is held: {who} gives what these wait for. Make that shorter, do it before it is needed (a cache that is "
     "made anew before it expires), let several do it, or set a time limit; where a queue hands out what is shared, as "
     "connections, put more of it there, or give it back sooner."),
    ((Cause.LOGGING_WAIT,), Situation.SIGNAL,
     "The handler's queue is full, and it waits for a place: {who} takes records out more slowly than they come. Make that faster "
     "(several records at once), log less, or drop records where the queue is full (put_nowait, as a QueueHandler does)."),
    ((Cause.LOCK_WAIT, Cause.LOGGING_WAIT), Situation.HOLDERS_WAIT,
     "Do not wait while the lock is held ({doing}): prepare before, hold it only for the change itself{per_object}.{pace}"),
    ((Cause.LOCK_WAIT,), Situation.HOLDERS_COMPUTE,
     "Hold the lock for a shorter time: code computes under it ({doing}). Do that before or after it, or split it: one lock, or one "
     "of what it guards (a model, a parser), for each thread or object."),
    ((Cause.CONNECTION_WAIT,), Situation.HELD_AFTERWARDS,
     "Give the connection of {holder} back in every case (`async with`, `with`, or a release in `finally`): its request had "
     "ended and still had it, as where an error, or an early return, passes the release, which then never comes."),
    ((Cause.CONNECTION_WAIT,), Situation.CONNECTIONS_HELD,
     "The connections were held in {holder} for {share:.0%} of the wait{less}, or raise "
     "{knob} ({size} now), if the server accepts more connections."),
    ((Cause.CONNECTION_WAIT,), Situation.HOLDERS_WAIT,
     "The connections are in use ({doing}): make that shorter, give a connection back before other awaits, or raise the "
     "limit ({how}), if the server accepts more."),
    ((Cause.CONNECTION_WAIT,), Situation.HOLDERS_COMPUTE,
     "Connections are held while code computes ({doing}): give a connection back before that; more would only hide it."),
    ((Cause.LOOP_BUSY,), Situation.HOLDERS_WAIT, "It blocks the loop {doing}: {how}."),
    ((Cause.LOOP_BUSY,), Situation.HOLDERS_COMPUTE,
     "It computes on the loop ({doing}). {how}"),
    ((Cause.AWAIT_IO, Cause.LIMITER_WAIT, Cause.BLOCKING_IO), Situation.RATE_LIMIT,
     "A rate makes them wait, not what is done under it: raise the rate of {limiter}, if the other side allows more; ask less "
     "(cache, several questions in one); or refuse early where the wait would be long."),
    ((Cause.BLOCKING_IO, Cause.AWAIT_IO), Situation.RETRIES,
     "The time passed in pauses between tries ({what}): mend why they fail, try fewer times with shorter pauses, or set "
     "one time limit over all tries."),
    ((Cause.BLOCKING_IO, Cause.AWAIT_IO), Situation.POLLING,
     "Let it be told when what it asks for is there: await the task, a future or an asyncio.Event (across processes a "
     "subscription or a blocking read). Else make that sooner, or the pauses shorter: half of one is lost on average."),
    ((Cause.BLOCKING_IO, Cause.AWAIT_IO), Situation.PACED,
     "The code sets this pace itself, by a sleep between what it sends: shorten the pauses, or send several parts at once. "
     "Where a pause stands for the next part to be there, await that part instead."),
    ((Cause.BLOCKING_IO, Cause.AWAIT_IO), Situation.SERIAL_AWAITS,
     "{once}."),
    ((Cause.AWAIT_IO,), Situation.LARGE_ANSWER,
     "The answer has begun, and its body takes this long: ask for less (fields, pages, compression){use}."),
    ((Cause.AWAIT_IO,), Situation.DATABASE,
     "The database takes this long: look at the statement's plan (EXPLAIN), at how much it returns (pages, sums), and whether it waits "
     "for a lock, as of a row that another transaction changed (pg_stat_activity): keep transactions short, with no other await inside{deadlock}."),
    ((Cause.AWAIT_IO,), Situation.OTHER_SERVICE, "{how}."),
    ((Cause.AWAIT_IO,), Situation.CHILD_PROCESS, f"{CHILD[0].upper()}{CHILD[1:]}."),
    ((Cause.AWAIT_IO,), Situation.PAUSE,
     "The code pauses there itself: make the pause shorter, or leave it out. Where it stands for something to be there, await "
     "that itself (a task, a future, an asyncio.Event)."),
    ((Cause.BLOCKING_IO,), Situation.LIMIT_IN_VAIN,
     "The time limit around {what} ends no thread, so its caller waits until the call has returned: give the call itself a limit "
     "(timeout= of the library), or let the request go on without it (anyio.to_thread.run_sync(..., abandon_on_cancel=True)), "
     "while the thread keeps its worker until it has ended."),
    ((Cause.BLOCKING_IO, Cause.POOL_QUEUE, Cause.COMPUTE), Situation.BLOCKS_LOOP, "It stops the whole event loop: {how}."),
    ((Cause.BLOCKING_IO,), Situation.IN_WORKER,
     "It is in a worker thread already, so the loop goes on: {how}."),
    ((Cause.LIMITER_WAIT, Cause.CONNECTION_WAIT, Cause.AWAIT_IO), Situation.INNER_LIMIT,
     "{once}{less} {where}: {items:.0f} of {name} go through {through:.0f} at a time, though all were started "
     "together; or make each shorter."),
    ((Cause.AWAIT_IO, Cause.BLOCKING_IO), Situation.STRAGGLER,
     "They run together already, and the slowest one sets the time: find out why it takes longer than the others, answer "
     "without it after a time limit (asyncio.wait with a timeout), or ask a second time when most have ended, and "
     "take what comes first."),
    ((Cause.LIMITER_WAIT, Cause.AWAIT_IO), Situation.WINDOW,
     "{task} lets this time pass while requests wait for it already: shorten the window, or end it as soon as the batch is "
     "full or nothing else is on its way."),
    ((Cause.LIMITER_WAIT, Cause.LOCK_WAIT), Situation.TIME_LIMIT,
     "Nobody gave back what {where} waits for within its time limit: see that whoever takes it gives it back on every way out, "
     "after an error too (`async with`, `with`, or a release in `finally`). Else hold it for less time, raise the limit where "
     "it is one, or fail sooner."),
    ((Cause.CONNECTION_WAIT, Cause.AWAIT_IO), Situation.TIME_LIMIT,
     "What is awaited in {where}{what} does not come within its time limit: mend that, or go on without it sooner (a shorter "
     "limit, a cached answer).{why}"),
    ((Cause.LOOP_WAKEUP, Cause.LOOP_BUSY, Cause.POOL_QUEUE, Cause.GIL_WAIT, Cause.CPU_WAIT, Cause.COMPUTE), Situation.THREAD_HOPS,
     "Hand fewer, larger pieces to the pool: {per_request:,.0f} jobs of {function} a request, one after another{where}, cost a "
     "change of threads each. Read a file at once or in large parts; ask a database once for all (a join, Django's select_related); "
     "stream in larger chunks, or from an async generator."),
    ((Cause.AWAIT_IO, Cause.LIMITER_WAIT, Cause.LOCK_WAIT, Cause.BLOCKING_IO, Cause.CONNECTION_WAIT), Situation.UNFINISHED,
     "Give the wait a time limit (asyncio.timeout, or timeout= of the call), so that the request fails and says why; and "
     "find out why what it waits for does not come."),
    ((Cause.COMPUTE, Cause.LOOP_BUSY), Situation.SPINS,
     "Let {where} be told when what it asks for is there: await it, a future or an asyncio.Event (which another thread sets by "
     "loop.call_soon_threadsafe); or let it pause (asyncio.sleep(0.01)): sleep(0) keeps the event loop running all the time."),
    ((Cause.COMPUTE,), Situation.COMPUTES_ON_LOOP, "{how}"),
    ((Cause.COMPUTE,), Situation.COMPUTES_IN_WORKER, "{how}"),
    ((Cause.LOCK_WAIT,), Situation.IMPORT_LOCK,
     "Import {module} when the service starts, not in a function that requests run: whoever imports it first makes "
     "all others wait."),
    ((Cause.REQUEST_IO, Cause.AWAIT_IO), Situation.SLOW_READER,
     "Each message waits until its receiver has read enough of those before. Let a task of each connection send what stands in a "
     "queue of its own (asyncio.Queue), and close those that are not read within a time limit: else a slow one holds up "
     "all to whom a message goes. Smaller messages help, too."),
    ((Cause.REQUEST_IO,), Situation.NAGLE,
     "Set TCP_NODELAY on the listening socket (its connections inherit it), or start each worker as a server of its own: "
     "uvicorn's --workers and --reload, and gunicorn, leave it off."),
    ((Cause.GIL_WAIT,), Situation.GIL_HELD, "{how}"),
    ((Cause.GIL_WAIT,), Situation.GIL_STARVATION,
     "Let the loop idle: pause what keeps it busy (await asyncio.sleep(0.001) instead of sleep(0)); or call "
     "sys.setswitchinterval(0.0002), which ends the starvation."),
    ((Cause.POOL_QUEUE,), Situation.FEW_JOBS,
     "The requests queue for one another: join several into one job (micro-batching), make the job shorter, or add CPUs "
     "and then workers."),
    ((Cause.LOCK_WAIT,), Situation.SUBMIT_LOCK,
     "Make one pool at start-up and keep it: every submit of every pool acquires this one lock, and holds it while a "
     "new thread starts, which takes as long as that thread waits for the GIL."),
    ((Cause.LOCK_WAIT,), Situation.BLOCKS_LOOP,
     "It stops the whole event loop, for what no lock of this process shows: a lock that another process has "
     "(multiprocessing.Lock), or one inside a library. Wait for it in await asyncio.to_thread(...), and see that who has it "
     "does not wait or compute meanwhile."),
    ((Cause.LOCK_WAIT,), Situation.NATIVE_QUEUE,
     "Give each call one native thread ({how}): the calls then run beside each other, as many as there are CPUs; or make one "
     "call for several (a batch)."),
    ((Cause.CPU_WAIT,), Situation.CPU_OTHER_PROCESSES,
     "Move {name} off these CPUs or to a lower priority (nice), or give this service CPUs of its own."),
    ((Cause.CPU_WAIT,), Situation.CPU_SIBLING_PROCESSES,
     "Run fewer worker processes, or fewer threads in each: together they have more runnable threads than there are CPUs."),
    ((Cause.CPU_WAIT,), Situation.CPU_OWN_THREADS,
     "Run fewer threads at once (a smaller pool, fewer and larger jobs), and let each compute less (a cache, less often): more "
     "threads do not help once every CPU is busy."),
    ((Cause.CPU_WAIT,), Situation.CPU_NATIVE_THREADS,
     "Limit the threads of native libraries: {how}, so that workers × native threads do not exceed the CPUs."),
    ((Cause.CPU_WAIT,), Situation.CPU_QUOTA,
     "Raise the CPU quota, or run fewer threads and workers at once, so that the quota lasts for its period."),
)  # fmt: skip
REMEDIES: Final = {(cause, situation): words for causes, situation, words in _TABLE for cause in causes}


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


def remedy(cause: Cause, situations: Sequence[Pattern] = ()) -> Remedy:
    """Return the remedy for the first situation that has one for this cause, else the cause's own."""
    rivals = [one for one in situations if one.kind.startswith("cpu_")]
    rival = next(iter(rivals), None)  # what used the CPUs most
    for found in situations:
        of = numbers(found)
        like = Cause.LOCK_WAIT if cause is Cause.LIMITER_WAIT and of.get("is_lock") else cause
        like = Cause.LIMITER_WAIT if cause is Cause.LOCK_WAIT and of.get("is_limit") else like
        decides = of.get("of", cause) == cause and of.get("decides", True) and cause not in of.get("but_for", ())
        if decides and (words := REMEDIES.get((like, found.kind))):
            if rival and (found.kind, rival.kind) == (Situation.HOLDERS_NEED_CPU, Situation.CPU_OTHER_PROCESSES):
                words, of = f"Those ahead wait for a CPU. {REMEDIES[Cause.CPU_WAIT, rival.kind]}", numbers(rival)
            said = words.format(**of).replace(" ()", "").replace(" (its limit)", "")
            if found is rival and rivals[1:] and rivals[1].numbers["share"] >= MIN_HELD * rival.numbers["share"]:
                said = f"{said} {remedy(cause, rivals[1:]).text}"  # nearly as much
            return Remedy(cause, found.kind, said)
    return Remedy(cause, None, INFO[cause].remedy)
