"""Files: uploads that tasks read, and artifacts that tasks leave. Rows in MySQL, bytes in STORAGES["longtasks"].

Owns the tables TaskFile and TaskFileUse, and every key in the storage. Must not know HTTP, Redis or a task type.
"""
