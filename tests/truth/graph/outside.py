"""What comes from outside the loop: sockets, subprocesses, threads, executors."""

import asyncio
import os
import socket
import threading
import time
from concurrent import futures

from tests.truth.graph import pools
from tests.truth.graph.shape import IO, ROOT, STEP_S, THREAD, TIMER, shape

# who hears of the end of a child: a thread in 3.11; newer Pythons watch a descriptor, and so does libuv
CHILD = "<child>"


def nap() -> None:
    time.sleep(STEP_S)


def long_nap() -> None:
    time.sleep(2 * STEP_S)


@shape((ROOT, IO), ("serve", TIMER))
async def a_stream() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(STEP_S)
        writer.write(b"x")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    assert await reader.read() == b"x"
    writer.close()
    await writer.wait_closed()
    server.close()


def _send_later(sender: socket.socket) -> threading.Thread:
    def send() -> None:
        time.sleep(2 * STEP_S)  # to start this thread may take a while
        sender.send(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@shape((ROOT, IO))
async def a_reader_of_a_socket_pair() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        event = asyncio.Event()
        loop.add_reader(ours, event.set)
        thread = _send_later(theirs)
        await event.wait()
        loop.remove_reader(ours)
        thread.join()


@shape((ROOT, IO))
async def a_sock_recv() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        thread = _send_later(theirs)
        assert await asyncio.get_running_loop().sock_recv(ours, 1) == b"x"
        thread.join()


@shape(
    (ROOT, "_read_stream"), ("_read_stream", IO),
    tolerated=((ROOT, IO), (ROOT, THREAD)),  # to start a process, and to hear of its end, takes a while
)  # fmt: skip
async def a_subprocess_that_prints() -> None:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"sleep {8 * STEP_S}; echo x", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"x\n"


@shape((ROOT, "<child>"), tolerated=((ROOT, IO),))
async def a_subprocess_that_ends() -> None:
    process = await asyncio.create_subprocess_exec("sleep", str(8 * STEP_S))
    await process.wait()


@shape((ROOT, "nap"))
async def a_job_of_the_default_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, nap)


@shape((ROOT, "long_nap"))
async def a_gather_of_jobs() -> None:
    loop = asyncio.get_running_loop()
    with futures.ThreadPoolExecutor(2) as pool:
        await asyncio.gather(loop.run_in_executor(pool, long_nap), loop.run_in_executor(pool, nap))


@shape((ROOT, "nap"))
async def a_job_to_thread() -> None:
    await asyncio.to_thread(nap)


@shape((ROOT, "nap"))
async def a_wrapped_future_of_a_job() -> None:
    with futures.ThreadPoolExecutor(1) as pool:
        await asyncio.wrap_future(pool.submit(nap))


@shape((ROOT, THREAD))
async def a_wrapped_future_of_a_thread() -> None:
    future: futures.Future[None] = futures.Future()

    def deliver() -> None:
        time.sleep(STEP_S)
        future.set_result(None)

    thread = threading.Thread(target=deliver)
    thread.start()
    await asyncio.wrap_future(future)
    thread.join()


@shape((ROOT, "sleep"))
async def a_job_of_a_process_pool() -> None:
    await asyncio.get_running_loop().run_in_executor(pools.warm_processes(), time.sleep, STEP_S)


@shape((ROOT, "collect"), ("collect", "nap"))
async def a_job_that_waits_for_a_job() -> None:
    with futures.ThreadPoolExecutor(2) as pool:

        def collect() -> None:
            pool.submit(nap).result()

        await asyncio.wrap_future(pool.submit(collect))


@shape((ROOT, "collect"), ("collect", "nap"), ("collect", "long_nap"))
async def a_job_that_collects_as_completed() -> None:
    with futures.ThreadPoolExecutor(3) as pool:

        def collect() -> None:
            for _ in futures.as_completed([pool.submit(long_nap), pool.submit(nap)]):
                pass

        await asyncio.wrap_future(pool.submit(collect))


@shape((ROOT, "ask"), ("ask", "sleeper"), ("sleeper", TIMER))
async def a_job_that_waits_for_a_task() -> None:
    loop = asyncio.get_running_loop()

    async def sleeper() -> None:
        await asyncio.sleep(STEP_S)

    def ask() -> None:
        asyncio.run_coroutine_threadsafe(sleeper(), loop).result()

    await asyncio.to_thread(ask)


@shape((ROOT, "ask"), ("ask", "setter"), ("setter", TIMER))
async def a_job_that_waits_for_a_future_set_by_a_task() -> None:
    future: futures.Future[None] = futures.Future()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)
        future.set_result(None)

    def ask() -> None:
        futures.wait([future])

    task = asyncio.create_task(setter())
    await asyncio.to_thread(ask)
    await task


@shape((ROOT, "ask"), ("ask", THREAD))
async def a_job_that_waits_for_a_future_set_by_a_thread() -> None:
    future: futures.Future[None] = futures.Future()

    def deliver() -> None:
        time.sleep(STEP_S)
        future.set_result(None)

    def ask() -> None:
        future.result()

    thread = threading.Thread(target=deliver)
    thread.start()
    await asyncio.to_thread(ask)
    thread.join()


@shape((ROOT, IO))
async def a_pipe_that_a_thread_fills() -> None:
    ours, theirs = os.pipe()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )

    def fill() -> None:
        time.sleep(STEP_S)
        os.write(theirs, b"x")

    thread = threading.Thread(target=fill)
    thread.start()
    assert await reader.readexactly(1) == b"x"
    thread.join()
    os.close(theirs)
    transport.close()
    await asyncio.sleep(0)
