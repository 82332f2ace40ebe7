"""Pools of connections: who waits for one, and who holds them. How another distribution adds its pool: docs/connection-pools.md."""
