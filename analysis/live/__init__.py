"""Follows the trace files that a service writes, and sums what its requests waited for, by endpoint: files →
follower, tail → assembly → counting → metrics and window (last seconds). Nothing here contacts the service. A request
counts once, when its trace is complete, and `weight` times (Horvitz and Thompson)."""
