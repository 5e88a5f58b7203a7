"""The `linmap` program: thin, it parses, calls and prints."""
