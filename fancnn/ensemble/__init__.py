"""Make one model of several runs."""
