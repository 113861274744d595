"""C++ code of this package, built by the compiler at hand at its first use."""
