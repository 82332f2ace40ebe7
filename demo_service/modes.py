"""The story's ways to predict every pod and target of one request. All give the same numbers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from itertools import product

from demo_service.model.features import PodValues
from demo_service.predictor import Predictor

Answers = list[dict[str, float]]


def sequential(predictor: Predictor, pods: Sequence[PodValues]) -> Answers:
    """One predict after the other where it is called: on the event loop, if a coroutine calls it."""
    return [{target: predictor.predict_one(pod, target) for target in predictor.targets} for pod in pods]


async def to_thread(predictor: Predictor, pods: Sequence[PodValues]) -> Answers:
    """Each pod and target in a thread of the loop's default pool, all gathered."""
    jobs = list(product(range(len(pods)), predictor.targets))
    values = await asyncio.gather(
        *(asyncio.to_thread(predictor.predict_one, pods[row], target) for row, target in jobs)
    )
    return _assemble(len(pods), jobs, values)


def per_request_pool(predictor: Predictor, pods: Sequence[PodValues], workers: int) -> Answers:
    """Each pod and target in a pool made for this request alone, and torn down with it."""
    answers: Answers = [{} for _ in pods]
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="per-request") as pool:
        jobs = {
            pool.submit(predictor.predict_one, pods[row], target): (row, target)
            for row, target in product(range(len(pods)), predictor.targets)
        }
        for done in as_completed(jobs):
            row, target = jobs[done]
            answers[row][target] = done.result()
    return answers


async def dedicated_pool(predictor: Predictor, pods: Sequence[PodValues], pool: Executor) -> Answers:
    """Each pod and target in one pool that lives as long as the service."""
    loop = asyncio.get_running_loop()
    jobs = list(product(range(len(pods)), predictor.targets))
    values = await asyncio.gather(
        *(loop.run_in_executor(pool, predictor.predict_one, pods[row], target) for row, target in jobs)
    )
    return _assemble(len(pods), jobs, values)


async def batch(predictor: Predictor, pods: Sequence[PodValues], pool: Executor) -> Answers:
    """All pods in one frame, one predict per target, as a single job of the dedicated pool."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, predictor.predict_many, pods)


def _assemble(rows: int, jobs: Sequence[tuple[int, str]], values: Sequence[float]) -> Answers:
    answers: Answers = [{} for _ in range(rows)]
    for (row, target), value in zip(jobs, values, strict=True):
        answers[row][target] = value
    return answers
