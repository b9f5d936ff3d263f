"""What people see, tested with real sockets and a store in memory."""
