"""The document's load test, run for real and analysed as the document does: measured, kept as JSON, written as a page."""
