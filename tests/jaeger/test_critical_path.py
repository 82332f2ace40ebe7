"""Jaeger's own critical path passes through the named waits, and says of a request what ours says."""

import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

import analysis
from demo_service.load import Bounds, drive
from demo_service.server_process import ServerPlan, running
from tests.jaeger.agreement import Apart, apart, bars_of_jaeger, bars_of_spans
from tests.jaeger.critical_path import Bar, Section, critical_path
from tests.jaeger.server import Jaeger
from tests.truth.service import get, traced_service
from tracer import schema

MODES = ("to_thread", "per_request_pool", "sequential", "batch")
