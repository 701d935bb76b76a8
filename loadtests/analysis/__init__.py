"""The document's load test on a real stack, analysed as in the document: measured, stored as JSON, written as a page."""
