"""Python imports this at its start, where this folder is on PYTHONPATH: the tool under test is set up in the service."""

from benchmarks.street.peers.inside import begin

begin()
