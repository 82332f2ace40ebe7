"""Django: a view gathers three queries by sync_to_async, inside a synchronous middleware, which has the one thread.

[street]
endpoint = "GET /dashboard"
cause = "blocking_io"
culprit = "query"
remedy = "thread_sensitive=False"
load = [{path = "/dashboard", n = 18, clients = 2}]
"""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path
from stamps import now, stamp


def audit(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-Audit"] = "1"
        return response

    return middleware


settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-", MIDDLEWARE=[f"{__name__}.audit"])


def query(name):
    time.sleep(0.06)  # CULPRIT
    return name


def orders():
    return query("orders")


def customers():
    return query("customers")


def prices():
    return query("prices")


async def dashboard(request):
    since = now()
    found = await asyncio.gather(*(sync_to_async(one)() for one in (orders, customers, prices)))
    stamp(since)
    return JsonResponse({"rows": found})


urlpatterns = [path("dashboard", dashboard)]
app = get_asgi_application()
