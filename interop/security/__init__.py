"""Hostile clients: what they cost the broker, and what somebody else notices of them."""
