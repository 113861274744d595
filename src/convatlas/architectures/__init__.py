"""One paper, one file: its spec, its blocks, its net, its variants."""
