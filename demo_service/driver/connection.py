"""One HTTP connection that measures: an ordinary client's own work, milliseconds of it, would count as the service's."""

import asyncio
import re
from time import perf_counter_ns
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 60.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class _Stamped(asyncio.StreamReader):
    """Knows when its newest bytes came: whoever awaits them runs only after the answers to other clients that came at
    the same moment, and that turn would count as the service's."""

    fed_ns = 0

    def feed_data(self, data: Any) -> None:
        self.fed_ns = perf_counter_ns()
        super().feed_data(data)


async def _opened(host: str, port: int) -> tuple[_Stamped, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = _Stamped()
    transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), host, port)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class Connection:
    """Is made with the first request, and again after a failure; `close` ends it."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        self._streams: tuple[_Stamped, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, int]:
        """Status and body of the answer, and the ns from the first byte sent to its last; raises OSError, or EOFError
        where the answer is cut."""
        lines = {"host": self._at.netloc, "content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._streams is None:
                    self._streams = await _opened(self._at.hostname or "127.0.0.1", self._at.port or 80)
                reader, writer = self._streams
                sent_ns = perf_counter_ns()
                writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(answer)
                told = await reader.readexactly(int(length[1]) if length else 0)
                return int(answer.split(maxsplit=2)[1]), told, reader.fed_ns - sent_ns
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
