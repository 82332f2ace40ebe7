"""Work of the request itself: cold imports, a first predict, conversion of frames, plain computing."""

import asyncio
import importlib
import itertools
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import whywait
from benchmarks.truth import own_library
from benchmarks.truth.fault import around, fault
from benchmarks.truth.faults.pools import kept, pool
from benchmarks.truth.meter import Spent, parts_of, read, since
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import compute, spanned, spin
from whywait.analysis.causes import Cause

numbers = itertools.count()
MODULE = """
import time
def fill_tables():
    until = time.thread_time() + {seconds}
    while time.thread_time() < until:
        sum(range(200))
fill_tables()
"""


def phase(function: str) -> Who:
    """A library's function, called by the fault's own, that may be named instead; its place is not the user's."""
    return Who(function, "", 0, 0)


@fault(Cause.COMPUTE, "plain computing in a worker thread", quick=True, off_loop=False)
async def compute_in_worker(ms: float) -> list[Part]:
    did = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), compute, ms / 1_000)
    return parts_of(did.spent, who(compute, within=(who(spin),)))


@spanned
def load_plugin(ms: float) -> tuple[Spent, ModuleType]:
    """Imports a module that nobody has imported yet, and that computes while it is."""
    before = read()
    if "plugins" not in kept:
        kept["plugins"] = tempfile.mkdtemp(prefix="truth-plugins-")
        sys.path.append(kept["plugins"])
    name = f"truth_plugin_{next(numbers)}"
    (Path(kept["plugins"]) / f"{name}.py").write_text(MODULE.format(seconds=ms / 1_000))
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    return since(before), module


@fault(Cause.COMPUTE, "cold start: the first import of a module")
async def cold_import(ms: float) -> list[Part]:
    spent, module = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), load_plugin, ms)
    return parts_of(spent, who(load_plugin, within=(who(module.fill_tables),)))


@spanned
def load_and_predict() -> Spent:
    """A model loaded and used for the first time."""
    import xgboost

    before = read()
    model = xgboost.Booster()
    model.load_model(kept["saved"])
    model.set_param({"nthread": 1})
    model.inplace_predict(kept["few"])
    return since(before)


@fault(
    Cause.COMPUTE, "cold start: a model loaded, and its first predict", amounts=(100, 300, 900), unit="trees",
    phase="settings", quick=True,
)  # fmt: skip
async def cold_predict(_: float) -> list[Part]:
    spent = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), load_and_predict)
    return parts_of(spent, who(load_and_predict, within=(phase("load_model"), phase("predict"))))


@around(cold_predict)
async def save_model(trees: float) -> None:
    import numpy as np
    import xgboost

    rows = np.random.default_rng(1).random((400, 8), dtype=np.float32)
    data = xgboost.DMatrix(rows, rows.sum(axis=1))
    kept["few"] = rows[:1]
    kept["saved"] = xgboost.train({"nthread": 1, "max_depth": 6}, data, int(trees)).save_raw("json")


@spanned
def build_frame(rows: list[dict[str, float]]) -> Spent:
    """A DataFrame of dictionaries, as services make one for each predict."""
    import pandas as pd

    before = read()
    pd.DataFrame(rows).astype("float32").to_numpy()
    return since(before)


@fault(Cause.COMPUTE, "rows turned into a DataFrame", amounts=(4, 12, 36), unit="thousand rows",
       phase="frame build", quick=True)  # fmt: skip
async def frame_of_rows(_: float) -> list[Part]:
    spent = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), build_frame, kept["dicts"])
    return parts_of(spent, who(build_frame, within=(phase("DataFrame"),)))


async def _forget_rows(_: float) -> None:
    kept.pop("dicts", None)


@around(frame_of_rows, _forget_rows)
async def make_rows(thousands: float) -> None:
    import pandas as pd

    pd.DataFrame([{"a": 1.0}])  # what pandas does on its first use is not this fault
    kept["dicts"] = [{f"f{n}": row / 3 for n in range(8)} for row in range(int(thousands * 1_000))]


@spanned
def prepare_text(seconds: float) -> Spent:
    """Calls the application's own library."""
    before = read()
    own_library.tokenize(seconds)
    return since(before)


@fault(Cause.COMPUTE, "a library of the application's own, its phases registered while it runs",
       phase=own_library.PHASE, quick=True)  # fmt: skip
async def tokenized(ms: float) -> list[Part]:
    spent = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), prepare_text, ms / 1_000)
    return parts_of(spent, who(prepare_text, within=(who(own_library.tokenize), who(spin))))


async def _forget_table(_: float) -> None:
    whywait.adapters.unregister(own_library.__name__)


@around(tokenized, _forget_table)
async def register_table(_: float) -> None:
    whywait.adapters.register(own_library.__name__, own_library.TABLE)


@spanned
def scale_rows() -> Spent:
    """A pipeline in front of a model."""
    before = read()
    kept["pipeline"].transform(kept["rows"])
    return since(before)


@fault(Cause.COMPUTE, "rows transformed by a pipeline of scikit-learn", amounts=(40, 100, 300),
       unit="thousand rows", phase="transform", quick=True)  # fmt: skip
async def transform(_: float) -> list[Part]:
    spent = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), scale_rows)
    return parts_of(spent, who(scale_rows, within=(phase("Pipeline"), phase("transform"))))


async def _forget_matrix(_: float) -> None:
    kept.pop("rows", None)


@around(transform, _forget_matrix)
async def make_matrix(thousands: float) -> None:
    import numpy as np
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    dice = np.random.default_rng(1)
    steps = [("scale", StandardScaler()), ("more", PolynomialFeatures(2))]
    kept["pipeline"] = Pipeline(steps).fit(dice.random((100, 8)))
    kept["rows"] = dice.random((int(thousands * 1_000), 8))
