"""The client's end of AMQP 0-9-1, as far as load takes it: no socket, no clock."""
