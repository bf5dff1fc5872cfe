"""The report: one self-contained HTML page about a lake."""

from pipelines.report.build import report
from pipelines.report.load_profile import TouBand

__all__ = ["TouBand", "report"]
