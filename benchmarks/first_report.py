"""What the README's first example says: `python -m benchmarks.first_report`.

Runs docs/first-report/app.py under `whywait run`, with three clients for `/orders` and one for `/health` at once, and
writes the paragraph of `/health` from the report into the README.
"""

import io
import os
import re
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.report.terminal.report import verdict_text
from whywait.analysis.verdicts.sentences import verdict

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
APP: Final = ROOT / "docs/first-report/app.py"
ENDPOINT: Final = "GET /health"
_ROUNDS: Final = 6
_WIDTH: Final = 118
_CODE: Final = re.compile(r"(?<=```python\n).*?(?=```)", re.DOTALL)
_SAID: Final = re.compile(rf"(?<=```\n){ENDPOINT}: .*?(?=```)", re.DOTALL)


def said() -> str:
    """Run the service under traffic, and return what the report says of `/health`."""
    with TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, (str(APP.parent), os.environ.get("PYTHONPATH"))))
        with traced_service(Path(folder), app="app:app", loop="auto", environment={"PYTHONPATH": path}) as url:
            for _ in range(_ROUNDS):
                _one_round(url)
        result = analysis.analyze(folder)
    told = {one.endpoint: one for one in verdict(result)}
    console = Console(width=_WIDTH, file=io.StringIO())
    with console.capture() as lines:
        console.print(verdict_text(told[ENDPOINT]))
    return "\n".join(line.rstrip() for line in lines.get().strip().splitlines()) + "\n"


def _one_round(url: str) -> None:
    clients = [threading.Thread(target=get, args=(f"{url}/orders",)) for _ in range(3)]
    for one in clients:
        one.start()
    time.sleep(0.1)
    get(f"{url}/health")
    for one in clients:
        one.join()


def readme(paragraph: str) -> str:
    """Return the README with the code of the example as it is, and this paragraph."""
    text = _CODE.sub(lambda _: APP.read_text(), README.read_text(), count=1)
    return _SAID.sub(lambda _: paragraph, text, count=1)


if __name__ == "__main__":
    README.write_text(readme(said()))
