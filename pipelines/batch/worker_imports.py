"""What every worker process needs, imported once in the process that workers are forked from."""

from __future__ import annotations

import logging
from importlib import import_module

NEEDED = (
    "apache_beam.runners.portability.fn_api_runner",
    "pipelines.batch.shard_job",
    "transforms.gather",
    "transforms.ingest_transform",
    "transforms.process_transform",
)

# Beam warns that cloud clients nobody asked for are not installed.
logging.disable(logging.WARNING)
try:
    for name in NEEDED:
        import_module(name)
finally:
    logging.disable(logging.NOTSET)
