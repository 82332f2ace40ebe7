"""Django: a list with pages counts all that match for each page: the page has an index, the count has none.

[street]
endpoint = "GET /orders"
cause = "blocking_io"
culprit = "orders"
remedy = "the database takes this long"
load = [{path = "/orders", n = 15}]
needs = ["postgres", "psycopg"]
"""

import os
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.paginator import Paginator
from django.db import connection, models
from django.http import JsonResponse
from django.urls import path
from stamps import now, stamp

where = urlsplit(os.environ["STREET_POSTGRES"])
database = {
    "ENGINE": "django.db.backends.postgresql", "NAME": where.path.strip("/"), "USER": where.username, "CONN_MAX_AGE": 60,
    "PASSWORD": where.password or "", "HOST": where.hostname, "PORT": where.port,
}  # fmt: skip
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-", DATABASES={"default": database})
django.setup()
ROWS = """
INSERT INTO sold (open, note) SELECT g % 3 = 0, md5(g::text) FROM generate_series(1, 600000) g
"""


class Sold(models.Model):
    id = models.BigAutoField(primary_key=True)
    open = models.BooleanField()
    note = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "sold"


with connection.cursor() as cursor:
    cursor.execute("DROP TABLE IF EXISTS sold")
    cursor.execute("CREATE TABLE sold (id bigserial PRIMARY KEY, open boolean, note text)")
    cursor.execute(ROWS)
    cursor.execute("ANALYZE sold")
connection.close()


def orders(request):
    pages = Paginator(Sold.objects.filter(open=True).order_by("-id"), 20)
    since = now()
    count = pages.count  # CULPRIT
    stamp(since)
    return JsonResponse({"count": count, "page": [one.id for one in pages.page(1)]})


urlpatterns = [path("orders", orders)]
app = get_asgi_application()
