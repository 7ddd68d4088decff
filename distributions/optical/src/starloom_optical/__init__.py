"""The band ``optical``, 4200-9200 A, and the windows of surveys in it, for starloom's entry points."""
