"""What is declared and must survive, beside the messages: the data directory, and the durable topology in SQLite."""
