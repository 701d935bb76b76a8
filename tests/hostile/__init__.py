"""The hostile run: odd values through every door of a real stack, ordinary tasks beside them."""
