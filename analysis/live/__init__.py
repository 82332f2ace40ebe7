"""Follows the trace files that a service is writing, and sums what its requests waited for, by endpoint.

    files → follower, tail → assembly → counting → totals (since the beginning) and window (last seconds)

Nothing here runs in the service or contacts it: this package reads files. A request counts once, when
its trace is complete. A kept trace counts `weight` times (Horvitz and Thompson), so that every number is an
estimate for all requests under tail sampling.
"""
