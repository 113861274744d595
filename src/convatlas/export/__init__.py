"""Trained networks as files of other runtimes: written, reloaded, compared, and only then kept."""
