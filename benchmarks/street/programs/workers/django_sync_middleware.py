"""Django: one synchronous middleware, and an async view of 60 ms answers two clients; each request takes a thread.

[street]
endpoint = "GET /news"
cause = "blocking_io"
culprit = "Audit.process_request"
remedy = "blocking_io/in_worker"
load = [{path = "/news", n = 16, clients = 2}]
needs = ["upstream", "django"]
"""

import os
import urllib.request

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from stamps import now, stamp


class Audit(MiddlewareMixin):
    def process_request(self, request):
        since = now()
        with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/70") as answer:  # CULPRIT
            answer.read()
        stamp(since)


async def news(request):
    return JsonResponse({"news": []})


settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-", MIDDLEWARE=[f"{__name__}.Audit"])
urlpatterns = [path("news", news)]
app = get_asgi_application()
