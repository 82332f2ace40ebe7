"""Turns pods into numbers: frame build, conversion, one predict per target, each a phase of its own."""

from collections.abc import Mapping, Sequence

import pandas as pd
from sklearn.pipeline import Pipeline

from demo_service.model.features import FEATURES, PodValues
from demo_service.model.training import PREPROCESS, REGRESS
from whywait import phase


class Predictor:
    """The fitted pipelines, safe to call from any thread."""

    def __init__(self, pipelines: Mapping[str, Pipeline]) -> None:
        self._steps = {
            target: (pipeline.named_steps[PREPROCESS], pipeline.named_steps[REGRESS])
            for target, pipeline in pipelines.items()
        }
        self.targets = tuple(self._steps)

    def predict_one(self, pod: PodValues, target: str) -> float:
        """Milliseconds for one pod and one target: a frame of one row, as the naive modes do."""
        return self._predict(self._frame([pod]), target)[0]

    def predict_many(self, pods: Sequence[PodValues]) -> list[dict[str, float]]:
        """Milliseconds per target for each pod: one frame of all rows, one predict per target."""
        frame = self._frame(pods)
        columns = {target: self._predict(frame, target) for target in self.targets}
        return [{target: column[row] for target, column in columns.items()} for row in range(len(pods))]

    def _frame(self, pods: Sequence[PodValues]) -> pd.DataFrame:
        with phase("frame build"):
            return pd.DataFrame(list(pods), columns=list(FEATURES))

    def _predict(self, frame: pd.DataFrame, target: str) -> list[float]:
        preprocess, regressor = self._steps[target]
        with phase("conversion"):
            matrix = preprocess.transform(frame)
        with phase(f"predict {target}"):
            return [float(value) for value in regressor.predict(matrix)]
