"""The Arrow type of a finding, an element of the ``findings`` list of a day."""

from __future__ import annotations

import pyarrow as pa

FINDING = pa.struct(
    [
        ("rule", pa.string()),
        ("severity", pa.string()),
        ("start", pa.timestamp("us", "UTC")),
        ("end", pa.timestamp("us", "UTC")),
        ("seen", pa.string()),
        ("expected", pa.string()),
    ]
)
