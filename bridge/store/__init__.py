"""What the outbox is made of: the tables, and every query. All SQL is here."""
