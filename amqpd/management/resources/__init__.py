"""One file a resource: its columns, its handlers, its routes. How one is added stands in docs/management.md."""
