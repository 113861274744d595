"""`python -m convatlas` is the command `convatlas`."""

from convatlas.cli import main

main()
