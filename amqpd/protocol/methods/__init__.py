"""The methods of AMQP 0-9-1, one file a class. Each function is called as the method; it parses, checks and replies.

Behaviour belongs to the objects of the broker; what stands here is the order of the checks and what the client is told.
"""
