"""Programs that manage a broker over HTTP."""
