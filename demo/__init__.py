"""`make demo`: an agent's session on a real Postgres, through the firewall."""
