"""Tests of the vehicle voltage."""
