"""Pairs of functions for asyncio and for threads. The generated synchronous clients use the second of each pair."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def gather_async(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Run calls at the same time, and return their results in order."""
    return list(await asyncio.gather(*calls))


def gather(results: Iterable[T]) -> list[T]:
    """Return the results of calls that ran one after the other."""
    return list(results)
