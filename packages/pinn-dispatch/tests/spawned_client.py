"""What a spawned child of a program does with the reconstructor that it is handed."""

from __future__ import annotations

import sys
from importlib import metadata


def child(client, scan, queue, token):
    """Train until the parent sets the token, reconstruct, be cancelled; tell the parent all of it."""
    from pinn_dispatch import registry

    points = [metadata.EntryPoint("pytorch", "fake_backend", registry.ENTRY_POINTS)]
    others = metadata.entry_points
    registry.metadata.entry_points = lambda *, group, name=None: (
        points if group == registry.ENTRY_POINTS else others(group=group)
    )
    registry.util.find_spec = lambda name: object()

    def watch(progress):
        if (progress.step or 0) < 2 and not token.is_set():
            queue.put(progress)
        if progress.step == 1:
            token.wait(60)

    results = client.train(scan, on_progress=watch, cancel=token)
    found = client.reconstruct(scan)
    try:
        client.reconstruct(scan, cancel=token)
    except Exception as error:
        cancelled = error
    frameworks = [name for name in ("torch", "lightning", "tensorflow", "keras") if name in sys.modules]
    queue.put((results, found, cancelled, frameworks))
