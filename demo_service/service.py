"""What the routes share: models, the dedicated pool, the microbatcher, and whether they are ready."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from demo_service.batcher import Policy
from demo_service.microbatch import MicroBatcher
from demo_service.model.features import PodValues
from demo_service.model.training import train
from demo_service.predictor import Predictor
from demo_service.settings import Settings
from demo_service.web.schemas import example_request
from whywait import phase

log = logging.getLogger("demo_service")
WARM_UP_TIMEOUT_S = 30.0


class NotReady(Exception):
    """Asked to predict before the models were loaded."""

    def __init__(self) -> None:
        super().__init__("the models are still loading; wait until /readyz answers 200")


class Service:
    """Made when the app starts, inside its event loop; `aclose` ends it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = ThreadPoolExecutor(settings.pool_size, thread_name_prefix="predict")
        self.failure: str | None = None
        self._predictor: Predictor | None = None
        self._batcher: MicroBatcher | None = None
        # the models load behind the open port, so that /healthz answers and /readyz says "not yet"
        self._preparing = asyncio.create_task(self._prepare(), name="prepare models")

    @property
    def ready(self) -> bool:
        """True once models are loaded and the pool is warm."""
        return self._batcher is not None

    @property
    def predictor(self) -> Predictor:
        """The loaded models; raises `NotReady` until then."""
        if self._predictor is None or self._batcher is None:
            raise NotReady
        return self._predictor

    @property
    def batcher(self) -> MicroBatcher:
        """The microbatcher; raises `NotReady` until the models are loaded."""
        if self._batcher is None:
            raise NotReady
        return self._batcher

    async def aclose(self) -> None:
        """Flushes the microbatcher and ends the pool. uvicorn has finished the requests before."""
        self._preparing.cancel()
        await asyncio.gather(self._preparing, return_exceptions=True)
        if self._batcher is not None:
            await self._batcher.aclose()
        await asyncio.to_thread(self.pool.shutdown)

    async def _prepare(self) -> None:
        settings = self.settings
        try:
            log.info("training %d trees on %d rows for each model", settings.trees, settings.training_rows)
            predictor = Predictor(await asyncio.to_thread(train, settings))
            await asyncio.to_thread(self._warm_up, predictor)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            log.exception("the models could not be prepared")
            return
        policy = Policy(settings.batch_wait_ms / 1000, settings.batch_max_pods)
        self._predictor = predictor
        self._batcher = MicroBatcher(predictor.predict_many, self.pool, policy, settings.max_waiting_pods)
        log.info("ready on device %s with %d workers", settings.device, settings.pool_size)

    def _warm_up(self, predictor: Predictor) -> None:
        # a pool starts a thread only when none is idle: all meet at the barrier, so all must exist
        meeting = threading.Barrier(self.settings.pool_size)
        pods: list[PodValues] = example_request()["pods"]

        def warm() -> None:
            meeting.wait(WARM_UP_TIMEOUT_S)
            with phase("warm up"):  # outside any request: one trace per worker, not one per phase
                predictor.predict_many(pods)

        for started in [self.pool.submit(warm) for _ in range(self.settings.pool_size)]:
            started.result()
