"""Programs which the tests start as processes of their own, above all in order to kill them."""
