"""Runs a notebook as a person would, in its own folder and a kernel of its own, without a network."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbmake.nb_result import NotebookResult
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
TIMEOUT_S = 120
# no address but this machine's can be reached from the kernel; what tries fails
_OFFLINE = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
        raise OSError(f"the notebook asked for {address}")
    return _connect(self, address)
socket.socket.connect = connect
"""


def executed(name: str, scratch: Path, environment: Mapping[str, str] = {}) -> NotebookResult:
    """Return what the notebook did. Its kernel starts from a folder whose `sitecustomize` cuts the network."""
    (scratch / "sitecustomize.py").write_text(_OFFLINE)
    kernel = scratch / "kernels" / "offline"
    kernel.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "offline", "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join([str(scratch), str(ROOT)]), "PLOTLY_RENDERER": "plotly_mimetype", **environment},
    }  # fmt: skip
    (kernel / "kernel.json").write_text(json.dumps(spec))
    before, os.environ["JUPYTER_PATH"] = os.environ.get("JUPYTER_PATH"), str(scratch)
    here = Path.cwd()
    os.chdir(NOTEBOOKS)
    try:
        return NotebookRun(NOTEBOOKS / name, TIMEOUT_S, kernel="offline").execute()
    finally:
        os.chdir(here)
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


def figures_of(result: NotebookResult) -> list[dict[str, Any]]:
    """Return the plotly figures that the cells showed."""
    outputs = [output for cell in result.nb.cells if cell.cell_type == "code" for output in cell.outputs]
    return [
        output.data["application/vnd.plotly.v1+json"]
        for output in outputs
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
