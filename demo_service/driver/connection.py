"""One HTTP connection that measures: an ordinary client's own work, milliseconds of it, would count as the service's."""

import asyncio
import re
from time import perf_counter_ns
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 60.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Connection:
    """Is made with the first request, and again after a failure; `close` ends it."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, int]:
        """Status and body of the answer, and the ns from the first byte sent to its last; raises OSError, or EOFError
        where the answer is cut."""
        lines = {"host": self._at.netloc, "content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._at.hostname, self._at.port or 80)
                reader, writer = self._streams
                sent_ns = perf_counter_ns()
                writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(answer)
                told = await reader.readexactly(int(length[1]) if length else 0)
                return int(answer.split(maxsplit=2)[1]), told, perf_counter_ns() - sent_ns
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
