"""Waits of a request's thread in sleeps, sockets, subprocesses and joins. But for a sleep's their end is inferred
(`offcpu/gil_wait_start.py` finds the GIL's part). Not observed: functions bound before `start` (`from time import
sleep`), files, pipes, and calls inside C libraries."""

import functools
import select
import selectors
import socket
import ssl
import subprocess
import threading
import time
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath.core import socket_timer
from whywait.tracer.hotpath.job_names import PLAIN
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait
from whywait.tracer.hotpath.thread_waits import keep_wait, waiter_here
from whywait.tracer.probes.blocking.timed_call import Instant, timed
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.background import OtherThread
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Waited
from whywait.tracer.records.request import TIMER
from whywait.tracer.schema import WAIT_BLOCKING

name: Final = "blocking"
needs: Final = ()
available: Final = always
_SOCKET: Final = (
    "accept", "connect", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send",
    "sendall", "sendmsg", "sendto",
)  # fmt: skip
_SSL: Final = ("do_handshake", "read", "send", "write")


def install(session: Session) -> Undo | None:
    if not session.recorder.config.blocking_calls:
        return None
    patches = Patches()

    def put_timed(owner: Any, name: str, what: str, is_instant: Instant | None = None) -> None:
        plain = getattr(owner, name)
        call = timed(plain, what, is_instant)
        if is_instant is _cannot_block and socket_timer is not None:
            call = socket_timer(plain, call)
        patches.replace(owner, name, call)

    patches.replace(time, "sleep", _sleep(time.sleep))
    put_timed(select, "select", "select.select")
    poll_like = getattr(selectors, "_PollLikeSelector", None)  # a subprocess's pipes
    if poll_like is not None:
        put_timed(poll_like, "select", "selectors.select")
    for method in _SOCKET:
        if hasattr(socket.socket, method):
            put_timed(socket.socket, method, f"socket.{method}", _cannot_block)
    for method in _SSL:
        put_timed(ssl.SSLSocket, method, f"ssl.{method}", _cannot_block)
    put_timed(socket, "getaddrinfo", "socket.getaddrinfo")
    put_timed(subprocess.Popen, "wait", "subprocess.wait", lambda args: bool(args) and args[0].returncode is not None)
    put_timed(subprocess.Popen, "communicate", "subprocess.communicate")
    patches.replace(
        threading.Thread,
        "join",
        timed(threading.Thread.join, "threading.Thread.join", ended_by=lambda args: _thread(args[0])),
    )
    return patches.undo


def _thread(thread: threading.Thread) -> OtherThread:
    return OtherThread(None, thread.name, thread.native_id or 0)


def _cannot_block(args: tuple[Any, ...]) -> bool:
    return bool(args) and args[0].gettimeout() == 0


def _sleep(plain: Any) -> Any:
    @functools.wraps(plain)
    def sleep(*args: Any, **kwargs: Any) -> Any:
        try:
            activity = None if here.current is None else waiter_here()
            if activity is None or len(args) != 1 or kwargs:
                return plain(*args, **kwargs)
            seconds = args[0]
            inside = begin_wait()
            ended = False
            queue_ns = run_queue_ns() if seconds else None
            start_ns = perf_counter_ns()
            try:
                plain(seconds)
                ended = True
                return None
            finally:
                end_ns = perf_counter_ns()
                end_wait(inside)
                try:
                    if ended and seconds:  # sleep(0) only yields
                        due_ns = start_ns + int(float(seconds) * 1e9)
                        waited = Waited("time.sleep")
                        keep_wait(
                            activity, WAIT_BLOCKING, start_ns, due_ns, end_ns, TIMER, waited,
                            queue_before_ns=queue_ns,
                        )  # fmt: skip
                    elif not ended:
                        keep_wait(activity, WAIT_BLOCKING, start_ns, end_ns, end_ns, None, Waited("time.sleep"))
                except Exception as error:
                    probe_failed("blocking", error)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    setattr(sleep, PLAIN, plain)
    return sleep
