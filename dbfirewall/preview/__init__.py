"""What a gated statement would do, found out on a real server and rolled back; and how to undo it afterwards."""
