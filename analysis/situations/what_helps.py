"""What a library or a pool calls its own limits, and what replaces a blocking call on the loop: tables of patterns."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from whywait.analysis.attribution.culprit_names import in_library
from whywait.analysis.spans.awaited import awaits
from whywait.analysis.text import named_at, place
from whywait.tracer import schema

Table = tuple[tuple[str, str], ...]
# pattern of where the pool or the waiting code is -> its setting; first match wins
LIMITS: Final[Table] = (
    (r"CapacityLimiter", "total_tokens of the CapacityLimiter"),
    (r"Semaphore", "the number that the Semaphore is made with"),
    (r"anyio$", "anyio.to_thread.current_default_thread_limiter().total_tokens, which all `def` endpoints share"),
    (r"asgiref", "thread_sensitive=False of sync_to_async, where the code allows several threads"),
    (r"default executor", "loop.set_default_executor(ThreadPoolExecutor(max_workers=...))"),
    (r"aiosqlite", "a connection of its own for each slow query: each has one thread"),
    (r"sqlalchemy", "pool_size and max_overflow of create_engine"),
    (r"asyncpg", "max_size of asyncpg.create_pool"),
    (r"psycopg", "max_size of the ConnectionPool"),
    (r"redis", "max_connections of the ConnectionPool"),
    (r"http(x|core)", "max_connections of httpx.Limits"),
    (r"urllib3", "maxsize of the pool, pool_maxsize of requests' HTTPAdapter"),
    (r"aiohttp", "limit and limit_per_host of TCPConnector"),
)  # fmt: skip
# pattern of a wait that stands for a lock, but is for what others give -> what helps
GIVEN: Final[Table] = (
    (r"^(?:Event|Condition|Barrier|\w*Queue)\.",
     "It is no lock: less work for each of what is given, or several that give it, can help."),
)  # fmt: skip
# pattern of a native library -> what sets the number of its threads
NATIVE: Final[Table] = (
    (r"onnx", "intra_op_num_threads=1 of SessionOptions"),
    (r"torch|libc10", "torch.set_num_threads(1)"),
    (r"openblas", "OPENBLAS_NUM_THREADS=1"),
    (r"mkl|iomp", "MKL_NUM_THREADS=1"),
    (r"xgboost|lightgbm", "nthread=1 of the model"),
    (r"argon2", "parallelism=1 of the PasswordHasher"),
    (r"cv2", "cv2.setNumThreads(1)"),
    (r"polars", "POLARS_MAX_THREADS=1"),
    (r"tokenizers|transformers", "TOKENIZERS_PARALLELISM=false"),
    (r"pyarrow", "pyarrow.set_cpu_count(1)"),
    (r"numexpr", "NUMEXPR_NUM_THREADS=1"),
    (r"", "OMP_NUM_THREADS=1, nthread or n_jobs of the model, or threadpoolctl"),
)
_ONE_PROXY: Final = (
    "each access of a manager's object asks its process and waits for the answer: ask once for all (copy(), a method of a class "
    "registered with the manager), or keep a copy in this process"
)
# pattern of a blocking call -> what to do instead on a loop
INSTEAD: Final[Table] = (
    (r"clock_nanosleep",
     "await asyncio.sleep(...) in place of a sleep of its own; where a library sleeps (SQLite, until another connection has "
     "released the database), call it in await asyncio.to_thread(...)"),
    (r"sleep", "await asyncio.sleep(...) in its place"),
    (r"subprocess|wait4|waitid", "await asyncio.create_subprocess_exec(...), or await asyncio.to_thread(...)"),
    (r"getaddrinfo", "await loop.getaddrinfo(...), or an asynchronous client"),
    (r"socket|ssl|recv|send|connect|poll|select",
     "use an asynchronous client (httpx.AsyncClient, aiohttp; for a database its asynchronous driver), or call it in "
     "await asyncio.to_thread(...)"),
    (r"concurrent\.futures",
     "await the job: await loop.run_in_executor(pool, ...), or await asyncio.wrap_future(...) of the future"),
    (r"Thread\.join", "await asyncio.to_thread(...) in place of the thread and its join"),
    (r"join|queue|Event|Condition|Lock", "await asyncio's counterpart (asyncio.Queue, asyncio.Event), which other threads fill or "
     "set by loop.call_soon_threadsafe"),
    (r"", "call it in await asyncio.to_thread(...)"),
)  # fmt: skip
# pattern of a library's function in which it blocks the loop, after its package -> what to do instead
INSTEAD_OF_CALL: Final[Table] = (
    (r"create_subprocess|subprocess_(?:exec|shell)",
     "a child process begins there, and the loop stands until it runs its program: without preexec_fn (process_group=, user=, "
     "umask= and start_new_session= need none), and from a small process where this one is large; or call "
     "subprocess.run in await asyncio.to_thread(...)"),
    (r"^opentelemetry\.|/opentelemetry/sdk/", "it sends each span as that ends: a BatchSpanProcessor in place of a SimpleSpanProcessor sends from a thread of its own"),
    (r"^multiprocessing\.BaseProxy", _ONE_PROXY),
    (r"^ .*/(?:site|dist)-packages/",
     "no code of the service calls it there, but a library does, as in a decorator or a middleware around an endpoint: give that "
     "library its asynchronous client or storage, where it has one; where it decorates one endpoint, make that `def`: a "
     "worker thread then runs both"),
)  # fmt: skip
_GOES_THROUGH: Final = (
    r"(?:(?:django|jinja2|mako)\.(?:\w+\.)*render\w*|rest_framework\.\S+)"  # rows, in a template or serializer
)
_WITH_THEM: Final = (
    "load what belongs to them with the rows: select_related(...) or prefetch_related(...) in Django, options(selectinload(...)) in "
    "SQLAlchemy"
)
CHILD: Final = ("the child process takes this time: make it shorter, or keep one running that takes work; and read what it writes into "
                "a pipe while it runs (communicate(), not wait()), as it stops where the pipe is full")  # fmt: skip
DEADLOCK: Final = (". These waits end after 1 s, as PostgreSQL's look for deadlocks does (deadlock_timeout; its log tells them): let all "
                   "transactions change rows in one order, as of their ids, so that no two wait for each other")  # fmt: skip
# pattern of a blocking call in a worker thread, after the library's function that the user's code called -> what makes it
# shorter
IN_THREAD: Final[Table] = (
    (r"clock_nanosleep",
     "a library sleeps there until it may go on, as SQLite does while another connection has the database's write lock: commit "
     "sooner there, with no other work between the first write and the commit; let one thread write for all; and "
     "journal_mode=WAL lets readers go on"),
    (r"^sqlalchemy\.InstrumentedAttribute\.|^django\.\w+Descriptor\.__get__",
     f"an attribute is loaded when it is used (a lazy load), by a query for each object: {_WITH_THEM}"),
    (rf"^{_GOES_THROUGH} .*(?:poll|select|recv)",
     f"the database is asked there while a template or serializer goes through rows: where it follows a relation, by a query for each of "
     f"them: {_WITH_THEM}; else show fewer rows (pages)"),
    (r"^(?:sqlalchemy|sqlmodel|psycopg2?|pymysql|MySQLdb|oracledb|pyodbc|peewee|pymongo|django\.(?:\w*QuerySet|Model|\w*Manager|\w*Paginator))\b",
     "the database takes this long. Ask once where it is asked again and again; else look at the statement's plan (EXPLAIN), and "
     "whether it waits for a lock, as of a row that another transaction changed (pg_stat_activity): keep transactions short, "
     "with no other call inside"),
    (r"subprocess|wait4|waitid", CHILD),
    (r"time\.sleep",
     "the code pauses there itself: make the pause shorter, or leave it out. Where it stands for something to be there, wait for "
     "that itself (a threading.Event, a queue)"),
    (r"queue\.|threading\.(?:Event|Condition)",
     "it waits there for what others give, and keeps a worker all that time. Await that in a coroutine, which keeps none (an "
     "asyncio.Queue, or an asyncio.Event that loop.call_soon_threadsafe sets), and give it a time limit"),
    (r"socket|ssl|recv|urlopen|http",
     "the other side takes this long to answer: look at what it does meanwhile (its own traces or logs). Here: ask less often (a "
     "cache) or earlier, and give the call a time limit of its own (timeout=): one around it cannot stop a thread"),
    (r"",
     "make the call shorter, start it earlier, or cache. Its time limit must be in the call itself: one around it cannot "
     "stop a thread (anyio's abandon_on_cancel=True only stops waiting for it)"),
)  # fmt: skip
# where one knows of a library's function how to have it do less: the user's code called it, or it runs beside that, for it
LESS: Final[Table] = (
    (r" in multiprocessing\.BaseProxy", f"In {{function}}: {_ONE_PROXY}."),
    (r" (?:in|beside) (?:sqlalchemy\.)?(?:(?:Async)?Session\.(?:execute|scalars?|stream\w*)|\w*Result\.\w+)$",
     "In {function} SQLAlchemy makes an object of each row: ask for fewer rows (pages, a LIMIT), let the database add them up, or "
     "select columns instead of whole objects (select(Order.id, Order.total)), whose rows are far lighter."),
    (r" (?:in|beside) sqlalchemy\.(?:(?:Async)?Session\.(?:flush|commit|add_all)|InstanceState\._initialize_instance)\b",
     "In {function} SQLAlchemy makes an object of each row that is to be written, and writes each by itself: give the rows as "
     "dictionaries to one statement (session.execute(insert(Order), rows)), some hundreds at a time, or copy them into the database "
     "(COPY), which makes no objects."),
    (r" in (?:json|simplejson|ujson|orjson|pickle|yaml|csv)\.\w+$",
     "{function} reads or writes much at once, in C code or Python's own that keeps the GIL in any thread: keep less in "
     "one piece (a key for each entry, pages), keep what was read while it stays the same, or take a faster library (msgspec, "
     "orjson). Else do it in a process pool."),
    (r"^\w+ library's .*(?:gzip|brotli|zstd|compress)",
     "Compress less: a lower level (compresslevel of GZipMiddleware), in the proxy in front of the service, or smaller "
     "answers."),
    (r":logging: ",
     "Log less here, or give the formatting to a thread: a logging.handlers.QueueHandler whose listener's handler has the "
     "formatter. It holds the GIL there, too: what is not formatted costs nothing."),
    (r" in (?:(?:jinja2|django)\.\w+\.from_string|jinja2\.(?:Environment\.compile|Template\.__new__)|(?:mako|django)\.Template\.__init__)$",
     "In {function} a template is compiled each time: compile it once, at start-up (or get_template of one Environment, which keeps "
     "what it compiled), and only render it there."),
    (r" in (?:jinja2|django|mako)\.(?:\w+\.)*render\w*$",
     "In {function} a template is rendered: keep what comes out (a cache of the page, or of the part that stays the same), or "
     "render less (pages, fewer rows). Else do it in a process pool: it is Python, which keeps the GIL in any thread."),
    (r" in copy\.deepcopy$",
     "In {function} a whole structure is copied each time: share what nobody changes (a frozen value, a ChainMap over it), and "
     "copy the part that changes."),
    (r" in (?:sklearn|xgboost|lightgbm|catboost)\.\S*predict|(?::| in )(?:predict|transform|compute): ",
     "In {function} a model is asked: where that is for one row at a time, ask it once for all rows (a batcher: also for those of "
     "other requests); with n_jobs=1 (nthread=1) where the rows are few, as threads of its own then cost more than they save; and "
     "off the event loop (await asyncio.to_thread(...)), where it is asked there: its native code releases the GIL."),
)  # fmt: skip
# where it computes, whose code, which function, how often, in which library's function -> what to do
FASTER: Final[Table] = (
    (rf" asking {_GOES_THROUGH}$",
     "In {function} a template or serializer asks the database while it goes through rows: where it follows a relation, by a query for "
     f"each of them, whose making is computing, too: {_WITH_THEM}. Else show fewer rows (pages), or keep what comes out (a cache)."),
    *LESS,
    (r"\.__(?:init|new|post_init)__ in most requests$",
     "{function} makes an object in each request: where it is the same for all of them, make it once, at start-up, and keep it. "
     "Else make that faster (vectorise, cache, batch), or in a process pool."),
    (r"(?: (?:in|beside) [\w.]+\.|:)<module>( in most requests)?$",
     "A module is imported there, with all that it imports: import it at the top of a module of yours, so that it is there before "
     "the first request."),
    (r" beside (?:pydantic\w*|json|ujson|orjson|msgspec|marshmallow)\.",
     "The framework checks and converts there what {function} takes or returns: take and send less at once (pages, fewer fields), or "
     "return a Response of its own that has the bytes already, which is neither checked nor converted. Else make that in a process "
     "pool."),
    (r" beside ",
     "That is not {function}'s own code: a library works there for it, before or after it runs. Give it less to do (smaller bodies "
     "and answers, fewer middlewares and dependencies). Where only the first requests take so long, send one at start-up."),
    (r"^loop .* in (?:PIL|torch|onnxruntime)\.",
     "In {function} native code works that releases the GIL: call it in await asyncio.to_thread(...), or make it `def` where a framework "
     "runs it, as an endpoint or a background task; as many at once as there are CPUs."),
    (r"^loop",
     "Move {function} off the event loop: to a process pool, or make it faster (vectorise, cache, batch). A worker "
     "thread (asyncio.to_thread) only helps where it is C code that releases the GIL, as NumPy does: Python's own "
     "computing would keep the GIL there."),
    (r"^process", "Make {function} faster (vectorise, cache, batch); more processes only help while CPUs are idle."),
    (r"",
     "Make {function} faster (vectorise, cache, batch). For several of it at once more threads do not help Python's own computing, "
     "which needs the GIL: a process pool does. Native code that releases the GIL, as NumPy or a model's predict, needs none."),
)  # fmt: skip
_TOGETHER: Final = "run them together (asyncio.gather, a TaskGroup), or ask once for all: the longest one would be left"
_IF_APART: Final = "If they do not need each other's results, "
# pattern of what is asked again and again, after its package -> how to ask once for all, or all together
ONCE: Final[Table] = (
    (r"^sqlalchemy\..* in steps$",
     "Make fewer round trips: these are the steps of few calls. pool_pre_ping asks before each use of a connection (pool_recycle in "
     "its place); isolation_level=\"AUTOCOMMIT\" of an engine that only reads saves the BEGIN and the end of each transaction; and a "
     "database near by makes all of them shorter"),
    (r"^\.job \w*QuerySet\.",
     f"{_IF_APART}ask once for all: select_related(...) or prefetch_related(...) of the first query, in_bulk(...), or "
     "filter(...__in=[...]). Django does these one after another on one thread, so gather over them does not help"),
    (r"^sqlalchemy\.\w*Session\.(?:commit|refresh)",
     "Commit once, after the last one: each commit is a round trip or more, and each object is loaded anew when it is used "
     "after it (expire_on_commit=False of the sessionmaker keeps it; flush() sends without an end of the transaction)"),
    (r"^tortoise", f"{_IF_APART}ask or write once for all: prefetch_related(...) of the first query, or one filter(..._in=[...]); "
     "bulk_create(...) of a list of them, or bulk_update, in one transaction (in_transaction)"),
    (r"^(?:sqlalchemy|sqlmodel|advanced_alchemy)",
     f"{_IF_APART}ask once for all: one query that loads what belongs to each (options(selectinload(...)), a join), or one with "
     "`IN (...)`. One session answers one query at a time, so gather over it does not help"),
    (r"^asyncpg\.\w*Cursor|^psycopg\.\w*ServerCursor",
     "Take more rows in each turn: prefetch= of the cursor (asyncpg: 50 where it is not set; itersize of psycopg's, 100), or fetch() "
     "all of them where they fit into memory"),
    (r"^asyncpg\.\w+\.execute$",
     f"{_IF_APART}write once for all: executemany, or one statement (`unnest`). Where one thing is written again and again as it "
     "grows, write it at the end, or every second or so, beside what goes on"),
    (r"^(?:asyncpg|psycopg|aiosqlite|aiomysql|asyncmy|aiopg)",
     f"{_IF_APART}ask once for all: one query (`= ANY(...)`, a join), or executemany. One connection answers one query at a time: "
     "gather needs several"),
    (r"^(?:redis|valkey|coredis)\..*scan",
     "Take more in each turn: count= of the scan is 10 where it is not set. Better, keep the names that belong together in a "
     "set or a sorted set of their own: a scan looks through all keys of the database"),
    (r"^(?:redis|valkey|coredis)", f"{_IF_APART}ask once for all: MGET, or a pipeline, which is one round trip. What needs what was read before, as a WATCH that "
     "tries again after each conflict, is one in a script (EVAL)"),
    (r"^(?:httpx|aiohttp)\.", f"{_IF_APART}{_TOGETHER}. Where they are one call that is redirected, ask its final address"),
    (r"", f"{_IF_APART}{_TOGETHER}"),
)  # fmt: skip
# pattern of what is awaited of others, after its package -> what helps
OTHER_SIDE: Final[Table] = (
    (r"^(?:redis|valkey|coredis)\.",
     "Redis takes this long to answer: it does one command after another, and `redis-cli slowlog get` names those that take long, of "
     "whatever client (scripts, KEYS, whole large values). Ask for less in one command, for a part at a time, or a replica"),
    (r"^grpc\.", "The other side takes this long to answer: look at what it does meanwhile (its own traces), and how many calls it serves "
     "at once (max_workers, maximum_concurrent_rpcs). Here: one call for several, fewer at once, and a time limit (timeout=)"),
    (r"", "The other side takes this long to answer: look at what it does meanwhile (its own traces or logs). Here: ask earlier, "
     "beside what does not need the answer (asyncio.gather), less often (a cache), or after the request's own answer, where that does "
     "not need it (a background task); and set a time limit"),
)  # fmt: skip
_ONE_CLIENT: Final = (
    "Make the client, session or pool once, at start-up, and use it in all requests, so that it keeps its connections"
)
# pattern of the call that makes a connection, after its package -> how its connections are kept
KEPT: Final[Table] = (
    (r"^asyncpg\.Pool\.acquire",
     "Let the pool keep its connections, from start-up on: min_size of create_pool, and max_inactive_connection_lifetime (300 s "
     "where it is not set) longer than requests are apart"),
    (r"^sqlalchemy\.",
     "Make the engine once, at start-up, and let it keep its connections: no NullPool, as many in pool_size as are in use at "
     "once, and a pool_recycle that is not short"),
    (r"^websockets\.|WebSocket",
     "Open the connection once, at start-up, and let a task of the service keep it for all requests, with a future or the last "
     "value for those that wait"),
    (r"^$", "Keep it open for the next ones (a few of them, in an asyncio.Queue), and open another one only where it was closed"),
    (r"^(?:httpx|httpcore|aiohttp|requests|urllib3)\.", f"{_ONE_CLIENT}; idle ones for longer than requests are apart "
     "(keepalive_expiry of httpx.Limits, keepalive_timeout of aiohttp's TCPConnector)"),
    (r"", _ONE_CLIENT),
)  # fmt: skip
# of short turns on a loop: of other requests, and of tasks of none
MORE_LOOPS: Final = (
    "Requests take turns on one event loop, and no turn is long: more worker processes (--workers) share them; less work in each "
    "request (middlewares, validation, serialisation) shortens all."
)
FEWER_TASKS: Final = (
    "So many tasks are ready that each request waits for all of them: let few run at once (a queue with a few workers, or an "
    "asyncio.Semaphore around what each does), so that it waits for few turns; or do the work of many in one job of a process pool."
)
# of what processes are handed, or hand back
HAND_LESS: Final = (
    "Hand less to the processes of {job}: keep what does not change there (initializer= of the pool, or a file that they "
    "map), share memory (multiprocessing.shared_memory), or send a key instead of the object."
)
HAND_BACK_LESS: Final = (
    "Let {job} give back less: what its caller needs (a sum, a page, the bytes of the answer), or where it lies (a file, "
    "multiprocessing.shared_memory): all objects of a result are made anew here, and meanwhile nothing else runs Python."
)
USE_PARTS: Final = ", or use its parts as they come (the client's stream), where the other side cannot make it faster"
PASSED_ON: Final = ". Its parts are passed on as they come: the other side sets this pace"
LESS_PYTHON: Final = (
    "Have {culprit} compute less Python at a time (vectorise, cache, batch), or move it to a process: in whatever thread "
    "it runs, nothing else can run Python meanwhile. Fewer threads that compute at once shorten this wait, too."
)


class Use(StrEnum):
    """For what a connection is held."""

    DATABASE = "database"
    CLIENT = "client"
    WEBSOCKET = "websocket"
    OTHER = "other"


# how a connection is held for less time; follows "were held ... for so much of the wait"
HOLDS_LESS: Final = {
    Use.DATABASE: ", and the database works there meanwhile: make that shorter (its plan, by EXPLAIN; whether it waits for a lock, "
                  "as of a row that another transaction changed)",
    Use.CLIENT: ", and are in use there: make what is asked shorter, or ask less often (a cache, one question for several)",
    Use.WEBSOCKET: ", while its websocket is open: take one there for each message (`async with`), and not as its dependency",
    Use.OTHER: ": do less there while one is held (acquire it later; give it back, or end the session, before an await that needs none)",
}  # fmt: skip
_WHERE: Final = (schema.LOCK_KIND, schema.POOL_NAME, schema.POOL_FILE, schema.FOR_MODULE, schema.FOR, schema.CODE_FILE)
_LOCK: Final = re.compile(r"(?:^|\.)R?Lock(?:\.|$)")
_INSIDE: Final = r"^(?:time\.sleep|threading\.(?!Thread\.join)|queue\.)"
_CALLS: Final = (schema.FOR, schema.CALL, schema.BLOCK_SYSCALL, schema.WAIT)


def look_up(table: Table, text: str) -> str:
    """Return the words of the first pattern that is found in `text`; "" without one."""
    return next((words for pattern, words in table if re.search(pattern, text)), "")


def is_lock(attributes: Mapping[str, Any]) -> bool:
    """Return whether a wait with these attributes waited for a lock, of asyncio, anyio or threads: one at a time has it."""
    return any(_LOCK.search(str(attributes.get(key) or "")) for key in (schema.FOR, schema.LOCK_KIND))


def limit_of(attributes: Mapping[str, Any]) -> str:
    """Return the setting of the limit that a wait with these attributes waited for; "" for a lock, which has none."""
    if is_lock(attributes):
        return ""
    known = (look_up(LIMITS, str(attributes.get(key) or "")) for key in _WHERE)
    at = place(attributes.get(schema.POOL_FILE), attributes.get(schema.POOL_LINE))
    return next(filter(None, known), "") or (f"max_workers of the pool made at {at}" if at else "its limit")


def in_thread(attributes: Mapping[str, Any]) -> str:
    """Return what to do about the blocking call of a worker's span with these attributes."""
    if awaits(attributes, schema.FOR_SLEEP) and (inside := called(attributes)):  # its pause, not the user's code's
        less = (
            does_less(inside, attributes.get(schema.CODE_FUNCTION)).removesuffix(".")
            or "Make that shorter, or ask it for less"
        )
        return f"{inside} pauses there until what it waits for is done. {less}"
    asked = called(attributes, schema.CALL_OF, schema.CALL_PACKAGE)
    return look_up(IN_THREAD, "" if attributes.get(schema.PROCESS) else f"{asked} {_call_of(attributes)}")


def _call_of(attributes: Mapping[str, Any]) -> str:
    return " ".join(str(attributes.get(key) or "") for key in _CALLS)


def faster(on: str, function: str, file: str, attributes: Mapping[str, Any], inside: str = "", often: str = "") -> str:
    """Return what to do about a function that computes: on a "loop", "thread" or "process", as a span with these attributes
    shows, inside a library's function."""
    whose = "library's" if in_library(file) else "user's"
    if is_outside(attributes):
        inside = f" beside {attributes[schema.FOR_PACKAGE]}.{inside}"
    elif inside := called(attributes) or inside:
        inside = f" in {inside}"
    asked = called(attributes, schema.CALL_OF, schema.CALL_PACKAGE)  # where it blocks meanwhile
    where = f"{on} {whose} {file}:{function}{often}{inside}{f' asking {asked}' if asked else ''}"
    return look_up(FASTER, where).format(function=function if file else "it")


def is_outside(attributes: Mapping[str, Any]) -> bool:
    """Return whether a block with these attributes is a library's work for the user's function, outside its code."""
    return schema.FOR_PACKAGE in attributes and schema.FOR_CALL not in attributes


def is_frameworks(attributes: Mapping[str, Any]) -> bool:
    """Return whether a block with these attributes is work of what serves requests: outside the user's code, or called there."""
    return re.match(schema.PACKAGE_SERVES, str(attributes.get(schema.FOR_PACKAGE) or "")) is not None


def instead_of(attributes: Mapping[str, Any]) -> str:
    """Return what to do on a loop instead of the blocking call of a span with these attributes."""
    found = _call_of(attributes)
    call = attributes.get(schema.FOR_CALL)
    if call and re.search(_INSIDE, found):  # a library waits so, not the user's code
        return awaited_instead(attributes)
    where = f"{called(attributes)} {attributes.get(schema.CODE_FILE) or ''}"  # where no code of the user's called it
    return look_up(INSTEAD_OF_CALL, where) or look_up(INSTEAD, found)


def awaited_instead(attributes: Mapping[str, Any]) -> str:
    """Return what to do on a loop instead of a call, as of the span with these attributes, that waits for jobs."""
    if call := attributes.get(schema.FOR_CALL):
        return f"call {call} ({attributes.get(schema.FOR_PACKAGE)}) in await asyncio.to_thread(...)"
    return look_up(INSTEAD, "concurrent.futures")


def late(attributes: Mapping[str, Any], *, anew: bool) -> str:
    """Return what to do about a late answer to a wait with these attributes, and whether requests connect anew for it."""
    keep = f". Most requests make a connection first, and wait for its greeting or log-in, too. {look_up(KEPT, called(attributes))}"
    return look_up(OTHER_SIDE, called(attributes)) + keep * anew


def does_less(call: str, function: object) -> str:
    """Return how a library's call in this function of the user's would do less; "" where that is not known."""
    return look_up(LESS, f" in {call}").format(function=function)


def waits_for_news(attributes: Mapping[str, Any]) -> bool:
    """Return whether the call of a wait with these attributes waits by design, for what another client gives."""
    return re.match(schema.CALL_FOR_NEWS, called(attributes)) is not None


def stands_in(attributes: Mapping[str, Any]) -> str:
    """Return the function that a span's attributes name, with its place."""
    return named_at(*(attributes.get(key) for key in (schema.CODE_FUNCTION, schema.CODE_FILE, schema.CODE_LINE)))


def called(attributes: Mapping[str, Any], key: str = schema.FOR_CALL, of: str = schema.FOR_PACKAGE) -> str:
    """Return the library's function that the user's code called, after its package; "" where none is known."""
    call = attributes.get(key)
    return f"{attributes.get(of)}.{call}" if call else ""
