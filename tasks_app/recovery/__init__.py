"""Recovery: requeues tasks after anything has died. At least one process runs it (the mirror); any number may."""
