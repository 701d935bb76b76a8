"""The read model (CQRS): the mirror writes it from the stream of snapshots, queries read it."""
