"""What brings a task back after anything died. One process at least runs it (the mirror), any number may."""
