"""Django: four pieces that a view gathers by sync_to_async run one after another, on the request's one thread.

[street]
endpoint = "GET /board"
cause = "pool_queue"
culprit = "figure"
remedy = "thread_sensitive=False"
load = [{path = "/board", n = 16}]
"""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path
from stamps import now, stamp

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-")
PIECE_S = 0.04


@sync_to_async
def figure(since, last):
    if last:
        stamp(since)  # it had queued for the others
    time.sleep(PIECE_S)  # CULPRIT
    return 1


async def board(request):
    since = now()
    found = await asyncio.gather(*(figure(since, number == 3) for number in range(4)))
    return JsonResponse({"figures": sum(found)})


urlpatterns = [path("board", board)]
app = get_asgi_application()
