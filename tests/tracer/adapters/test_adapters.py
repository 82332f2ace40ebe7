"""Adapters: phases by name, and libraries that notice nothing. Real XGBoost and scikit-learn, on the CPU."""

import copy
import functools
import gc
import importlib.util
import inspect
import pickle
import subprocess
import sys
import time
import types
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle  # joblib's
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

import whywait
from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.adapters import AdapterError, Rule
from whywait.tracer.records.current import here
from whywait.tracer.schema import CODE_FILE, CODE_FUNCTION, ITEMS, PHASE_CLIENT

ROOT = Path(__file__).resolve().parents[3]
Begin = Callable[..., Traced]
NAP_MS = 25
CLASSES = (
    pd.DataFrame, xgboost.DMatrix, xgboost.QuantileDMatrix, xgboost.Booster, xgboost.XGBModel, xgboost.XGBRegressor,
    xgboost.XGBClassifier, Pipeline, FeatureUnion, ColumnTransformer, OneHotEncoder, StandardScaler,
    FunctionTransformer,
)  # fmt: skip


class Slow(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transform of the user's own, slow by a known amount."""

    def __init__(self, ms: float = NAP_MS) -> None:
        self.ms = ms

    def fit(self, X: Any, y: Any = None) -> "Slow":
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        time.sleep(self.ms / 1000)
        return X


class Slower(Slow):
    """Overrides, and calls what it overrides."""

    def transform(self, X: Any) -> Any:
        return super().transform(X)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame({"model": [f"m{n % 5}" for n in range(400)], "load": random.random(400)})


@pytest.fixture(scope="module")
def pipeline(frame: pd.DataFrame) -> Pipeline:
    columns = ColumnTransformer([("kind", OneHotEncoder(), ["model"]), ("scale", StandardScaler(), ["load"])])
    regressor = xgboost.XGBRegressor(n_estimators=300, max_depth=6, n_jobs=1)
    return Pipeline([("encode", columns), ("wait", Slow()), ("regress", regressor)]).fit(frame, frame["load"])


@pytest.fixture
def mylib() -> Iterator[types.ModuleType]:
    """A library of somebody's own, imported already."""
    module = types.ModuleType("mylib_of_a_test")
    source = """
import ctypes, time
usleep = ctypes.CDLL(None).usleep  # no time.sleep: those are recorded too
def tokenize(text):
    time.sleep(0.002)
    return text.split()
async def fetch(seconds):
    import asyncio
    await asyncio.sleep(seconds)
    return seconds
class Base:
    def rank(self, n):
        time.sleep(0.003)
        return n
class Model(Base):
    def predict(self, n, *, fail=False):
        time.sleep(0.004)
        if fail:
            raise KeyError("secret")
        return self.rank(n)
    @classmethod
    def load(cls):
        time.sleep(0.002)
        return cls()
    @staticmethod
    def version():
        usleep(2000)
        return 3
    def rows(self):
        yield 1
"""
    exec(source, module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]
    whywait.adapters.unregister(module.__name__)


def everything(kinds: tuple[type, ...]) -> dict[tuple[str, str], Any]:
    return {(kind.__name__, name): value for kind in kinds for name, value in vars(kind).items()}


def names(spans: Traced) -> set[str]:
    return {span.name for span in spans.of_kind("phase")} - {"request"}


def test_a_pipeline_is_told_by_its_steps_names(traced_to: Begin, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    plain = pipeline.predict(frame)
    spans = traced_to()
    with phase("request"):
        traced = pipeline.predict(frame)
    spans.stop()
    np.testing.assert_array_equal(plain, traced)
    whole, slow = spans.one("predict: Pipeline"), spans.one("transform: Slow (wait)")
    assert slow.ms >= NAP_MS
    assert slow["cpu_ns"] < NAP_MS * 1e6 / 2
    assert slow["phase"] == "transform"
    assert whole["phase"] == "predict"
    encode, regress = (spans.one("transform: ColumnTransformer (encode)"), spans.one("predict: XGBRegressor (regress)"))
    for inner in (encode, slow, regress):
        assert inner.parent_id == whole.span_id
        assert whole.start_ns <= inner.start_ns <= inner.end_ns <= whole.end_ns
    assert encode.end_ns <= slow.start_ns < slow.end_ns <= regress.start_ns


def test_the_steps_of_the_columns_are_told_too(traced_to: Begin, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    many = pd.concat([frame] * 200, ignore_index=True)  # long enough for a span each
    spans = traced_to()
    with phase("request"):
        pipeline[0].transform(many)
    spans.stop()
    outer = spans.one("transform: ColumnTransformer")
    assert spans.one("transform: OneHotEncoder (kind)").parent_id == outer.span_id
    assert spans.one("transform: StandardScaler (scale)").parent_id == outer.span_id


def test_xgboost_by_its_own_api(traced_to: Begin) -> None:
    random = np.random.default_rng(2)
    rows = random.random((20_000, 6), dtype=np.float32)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, label=rows.sum(axis=1), nthread=1), 20)
    plain = booster.predict(xgboost.DMatrix(rows, nthread=1)), booster.inplace_predict(pd.DataFrame(rows))
    spans = traced_to()
    with phase("request"):
        data = pd.DataFrame(rows)
        traced = booster.predict(xgboost.DMatrix(rows, nthread=1)), booster.inplace_predict(data)
    spans.stop()
    np.testing.assert_array_equal(plain, traced)
    found = {
        "conversion: DMatrix",
        "compute: Booster.predict",
        "compute: Booster.inplace_predict",
        "conversion: DataFrame",
    }
    assert found <= names(spans)
    assert spans.one("conversion: DataFrame").parent_id == spans.one("compute: Booster.inplace_predict").span_id
    assert spans.one("compute: Booster.predict")["device"] is None
    assert spans.one("conversion: DMatrix")["cpu_ns"] > 0


def test_a_classifiers_call_up_its_classes_is_one(traced_to: Begin, frame: pd.DataFrame) -> None:
    rows, labels = frame[["load"]].to_numpy(), frame["load"] > 0.5
    classifier = xgboost.XGBClassifier(n_estimators=300, n_jobs=1).fit(rows, labels)
    many = np.repeat(rows, 50, axis=0)
    spans = traced_to()
    with phase("request"):
        classifier.predict(many)
        classifier.predict_proba(many)
    spans.stop()
    assert len(spans.named("predict: XGBClassifier")) == 1
    assert len(spans.named("predict: XGBClassifier.predict_proba")) == 1


def test_short_phases_are_sums_and_no_spans(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.tokenize": "tokenizing"})
    mylib.__dict__["time"] = types.SimpleNamespace(sleep=lambda _: None)
    spans = traced_to()
    with phase("request"):
        for _ in range(500):
            mylib.tokenize("a b")
        time.sleep(0.02)
    assert here.phase is None
    spans.stop()
    long = [span for span in spans.spans if span.name.startswith("tokenizing")]
    assert len(long) < 50  # of 500: a thread that lost its CPU in one
    assert all(span.ms >= 0.1 for span in long)
    (task,) = spans.of_kind("task")
    assert 0 < task["phases.tokenizing_ns"] < 20e6


def test_a_client_is_told_however_short_its_making_and_who_made_it(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.Model.version": Rule(PHASE_CLIENT, "mylib.Model")})
    mylib.__dict__["usleep"] = lambda _: None
    spans = traced_to()
    with phase("request"):
        mylib.Model.version()
        time.sleep(0.2)  # 1% of it, the resolution, is far longer than that took
    spans.stop()
    (made,) = (span for span in spans.spans if span.name == "client: mylib.Model")
    assert made.ms < 1
    assert made.attributes[CODE_FILE] == __file__
    assert made.attributes[CODE_FUNCTION] == "test_a_client_is_told_however_short_its_making_and_who_made_it"


def test_more_phases_than_a_request_has_room_for_leave_it_whole(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.Model.version": "asking"})
    spans = traced_to(max_records_per_request=10)
    with phase("request"):
        for _ in range(20):
            mylib.Model.version()
    spans.stop()
    (task,) = spans.of_kind("task")
    kept = [span for span in spans.spans if span.name.startswith("asking")]
    assert 0 < len(kept) <= 5
    assert task["incomplete"] is None
    assert task["phases.asking_ns"] >= 14 * 2e6


def test_ones_own_library(traced_to: Begin, mylib: types.ModuleType) -> None:
    model = mylib.Model
    before = everything((mylib.Base, model)) | dict(vars(mylib))
    whywait.adapters.register(
        mylib.__name__,
        {
            f"{mylib.__name__}.{name}": word
            for name, word in {
                "tokenize": "tokenizing", "Model.predict": "compute", "Model.load": "loading",
                "Model.version": "asking", "Model.rank": Rule("ranking", title="the ranks"), "fetch": "fetching",
                "Model.rows": "compute", "Model.gone": "compute", "gone.for.good": "compute",
            }.items()
        },
    )  # fmt: skip
    spans = traced_to()
    assert inspect.iscoroutinefunction(mylib.fetch)
    with phase("request"):
        made = model.load()
        assert (mylib.tokenize("a b"), made.predict(4), model.version()) == (["a", "b"], 4, 3)
        assert list(made.rows()) == [1]
        assert mylib.Base().rank(1) == 1
        with pytest.raises(KeyError, match="secret"):
            made.predict(1, fail=True)
    made.predict(2)  # outside any request: nothing
    spans.stop()
    assert names(spans) == {
        "tokenizing: tokenize", "compute: Model.predict", "loading: Model.load", "asking: version",
        "ranking: the ranks",
    }  # fmt: skip
    first, second = spans.named("compute: Model.predict")
    assert spans.one("ranking: the ranks").parent_id == first.span_id
    assert (first.error, second.error) == (False, True)
    assert second.attributes["error.type"] == "KeyError"
    assert "secret" not in repr(second)
    after = everything((mylib.Base, model)) | dict(vars(mylib))
    assert all(after[name] is value for name, value in before.items())
    assert after.keys() == before.keys(), "an inherited method was left on the class"


def test_a_coroutine_of_ones_own(traced_to: Begin, mylib: types.ModuleType) -> None:
    import asyncio

    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.fetch": "fetching"})
    spans = traced_to()

    async def main() -> None:
        assert await mylib.fetch(0.001) == 0.001  # outside any request: nothing
        with phase("request"):
            await asyncio.gather(mylib.fetch(0.03), mylib.fetch(0.02))

    asyncio.run(main())
    spans.stop()
    first, second = sorted(span.ms for span in spans.named("fetching: fetch"))
    assert first >= 20
    assert second >= 30


def test_a_marked_function_as_a_job_keeps_its_name(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.tokenize": "tokenize"})
    spans = traced_to()
    with phase("request"), ThreadPoolExecutor(1) as pool:
        pool.submit(mylib.tokenize, "two words").result()
    spans.stop()
    (job,) = spans.of_kind("job")
    assert job.name == "job tokenize"


def test_a_job_says_how_many_rows_it_predicted(traced_to: Begin, frame: pd.DataFrame) -> None:
    """The pipeline's call, not also the model's within it; two calls are two. One row's numbers are not several rows."""
    columns = ColumnTransformer([("scale", StandardScaler(), ["load"])])
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1)
    pipeline = Pipeline([("columns", columns), ("model", model)]).fit(frame, frame["load"])
    calls: list[tuple[Callable[[], Any], int]] = [
        (lambda: pipeline.predict(frame[:7]), 7), (lambda: pipeline.predict(X=frame[:1]), 1),
        (lambda: [pipeline.predict(frame[:7]) for _ in range(2)], 14), (lambda: model.predict([[0.5], [0.6], [0.7]]), 3),
        (lambda: columns.transform(frame), 0),
    ]  # fmt: skip
    spans = traced_to()
    with phase("request"), ThreadPoolExecutor(1) as pool:
        for call, _ in calls:
            pool.submit(call).result()
    spans.stop()
    jobs = sorted(spans.of_kind("job"), key=lambda one: one.start_ns)
    assert [one.attributes.get(ITEMS, 0) for one in jobs] == [rows for _, rows in calls]


def test_a_users_phase_inside_stays_inside(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.Model.predict": "compute"})
    mylib.Base.rank = lambda self, n: inner(n)  # type: ignore[attr-defined]

    def inner(n: int) -> int:
        with phase("mine"):
            time.sleep(0.003)
            mylib.Model.predict(other, n) if n else None
        return n

    other = mylib.Model()
    spans = traced_to()
    with phase("request"):
        mylib.Model().predict(0)
    spans.stop()
    assert spans.one("mine").parent_id == spans.one("compute: Model.predict").span_id


def test_nothing_is_left_on_any_class(traced_to: Begin, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    kinds = (*CLASSES, Slow)
    before, functions = everything(kinds), dict(vars(xgboost.data))
    path, hooks = list(sys.meta_path), list(sys.path_hooks)
    spans = traced_to()
    with phase("request"):
        pipeline.predict(frame)
    during = everything(kinds)
    assert during[("Booster", "predict")] is not before[("Booster", "predict")]
    assert during[("Slow", "transform")] is not before[("Slow", "transform")]
    spans.stop()
    after = everything(kinds)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] is not before[name]] == []
    assert all(vars(xgboost.data)[name] is value for name, value in functions.items())
    assert (sys.meta_path, sys.path_hooks) == (path, hooks)


def test_the_libraries_notice_nothing(traced_to: Begin, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    def seen() -> list[Any]:
        regressor = pipeline[-1]
        return [
            [str(inspect.signature(kind)) for kind in CLASSES],
            [str(inspect.signature(getattr(kind, name))) for kind, name in (
                (xgboost.Booster, "predict"), (xgboost.Booster, "inplace_predict"), (xgboost.DMatrix, "__init__"),
                (Pipeline, "predict"), (Pipeline, "transform"), (ColumnTransformer, "transform"), (Slow, "transform"),
                (xgboost.XGBRegressor, "predict"),
            )],
            [getattr(kind.predict, name) for kind in (xgboost.Booster, xgboost.XGBRegressor)
             for name in ("__name__", "__qualname__", "__module__", "__doc__")],
            str(pipeline.get_params()), str(clone(pipeline)), str(get_tags(pipeline)), str(get_tags(regressor)),
            repr(copy.deepcopy(Slow(3))), hasattr(pipeline, "predict_proba"), hasattr(pipeline, "transform"),
            pickle.dumps(Slow(3)), pickle.dumps(xgboost.Booster), regressor.get_xgb_params(),
            list(pipeline.get_feature_names_out()) if hasattr(pipeline[1], "get_feature_names_out") else None,
            xgboost.Booster.predict.__wrapped__ is not None,
        ]  # fmt: skip

    plain = seen()
    spans = traced_to()
    with phase("request"):
        pipeline.predict(frame)
        assert seen() == plain
        again = pickle.loads(pickle.dumps(pipeline))
        np.testing.assert_array_equal(again.predict(frame), pipeline.predict(frame))
        np.testing.assert_array_equal(clone(pipeline).fit(frame, frame["load"]).predict(frame), again.predict(frame))
    with pytest.raises(AttributeError):
        pipeline.predict_proba(frame)
    spans.stop()
    assert seen() == plain


def test_a_class_pickled_by_value_works_elsewhere(traced_to: Begin, tmp_path: Path) -> None:
    """As joblib's workers get a class of a notebook: ours must travel with it and do nothing there."""
    scope: dict[str, Any] = {"__name__": "__main__", "Slow": Slow}
    exec("class Mine(Slow):\n    def transform(self, X):\n        return [[x[0] + 1] for x in X]", scope)
    mine = scope["Mine"](0)
    spans = traced_to()
    with phase("request"):
        Pipeline([("mine", mine), ("end", FunctionTransformer())]).fit([[1]]).transform([[1]])
        assert "_whywait_mark" in vars(vars(type(mine))["transform"])
        packed = cloudpickle.dumps(mine)
    spans.stop()
    (tmp_path / "mine").write_bytes(packed)
    code = "import pickle,sys; print(pickle.load(open(sys.argv[1],'rb')).transform([[1]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "mine")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[2]]"


def test_a_subclass_made_meanwhile_overrides_as_ever(traced_to: Begin) -> None:
    rows = np.random.default_rng(3).random((200, 3))
    spans = traced_to()

    class Mine(xgboost.XGBRegressor):  # type: ignore[misc]
        def predict(self, X: Any, **more: Any) -> Any:
            return super().predict(X, **more) * 0 + 7

    slower = Slower(12)
    model = Mine(n_estimators=5, n_jobs=1).fit(rows, rows[:, 0])
    with phase("request"):
        assert set(Pipeline([("nap", slower), ("mine", model)]).predict(rows)) == {7}
    spans.stop()
    assert {"transform: Slower (nap)", "predict: Mine (mine)"} <= names(spans)
    assert len(spans.named("transform: Slower (nap)")) == 1
    assert "transform" in vars(Slower)
    assert not hasattr(vars(Mine)["predict"], "_whywait_mark")


def test_somebody_elses_patch_over_ours_stays(traced_to: Begin, mylib: types.ModuleType) -> None:
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.tokenize": "tokenizing"})
    spans = traced_to()
    ours = mylib.tokenize

    @functools.wraps(ours)
    def theirs(text: str) -> Any:
        return ["theirs", *ours(text)]

    mylib.tokenize = theirs  # type: ignore[attr-defined]
    spans.stop()
    assert mylib.tokenize is theirs
    assert mylib.tokenize("a") == ["theirs", "a"]


def test_a_failing_adapter_is_taken_out_and_the_host_goes_on(
    traced_to: Begin, mylib: types.ModuleType, caplog: pytest.LogCaptureFixture, pipeline: Pipeline, frame: pd.DataFrame
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("our own mistake")

    plain = vars(mylib.Model)["predict"]
    whywait.adapters.register(
        mylib.__name__,
        {f"{mylib.__name__}.Model.predict": Rule("compute", device=broken), f"{mylib.__name__}.tokenize": "t"},
    )
    spans = traced_to()
    with phase("request"):
        assert mylib.Model().predict(1) == 1
        assert vars(mylib.Model)["predict"] is plain
        assert mylib.tokenize("a") == ["a"]
        pipeline.predict(frame)
    spans.stop()
    assert sum("our own mistake" in record.getMessage() for record in caplog.records) == 1
    assert "predict: Pipeline" in names(spans), "one library's adapter took another's out"
    assert "t: tokenize" not in names(spans)


def test_a_class_met_is_not_kept_alive(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("request"):
        kind = type("Passing", (Slow,), {"transform": lambda self, X: X})
        Pipeline([("gone", kind(0)), ("end", FunctionTransformer())]).fit([[1]]).transform([[1]])
        assert "_whywait_mark" in vars(vars(kind)["transform"])
        seen = weakref.ref(kind)
        del kind
        gc.collect()
        assert seen() is None
    spans.stop()


def test_a_library_that_comes_late(tmp_path: Path) -> None:
    """In a process of its own: marked as it is imported, its loader as it was, the finder gone at stop."""
    (tmp_path / "latecomer").mkdir()
    (tmp_path / "latecomer" / "__init__.py").write_text("")
    (tmp_path / "latecomer" / "deep.py").write_text(
        "import time\nclass Model:\n    def predict(self):\n        time.sleep(0.005)\n        return 5\n"
    )
    code = """
import sys, importlib.util, whywait
from pathlib import Path
out = Path(sys.argv[1])
whywait.adapters.register("latecomer", {"latecomer.deep.Model.predict": "compute"})
before = list(sys.meta_path)
whywait.start("late", output=out / "t.jsonl")
assert "latecomer" not in sys.modules and "xgboost" not in sys.modules and "sklearn" not in sys.modules
assert importlib.util.find_spec("latecomer") is not None
import latecomer
assert "latecomer.deep" not in sys.modules
import latecomer.deep as deep
assert type(deep.__loader__).__name__ == "SourceFileLoader" and "exec_module" not in vars(deep.__loader__)
assert deep.__spec__.loader is deep.__loader__ and "class Model" in deep.__loader__.get_source("latecomer.deep")
import numpy, xgboost
with whywait.phase("request"):
    assert deep.Model().predict() == 5
    xgboost.DMatrix(numpy.zeros((200_000, 8)), nthread=1)
marked = vars(deep.Model)["predict"]
whywait.stop()
assert vars(deep.Model)["predict"] is marked.__wrapped__
assert sys.meta_path == before, sys.meta_path
text = (out / "t.jsonl").read_text()
assert "compute: Model.predict" in text and "conversion: DMatrix" in text
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == "fine", done.stderr


def test_an_import_that_fails_fails_as_ever(traced_to: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_latecomer.py").write_text("raise ValueError('as ever')")
    monkeypatch.syspath_prepend(tmp_path)
    whywait.adapters.register(
        "broken_latecomer", {"broken_latecomer.predict": "compute", "nowhere_to_be.seen": "compute"}
    )
    spans = traced_to()
    with pytest.raises(ValueError, match="as ever"):
        importlib.import_module("broken_latecomer")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nowhere_to_be")
    spans.stop()
    whywait.adapters.unregister("broken_latecomer")


def test_registered_while_it_runs(traced_to: Begin, mylib: types.ModuleType) -> None:
    spans = traced_to()
    plain = mylib.tokenize
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.tokenize": "first"})
    whywait.adapters.register(mylib.__name__, {f"{mylib.__name__}.tokenize": "second"})
    with phase("request"):
        mylib.tokenize("a")
        whywait.adapters.unregister(mylib.__name__)
        assert mylib.tokenize is plain
    spans.stop()
    assert names(spans) == {"second: tokenize"}


@pytest.mark.parametrize("table", [{"predict": "compute"}, {"a.b": ""}, {"a.b": 3}, {"a..b": "compute"}])
def test_a_table_that_cannot_be_used_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match="expected"):
        whywait.adapters.register("nonsense", table)
    assert "nonsense" not in whywait.adapters.libraries()
