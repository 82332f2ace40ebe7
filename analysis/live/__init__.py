"""Follows the trace files that a service is writing, and keeps what its requests waited for, by endpoint.

    files → follower, tail → assembly → counting → totals (since the beginning) and window (last seconds)

Nothing here runs in the service, and nothing here talks to it: it reads files. A request counts once, when
its trace is whole; a kept trace that stands for `weight` requests counts as so many (Horvitz and Thompson), so
that every figure is an estimate for all requests wherever not all traces were kept.
"""
