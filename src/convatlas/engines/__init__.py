"""Ways of running a network on a machine, each measured and checked: `convatlas.optimize`."""
