"""The command line: one verb a file, each a thin call on the library."""
