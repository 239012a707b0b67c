"""Measurements, side by side and in one run. `script/bench NAME`."""
