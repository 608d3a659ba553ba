"""The stream: a queue that forgets nothing before its time, read by everybody at his own place."""
