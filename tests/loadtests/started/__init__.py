"""Tests of loadtests/started."""
