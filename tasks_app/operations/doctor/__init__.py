"""The doctor: checks that change nothing, each with what is wrong and how to fix it."""
