"""The live stream: who may open one, and what it sends."""
