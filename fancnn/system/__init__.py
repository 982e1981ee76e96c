"""The process and its machine: console, signals, memory, devices, what is installed."""
