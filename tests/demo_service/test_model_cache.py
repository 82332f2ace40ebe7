"""Models are kept as JSON, trusted only where nobody else can write, and never half written."""

import json
import logging
import threading
from pathlib import Path

import pytest

from demo_service.model.model_cache import CacheUnusable, cache_path, fingerprint, load_or_train, restore
from demo_service.model.training import synthetic_pods, train
from demo_service.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(training_rows=100, trees=5, depth=3, cache_dir=tmp_path / "cache")


def numbers(pipelines: dict, rows: int = 20) -> dict[str, list[float]]:
    pods = synthetic_pods(rows, seed=5)
    return {name: pipeline.predict(pods).tolist() for name, pipeline in pipelines.items()}


def test_what_comes_back_predicts_the_same(settings: Settings) -> None:
    trained = load_or_train(settings)
    path = cache_path(settings)
    assert json.loads(path.read_text())["fingerprint"] == fingerprint(settings)
    assert numbers(restore(path, settings)) == numbers(trained) == numbers(train(settings))


def test_only_the_owner_may_read_or_write(settings: Settings) -> None:
    load_or_train(settings)
    assert settings.cache_dir.stat().st_mode & 0o777 == 0o700
    assert cache_path(settings).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in settings.cache_dir.iterdir()] == [cache_path(settings).name]


def test_a_directory_others_can_write_to_is_neither_read_nor_written(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.cache_dir.mkdir()
    settings.cache_dir.chmod(0o777)
    load_or_train(settings)
    assert list(settings.cache_dir.iterdir()) == []
    assert "chmod 700" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "other", "text", "numbers"])
def test_a_damaged_file_costs_a_training_and_is_replaced(
    settings: Settings, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = numbers(load_or_train(settings))
    path = cache_path(settings)
    whole = path.read_text()
    content = json.loads(whole)
    if damage == "cut":
        path.write_text(whole[: len(whole) // 2])
    elif damage == "text":
        path.write_text("[]")
    elif damage == "other":
        path.write_text(json.dumps({**content, "fingerprint": "0"}))
    else:
        content["targets"]["ttft_ms"]["scale"] = [float("nan")]
        path.write_text(json.dumps(content))
    with pytest.raises(CacheUnusable):
        restore(path, settings)
    with caplog.at_level(logging.WARNING):
        assert numbers(load_or_train(settings)) == expected
    assert "not used" in caplog.text
    assert path.read_text() == whole


def test_each_training_setting_has_its_own_file(settings: Settings) -> None:
    others = [settings.model_copy(update=change) for change in ({"seed": 1}, {"trees": 6}, {"depth": 4})]
    assert len({cache_path(one) for one in [settings, *others]}) == 4
    # threads change the speed, not the numbers
    assert cache_path(settings.model_copy(update={"model_threads": 2})) == cache_path(settings)


def test_starts_at_the_same_time_see_whole_files(settings: Settings) -> None:
    found: list[dict[str, list[float]]] = []
    starts = [threading.Thread(target=lambda: found.append(numbers(load_or_train(settings)))) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(60)
    assert len(found) == 4
    assert all(one == found[0] for one in found)
    assert numbers(restore(cache_path(settings), settings)) == found[0]
