"""The models of two starts are the same: nothing has to be kept between them."""

from demo_service.model.training import synthetic_pods, train
from demo_service.settings import Settings


def numbers(settings: Settings, rows: int = 20) -> dict[str, list[float]]:
    pods = synthetic_pods(rows, seed=5)
    return {name: pipeline.predict(pods).tolist() for name, pipeline in train(settings).items()}


def test_the_same_settings_give_the_same_models() -> None:
    settings = Settings(training_rows=100, trees=5, depth=3)
    first = numbers(settings)
    assert numbers(settings) == first
    # threads change the speed, not the numbers
    assert numbers(settings.model_copy(update={"model_threads": 2})) == first
    for change in ({"seed": 1}, {"trees": 6}, {"depth": 4}):
        assert numbers(settings.model_copy(update=change)) != first
