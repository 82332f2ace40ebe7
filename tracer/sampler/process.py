"""Starts and stops the sampler's process. It has no parent in the service, and ends with this process."""

import ctypes
import fcntl
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from select import select
from time import monotonic, perf_counter_ns
from typing import IO, Final, NamedTuple

from whywait.tracer.host.own_file import OwnFile
from whywait.tracer.sampler.child import main
from whywait.tracer.sampler.gil_address import GilAddress, gil_address
from whywait.tracer.sampler.shared import thread_records
from whywait.tracer.sampler.shared.pool_table import WatchTable
from whywait.tracer.sampler.shared.thread_records import MESSAGE_SIZE, MESSAGES

_STOP_S: Final = 0.3  # the child ends at once, unless it hangs
_LAUNCH_S: Final = 0.5
# without a sweep for this time, and this many checks, it hangs: one check may come right after a pause of both
_HANGS_S: Final = 2 * thread_records.REST_S
_HANGS_LOOKS: Final = 8
_REPORT_NS: Final = 100_000_000
_CLOSED: Final = "the service has closed its files"
_PR_SET_PTRACER: Final = 0x59616D61


class Header(NamedTuple):
    """The child's own status; times are `perf_counter_ns` readings."""

    written: int
    sweeps: int
    swept_ns: int
    cpu_ns: int
    waited_for: int  # native id of the GIL's holder while others wait, 0: no thread waits
    threads: int
    period_ns: int
    use_written: int = 0
    use_until_ns: int = 0


class SamplerProcess:
    """One sampler; `close` ends it. Never raises after its creation."""

    def __init__(self, address: GilAddress) -> None:
        memory_fd = _shared_memory(thread_records.SIZE)
        self._memory: mmap.mmap | None = mmap.mmap(memory_fd, thread_records.SIZE)  # has a descriptor of its own
        self.pools = WatchTable(self._memory, thread_records.WATCH_AT)
        self._woken = 0
        self._busy_ns = 0
        self.id = 0
        self._said = b""
        self.tells_holder = bool(address.holder_at)
        self.ended = False
        self.ready = False
        self._sweeps, self._swept_s, self._looks = -1, 0.0, 0  # its last progress, and checks since
        self.failure = ""  # why there are no more samples; "" while there are
        try:
            self._launcher = subprocess.Popen(  # noqa: S603 - this interpreter, a file of whywait
                [
                    sys.executable, "-I", "-S", "-E", str(Path(main.__file__)), str(os.getpid()),
                    *(str(int(one)) for one in address), str(memory_fd),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(memory_fd,),
                close_fds=True,
                bufsize=0,
            )  # fmt: skip
        except BaseException:
            self._release_memory()
            raise
        finally:
            os.close(memory_fd)
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._input, self._output = (_own(pipe) for pipe in (self._launcher.stdin, self._launcher.stdout))
        os.set_blocking(self._input.fd, False)
        self.work_goes_on()

    def settle(self) -> None:
        """Wait until the launcher has ended, some 20 ms on an idle machine. Before that a host that waits for any
        child would get this one."""
        with suppress(subprocess.TimeoutExpired):
            self._launcher.wait(_LAUNCH_S)

    def look(self) -> None:
        """Check the child's status; the exporter thread calls it periodically."""
        self._launcher.poll()  # reap the ended launcher
        if not self._output.is_ours():
            self.failure = _CLOSED
        while not self.failure and select([self._output.fd], [], [], 0)[0]:
            self._hear(os.read(self._output.fd, 4_096))
        if self.ready and not self.failure:
            self._check_that_it_sweeps()

    def _check_that_it_sweeps(self) -> None:
        sweeps, now_s = self.header().sweeps, monotonic()
        if sweeps != self._sweeps:
            self._sweeps, self._swept_s, self._looks = sweeps, now_s, 0
            return
        self._looks += 1
        if self._looks >= _HANGS_LOOKS and now_s - self._swept_s > _HANGS_S:
            self.failure = f"the sampler's process has not answered for {_HANGS_S:g} s"
            self._kill()

    def _hear(self, words: bytes) -> None:
        if not words:
            self.failure = "the sampler's process has ended" if self.ready else (
                "the sampler's process could not start, or may not read this one"
            )  # fmt: skip
            return
        self._said += words
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            if line.startswith(b"here "):
                self.id = int(line[5:])
            elif line == b"denied" and self.id:
                # under Yama another process may read this one only if this one names it
                with suppress(OSError, AttributeError):
                    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, self.id, 0, 0, 0)
            elif line == b"ready":
                self.ready = True

    def header(self) -> Header:
        """The child's status at its latest sweep."""
        if self._memory is None:
            return Header(0, 0, 0, 0, 0, 0, 0)
        return Header(*thread_records.HEADER.unpack_from(self._memory))

    def records(self, first: int, last: int) -> bytes:
        """The bytes of the records with these numbers, within one pass of the ring."""
        if self._memory is None:
            return b""
        size = thread_records.RECORD.size
        begin, end = first % thread_records.RECORDS, (last - 1) % thread_records.RECORDS + 1
        return self._memory[thread_records.HEADER_SIZE + begin * size : thread_records.HEADER_SIZE + end * size]

    def cpu_message(self, number: int) -> bytes:
        if self._memory is None:
            return b""
        begin = thread_records.CPU_AT + number % MESSAGES * MESSAGE_SIZE
        return self._memory[begin : begin + MESSAGE_SIZE].partition(b"\n")[0]

    def end(self) -> None:
        """End the child and wait for its end; its records can still be read."""
        if self.ended:
            return
        self.look()
        self.ended = True
        with suppress(OSError):
            self._input.close()
        deadline_s = monotonic() + _STOP_S
        while not self.failure and monotonic() < deadline_s:
            if select([self._output.fd], [], [], max(deadline_s - monotonic(), 0))[0]:
                self._hear(os.read(self._output.fd, 4_096))
        if not self.failure:
            self._kill()
        with suppress(OSError, subprocess.TimeoutExpired):
            self._launcher.wait(_STOP_S)
        self._output.close()

    def _kill(self) -> None:
        if self.id:
            with suppress(OSError):
                os.kill(self.id, signal.SIGKILL)

    def close(self) -> None:
        self.end()
        self._release_memory()

    def forget(self) -> None:
        """In a forked child, at once: release the parent's resources, without a message to its sampler, and without
        keeping it from its end."""
        for pipe in (self._input, self._output):
            with suppress(OSError):
                pipe.close()
        self._launcher.returncode = 0  # not a child of this process
        self._release_memory()

    def work_goes_on(self) -> None:
        """Report that there is something to sample: a request is open, or a callback is long. Any thread may call it,
        often. Without such reports the sampler rests."""
        now_ns = perf_counter_ns()
        before_ns, memory = self._busy_ns, self._memory
        if now_ns - before_ns < _REPORT_NS or memory is None:
            return
        self._busy_ns = now_ns
        try:
            thread_records.BUSY.pack_into(memory, thread_records.BUSY_AT, now_ns)
            if now_ns - before_ns > thread_records.REST_NS // 2 and self._input.is_ours():
                os.write(self._input.fd, b"w")
        except (OSError, ValueError):  # it has just been closed
            return

    def tell_open(self, idle_ns: int) -> None:
        """Report since when no request is open, or 0: one is. Any thread may call it, at each request."""
        memory = self._memory
        if memory is None:
            return
        try:
            thread_records.BUSY.pack_into(memory, thread_records.IDLE_AT, idle_ns)
            if not idle_ns and memory[thread_records.ASLEEP_AT] and self._input.is_ours():
                os.write(self._input.fd, b"w")
        except (OSError, ValueError):  # it has just been closed
            return

    def woke(self, thread_id: int) -> None:
        """Report that a thread begins to work, first or after an idle time: the next sweep samples it. Any thread may call it."""
        memory, number = self._memory, self._woken
        self._woken = number + 1
        if memory is None:
            return
        try:
            at = thread_records.WOKEN_AT + thread_records.WOKEN_NUMBER.size
            thread_records.WOKEN_NUMBER.pack_into(memory, at + number % thread_records.WOKEN_MOST * 4, thread_id)
            thread_records.WOKEN_NUMBER.pack_into(memory, thread_records.WOKEN_AT, number + 1 & 0xFFFF_FFFF)
        except ValueError:  # it has just been closed
            return

    def _release_memory(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            if self.failure != _CLOSED:
                memory.close()
            else:
                # never freed, which would close it: its descriptor has a number that the service gave to another file
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))


def _own(pipe: IO[bytes]) -> OwnFile:
    with pipe:
        return OwnFile(fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, 3))


def start_sampler() -> SamplerProcess | None:
    """Return a sampler for this process, which samples later; None if the platform does not support it. Raises
    OSError when no process can be started."""
    address = gil_address()
    return SamplerProcess(address) if address is not None and sys.executable else None


def _shared_memory(size: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("whywait-samples", os.MFD_CLOEXEC)
    else:
        fd, name = tempfile.mkstemp()
        os.unlink(name)
    os.ftruncate(fd, size)
    return fd
