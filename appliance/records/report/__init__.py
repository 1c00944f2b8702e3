"""The PDF report of a job."""

from appliance.records.report.story import report_pdf

__all__ = ["report_pdf"]
